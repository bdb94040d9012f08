"""Templates that people write for their messages: what they may say, checked when written, bounded when used.

A template is text with variables, conditions and loops over lists of the message, and nothing else: no
calls, no attributes but those of the lists, no arithmetic, no including. So it ends, stays short, and
reaches nothing of the process. It knows nothing of channels: what it writes is escaped afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from watchtower.core.nearest import nearest, shown_key

SOURCE_MAX: Final = 8_000
OUTPUT_MAX: Final = 16_000
RENDER_MAX_S: Final = 0.5
DEPTH_MAX: Final = 2
NODES_MAX: Final = 2_000
_NESTING_MAX: Final = 40
_TEXT_MAX: Final = 4_000
_ITEMS_MAX: Final = 100

VARIABLES: Final[Mapping[str, str]] = {
    "subject": "the standard subject line",
    "summary": "the standard first sentence",
    "state": "DOWN, DEGRADED, PARTIAL, WORSE, STILL, FLAPPING, SETTLED, RECOVERED, CLOSED, DIGEST and such",
    "kind": "firing, worsened, resolved, reminder, escalation, flapping, settled, digest, ceiling, test",
    "level": "up, degraded, partial, down, unknown",
    "severity": "critical, warning, info",
    "service": "the name in the file",
    "title": "what people call it",
    "reason": "why the verdict is what it is",
    "since": "when trouble began, in UTC and in the local time of alerting.timezone",
    "at": "when this was decided, likewise",
    "duration": "from the first sign of trouble until then, as in 4 min 12 s",
    "cluster": "the name of the cluster",
    "peer": "the peer that sends",
    "incident": "the number of the incident, 0 when it is of none",
    "delivery_id": "the id of the delivery",
    "attempt": "which attempt this is",
    "acknowledge": "the address to acknowledge at",
    "silence": "the address to set a silence at",
    "runbook": "the runbook's address",
    "dashboard": "the dashboard's address",
    "status": "the address of the page about it",
    "standard": "the whole standard text",
}
"""Names a template may use, all of them text or numbers, and empty where there is nothing to say."""
LISTS: Final[Mapping[str, Mapping[str, str]]] = {
    "evidence": {
        "peer": "who looked",
        "zone": "from where",
        "opinion": "up, degraded, down or unknown",
        "text": "what it saw",
        "latency_ms": "how long the look took",
        "suspect": "true while its latest look contradicts its opinion: `text` is then of that look",
    },
    "facts": {"label": "as in Since, Votes, Cause, Affected", "value": "what is said of it"},
    "groups": {"title": "a heading", "lines": "the lines below it, to be joined"},
    "links": {"label": "as in Runbook", "url": "the address"},
    "notes": {"text": "a caution about the delivery, as that it may be a repeat"},
}
"""Lists a template may loop over, and what each item has."""


class TemplateWrong(ValueError):  # noqa: N818 - it is what a person wrote that is wrong, not the program
    """What is wrong with a template, on which of its lines, and what to do."""

    def __init__(self, what: str, fix: str = "", line: int | None = 1) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.line = line or 1


class TooMuch(Exception):  # noqa: N818 - it is a limit, not a fault
    """A template wrote more, or took longer, than it may."""


def check(source: str) -> None:
    """Parse `source`, look at all of it, and render it with a sample message. Raises TemplateWrong."""
    if len(source) > SOURCE_MAX:
        raise TemplateWrong(f"a template has at most {SOURCE_MAX} characters", "shorten it")
    try:
        tree = _environment().parse(source)
    except TemplateSyntaxError as error:
        what = (error.message or "it cannot be read").rstrip(".")
        fix = "see docs/how-to/templates.md for all that a template may say"
        raise TemplateWrong(f"this is no template: {what}", fix, error.lineno) from None
    except RecursionError:
        raise TemplateWrong("it is nested too deeply", "simplify it") from None
    _Checking().walk(tree)
    try:
        render(source, SAMPLE)
    except (TooMuch, TemplateError, TypeError, ValueError) as error:
        raise TemplateWrong(f"it cannot be rendered: {error}", "see docs/how-to/templates.md") from None


def render(source: str, values: Mapping[str, Any]) -> str:
    """What `source`, which has been checked, says of `values`.

    Raises TooMuch, jinja2.TemplateError, TypeError or ValueError: then the standard text is the better one.
    """
    until = time.monotonic() + RENDER_MAX_S
    written: list[str] = []
    size = 0
    for piece in _compiled(source).generate(**values):
        size += len(piece)
        if size > OUTPUT_MAX:
            raise TooMuch(f"it writes more than {OUTPUT_MAX} characters")
        if time.monotonic() > until:
            raise TooMuch(f"it takes longer than {RENDER_MAX_S:g} s")
        written.append(piece)
    return "".join(written)


# ---- filters: the few that cannot grow a text


def _text(value: object) -> str:
    return str(value)[:_TEXT_MAX]


def _join(items: Iterable[object], joint: str = "") -> str:
    shown: list[str] = []
    for place, item in enumerate(items):
        if place >= _ITEMS_MAX:
            break
        shown.append(_text(item))
    return _text(_text(joint)[:20].join(shown))


def _first(items: Iterable[object], count: int = 1) -> list[object]:
    return list(items)[: max(0, min(int(count), _ITEMS_MAX))]


def _cut(value: object, length: int = 80) -> str:
    text, room = _text(value), max(1, min(int(length), _TEXT_MAX))
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "upper": lambda value: _text(value).upper(),
    "lower": lambda value: _text(value).lower(),
    "capitalize": lambda value: _text(value).capitalize(),
    "trim": lambda value: _text(value).strip(),
    "default": lambda value, other="": value or other,
    "length": len,
    "join": _join,
    "first": _first,
    "cut": _cut,
    "round": lambda value: round(float(value)),
}


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=False, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.clear()
    environment.tests.clear()
    environment.filters.clear()
    environment.filters.update(FILTERS)
    return environment


@lru_cache(maxsize=200)
def _compiled(source: str) -> Template:
    return _environment().from_string(source)


# ---- what may stand in a template

_PLAIN: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.Const, nodes.CondExpr, nodes.And,
    nodes.Or, nodes.Not, nodes.Compare, nodes.Operand, nodes.Concat, nodes.Keyword,
)  # fmt: skip
_LOOP: Final = {"index": "", "first": "", "last": "", "length": ""}


class _Checking:
    """One look at a whole template: everything in it is on the list, every name is known."""

    def __init__(self) -> None:
        self._count = 0

    def walk(self, tree: nodes.Node) -> None:
        """Raises TemplateWrong for the first thing that may not be there."""
        self._look(tree, {}, 0, 0)

    def _look(self, node: nodes.Node, scope: Mapping[str, Mapping[str, str]], loops: int, depth: int) -> None:
        self._count += 1
        if depth > _NESTING_MAX or self._count > NODES_MAX:
            raise TemplateWrong("it is too large or nested too deeply", "simplify it", node.lineno)
        if isinstance(node, nodes.For):
            self._loop(node, scope, loops, depth)
            return
        if isinstance(node, nodes.Getattr | nodes.Getitem):
            self._attribute(node, scope)
            return
        if isinstance(node, nodes.Name):
            _known(node, scope)
        elif isinstance(node, nodes.Filter):
            _filter(node)
        elif not isinstance(node, _PLAIN):
            raise TemplateWrong(*_refused(node), node.lineno)
        for child in node.iter_child_nodes():
            self._look(child, scope, loops, depth + 1)

    def _loop(self, node: nodes.For, scope: Mapping[str, Mapping[str, str]], loops: int, depth: int) -> None:
        fields = _items_of(node.iter, scope)
        if fields is None and isinstance(node.iter, nodes.Name):
            what = f"there is no list `{shown_key(node.iter.name)}`"
            raise TemplateWrong(what, nearest(node.iter.name, LISTS), node.lineno)
        if fields is None or not isinstance(node.target, nodes.Name):
            fix = f"write {{% for item in evidence %}}; lists are {', '.join(LISTS)} and the lines of a group"
            raise TemplateWrong("a loop goes over one of the message's lists", fix, node.lineno)
        if loops >= DEPTH_MAX or node.recursive:
            raise TemplateWrong(f"loops stand at most {DEPTH_MAX} deep", "flatten it", node.lineno)
        inner = {**scope, node.target.name: fields, "loop": _LOOP}
        for child in (*node.body, *node.else_, *([node.test] if node.test else [])):
            self._look(child, inner, loops + 1, depth + 1)

    def _attribute(self, node: nodes.Getattr | nodes.Getitem, scope: Mapping[str, Mapping[str, str]]) -> None:
        owner = node.node.name if isinstance(node.node, nodes.Name) else ""
        if isinstance(node, nodes.Getitem) or owner not in scope:
            fix = "write {% for item in evidence %}{{ item.peer }}{% endfor %}"
            raise TemplateWrong("only the items of a loop have parts", fix, node.lineno)
        if node.attr not in scope[owner]:
            what = f"`{shown_key(owner)}` has no `{shown_key(node.attr)}`"
            raise TemplateWrong(what, nearest(node.attr, scope[owner]), node.lineno)


def _items_of(node: nodes.Node, scope: Mapping[str, Mapping[str, str]]) -> Mapping[str, str] | None:
    """What the items of a list have; None when `node` is no list of the message."""
    if isinstance(node, nodes.Filter) and node.name == "first" and node.node is not None:
        _filter(node)
        return _items_of(node.node, scope)
    if isinstance(node, nodes.Name):
        return LISTS.get(node.name)
    is_lines = isinstance(node, nodes.Getattr) and node.attr == "lines" and isinstance(node.node, nodes.Name)
    return {} if is_lines and "lines" in scope.get(getattr(node.node, "name", ""), {}) else None  # type: ignore[attr-defined] # a Getattr, as is_lines says


def _known(node: nodes.Name, scope: Mapping[str, Mapping[str, str]]) -> None:
    known = {*VARIABLES, *LISTS, *scope}
    if node.name not in known:
        what = f"there is no variable `{shown_key(node.name)}`"
        raise TemplateWrong(what, nearest(node.name, sorted(known)), node.lineno)


def _filter(node: nodes.Filter) -> None:
    if node.name not in FILTERS:
        what = f"there is no filter `{shown_key(node.name)}`"
        raise TemplateWrong(what, nearest(node.name, FILTERS), node.lineno)
    if any(not isinstance(argument, nodes.Const) for argument in node.args) or node.kwargs:
        raise TemplateWrong(
            "a filter takes fixed values", f"as in {{{{ title|{node.name}(20) }}}}", node.lineno
        )


def _refused(node: nodes.Node) -> tuple[str, str]:
    word = {
        "Call": "calls",
        "Include": "including other files",
        "Extends": "extending other files",
        "Import": "importing",
        "FromImport": "importing",
        "Macro": "macros",
        "Assign": "setting variables",
        "AssignBlock": "setting variables",
        "Mul": "arithmetic",
        "Pow": "arithmetic",
    }.get(type(node).__name__, f"`{type(node).__name__.lower()}`")
    return f"{word} cannot be used in a template", "variables, filters, if and for are all there is"


SAMPLE: Final[Mapping[str, Any]] = {
    **dict.fromkeys(VARIABLES, "sample"),
    "incident": 42,
    "attempt": 1,
    "evidence": [dict.fromkeys(LISTS["evidence"], "sample") | {"latency_ms": 81.4}],
    "facts": [dict.fromkeys(LISTS["facts"], "sample")],
    "groups": [{"title": "sample", "lines": ["sample"]}],
    "links": [dict.fromkeys(LISTS["links"], "sample")],
    "notes": [{"text": "sample"}],
}
"""A message that says something everywhere, to try a template with."""
