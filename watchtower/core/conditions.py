"""What an `expect:` or `warn:` line means: clauses over the facts a probe found.

The grammar that turns text into a Condition is config/conditions.py. This file judges one against
facts and says what was found instead; it never raises on what a service sent.
"""

from __future__ import annotations

import ipaddress
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final

from msgspec import Struct

Value = str | float | bool | tuple[str | float, ...]

SHOWN_MAX: Final = 60
"""Most characters of a found value that a failure text repeats."""
SEARCHED_MAX: Final = 8_192
"""Most characters that a regular expression looks at; whoever judges limits its time as well."""
PATTERN_MAX: Final = 200
"""Longest regular expression."""

_SEGMENT: Final = re.compile(r"\[\"([^\"]+)\"\]|\[([0-9]{1,6})\]|\.?([^.\[\]]+)")
_SPACE_AND_CONTROL: Final = re.compile(r"\s+")


class Clause(Struct, frozen=True, kw_only=True):
    """`field op value`. Times are seconds, sizes bytes; `negated` is a leading `not`."""

    field: str
    op: str
    value: Value
    negated: bool = False


class Condition(Struct, frozen=True, kw_only=True):
    """One line: it holds when any of its clauses (joined by `or`) holds. `text` is what was written."""

    text: str
    clauses: tuple[Clause, ...]


class _Absent(Struct, frozen=True):
    """A fact that is not there. `blind` means nobody could look, so that even `not` cannot hold."""

    why: str
    blind: bool = False


def judge(condition: Condition, facts: Mapping[str, object]) -> str | None:
    """None when the condition holds, else one line with what was found: `time < 800ms: was 2.31s`.

    `facts` holds `status` (int), `time`, `time.dns` and the like (seconds), `body` (str),
    `json` (the parsed document; if there is none, `json.error` may say why), `header.<lower-case name>`
    (str), `cert.expires` (seconds left), `cert.issuer`, `ip`, `dns.rcode` (str), `answers` (tuple of
    str), `ttl` (seconds); what a probe could not find is left out. Found values are cleaned of control
    characters and cut to SHOWN_MAX. Never raises.
    """
    found: list[str] = []
    for clause in condition.clauses:
        actual = _fact(clause.field, facts)
        if _clause_holds(clause, actual):
            return None
        found.append(actual.why if isinstance(actual, _Absent) else f"was {_shown(clause.field, actual)}")
    return f"{condition.text}: {', '.join(dict.fromkeys(found))}"


def _clause_holds(clause: Clause, actual: object) -> bool:
    if isinstance(actual, _Absent):
        return clause.negated and not actual.blind
    holds = _is_in_network if clause.field == "ip" and clause.op == "in" else _OPS[clause.op]
    return holds(actual, clause.value) != clause.negated


def _fact(field: str, facts: Mapping[str, object]) -> object:
    if field.startswith(("json.", "json[")):
        return _json_fact(field.removeprefix("json"), facts)
    fact = facts.get(field)
    if fact is not None:
        return fact
    if field.startswith("header."):
        return _Absent("no such header")
    if field.startswith("cert."):
        return _Absent("no certificate", blind=True)
    if field == "value":
        return _Absent("no value")
    return _Absent("not known", blind=True)


def _json_fact(path: str, facts: Mapping[str, object]) -> object:
    if "json" not in facts:
        why = facts.get("json.error")
        return _Absent(f"not JSON ({_cut(str(why))})" if why else "not JSON", blind=True)
    here = facts["json"]
    for match in _SEGMENT.finditer(path):
        name, index = match[1] or match[3], match[2]
        if isinstance(here, Mapping) and name is not None and name in here:
            here = here[name]
        elif isinstance(here, (list, tuple)) and index is not None and int(index) < len(here):
            here = here[int(index)]
        else:
            return _Absent("no such path")
    return here


# Comparing. A found value is whatever a service sent; a wanted value is what config/conditions.py made.


def _equals(actual: object, wanted: object) -> bool:
    if isinstance(actual, tuple):
        return {_folded(item) for item in actual} == {_folded(item) for item in _many(wanted)}
    if isinstance(wanted, tuple):
        return len(wanted) == 1 and _equals(actual, wanted[0])
    if isinstance(wanted, bool):
        return actual is wanted or (isinstance(actual, str) and actual.lower() == str(wanted).lower())
    if isinstance(wanted, float):
        return _number(actual) == wanted
    if _is_status_class(wanted) and isinstance(actual, int):
        return f"{actual // 100}xx" == wanted
    return wanted == ("null" if actual is None else actual)


def _is_one_of(actual: object, wanted: object) -> bool:
    if isinstance(actual, tuple):
        allowed = {_folded(item) for item in _many(wanted)}
        return bool(actual) and all(_folded(item) in allowed for item in actual)
    return any(_equals(actual, item) for item in _many(wanted))


def _is_in_network(actual: object, wanted: object) -> bool:
    """Whether an address is one of some, or lies in one of some networks."""
    try:
        address = ipaddress.ip_address(str(actual).partition("%")[0])
        networks = [ipaddress.ip_network(str(item), strict=False) for item in _many(wanted)]
    except ValueError:
        return _is_one_of(actual, wanted)
    return any(address in network for network in networks)


def _contains(actual: object, wanted: object) -> bool:
    if isinstance(actual, tuple):
        return any(_folded(item) == _folded(wanted) for item in actual)
    if isinstance(actual, list):
        return any(_plain(item) == wanted for item in actual)
    return isinstance(actual, str) and str(wanted) in actual


def _matches(actual: object, wanted: object) -> bool:
    texts = actual if isinstance(actual, (tuple, list)) else (actual,)
    pattern = str(wanted)
    if len(pattern) > PATTERN_MAX:
        return False
    try:
        compiled = re.compile(pattern)
        return any(compiled.search(_plain(text)[:SEARCHED_MAX]) is not None for text in texts[:1000])
    except (re.error, OverflowError, RecursionError):
        return False


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[object, object], bool]:
    def holds(actual: object, wanted: object) -> bool:
        left, right = _number(actual), _number(wanted)
        return left is not None and right is not None and compare(left, right)

    return holds


_OPS: Final[dict[str, Callable[[object, object], bool]]] = {
    "==": _equals,
    "!=": lambda actual, wanted: not _equals(actual, wanted),
    "<": _ordered(operator.lt),
    "<=": _ordered(operator.le),
    ">": _ordered(operator.gt),
    ">=": _ordered(operator.ge),
    "in": _is_one_of,
    "contains": _contains,
    "~": _matches,
    "exists": lambda actual, _wanted: actual != (),
}


def _number(value: object) -> float | None:
    """The value as a number; text counts when it is nothing but one, booleans do not."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value[:SHOWN_MAX]) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None


def _many(wanted: object) -> tuple[object, ...]:
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _folded(item: object) -> str:
    """A DNS answer for comparing: case and the final dot mean nothing."""
    return _plain(item).rstrip(".").casefold()


def _is_status_class(wanted: object) -> bool:
    return isinstance(wanted, str) and len(wanted) == 3 and wanted.endswith("xx")


# Showing. Anything here may come from a hostile service.


def _shown(field: str, actual: object) -> str:
    if isinstance(actual, (int, float)) and not isinstance(actual, bool):
        return _shown_number(field, actual)
    if isinstance(actual, tuple):
        return _cut(" ".join(_plain(item)[:SHOWN_MAX] for item in actual[:SHOWN_MAX])) or "no answers"
    if isinstance(actual, Mapping):
        return "an object"
    if isinstance(actual, list):
        return f"a list of {len(actual)}"
    if isinstance(actual, str) and field not in {"ip", "dns.rcode"}:
        return f'"{_cut(actual)}"'
    return _cut(_plain(actual))


def _shown_number(field: str, actual: float) -> str:
    if field == "cert.expires":
        return _lifetime(actual)
    return _span(actual) if field == "time" or field.startswith("time.") else _plain(actual)


def _span(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f}s"
    return f"{seconds * 1000:.0f}ms" if seconds >= 0.01 else f"{seconds * 1000:.1f}ms"


def _lifetime(seconds: float) -> str:
    length = abs(seconds)
    text = f"{length / 86_400:.1f}d" if length >= 172_800 else f"{length / 3600:.1f}h"
    return text if seconds >= 0 else f"expired {text} ago"


def _plain(value: object) -> str:
    """A scalar as JSON would write it, text as it is; anything else by its type."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        # Python refuses to print integers of many thousand digits.
        return str(value) if value.bit_length() <= 128 else "a huge number"
    if isinstance(value, float):
        return f"{value:.10g}"
    return f"a {type(value).__name__}"


def _cut(text: str) -> str:
    """One printable line of at most SHOWN_MAX characters."""
    line = _SPACE_AND_CONTROL.sub(" ", text[: SHOWN_MAX * 4])
    clean = "".join(char if char.isprintable() else "?" for char in line)
    return clean if len(clean) <= SHOWN_MAX and len(text) <= SHOWN_MAX * 4 else clean[: SHOWN_MAX - 1] + "…"
