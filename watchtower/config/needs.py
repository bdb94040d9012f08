"""`needs:` of services, entry by entry: which shapes there are, and what each of them says.

Whether what is named exists and that there is no circle is need_graph.py's.
"""

from __future__ import annotations

from typing import Final

from watchtower.config.problems import Wrong
from watchtower.config.units import parse_count
from watchtower.core.nearest import nearest, shown_key
from watchtower.core.settings import Need

GROUPS_MAX: Final = 20
MEMBERS_MAX: Final = 20
DEGRADED_MAX: Final = 120
_FORMS: Final = "write `db`, {any_of: [a, b]}, {k_of: {2: [a, b, c]}} or {service: db, degraded: no sessions}"
KINDS: Final = ("service", "any_of", "k_of")


def as_list(value: object) -> object:
    """A single entry where a list is expected is a list of one."""
    return [value] if isinstance(value, (str, dict)) else value


def read_need(value: object) -> Need:
    """One entry: a name, or a mapping with one of service, any_of, k_of, and degraded. Raises Wrong."""
    if isinstance(value, str):
        return Need(names=(value,))
    if not isinstance(value, dict):
        raise Wrong("this is nothing that can be needed", _FORMS)
    unknown = [key for key in value if key not in (*KINDS, "degraded")]
    if unknown:
        raise Wrong(f"unknown key `{shown_key(unknown[0])}`", nearest(unknown[0], (*KINDS, "degraded")))
    kinds = [key for key in KINDS if key in value]
    if len(kinds) != 1:
        raise Wrong("one of service, any_of and k_of belongs here", _FORMS)
    names, at_least = _group(kinds[0], value[kinds[0]])
    return Need(names=names, at_least=at_least, degraded=_degraded(value.get("degraded", "")))


def _group(kind: str, content: object) -> tuple[tuple[str, ...], int]:
    """The names, and how many of them are needed."""
    if kind == "service":
        if not isinstance(content, str):
            raise Wrong("`service` names one service", "of several, write any_of or k_of")
        return (content,), 1
    at_least = 1
    if kind == "k_of":
        if not isinstance(content, dict) or len(content) != 1:
            raise Wrong("k_of says how many of which", "write {k_of: {2: [a, b, c]}}")
        ((number, content),) = content.items()
        at_least = parse_count(number)
    if not isinstance(content, list) or not content or not all(isinstance(name, str) for name in content):
        raise Wrong(f"`{kind}` has a list of services", _FORMS)
    if len(content) > MEMBERS_MAX:
        raise Wrong("too many services in one group", f"at most {MEMBERS_MAX}")
    if len(set(content)) < len(content):
        raise Wrong("a service is in this group twice", "name each once")
    if not 1 <= at_least <= len(content):
        raise Wrong(f"there are {len(content)} services in this group", f"from 1 to {len(content)} of them")
    return tuple(content), at_least


def _degraded(text: object) -> str:
    if not isinstance(text, str):
        raise Wrong("`degraded` says in a few words how the service is without", "as in `no sessions`")
    if len(text) > DEGRADED_MAX:
        raise Wrong("`degraded` is too long", f"at most {DEGRADED_MAX} characters")
    if not text.isprintable():
        raise Wrong("line breaks or control characters in `degraded`", "write one plain line")
    return text
