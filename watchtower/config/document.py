"""YAML text to a tree of nodes that know where they were written. Scalars stay the text they were.

YAML 1.2, one document, no duplicate keys, no tags, no merge keys, bounded size and depth. `locate` finds
the place of a key path; `fingerprint` is the hash of the tree before `${}` expansion, in which comments,
formatting and the order of keys have no part, save that the first channel is the default one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from watchtower.config.problems import Problem
from watchtower.config.traps import explain
from watchtower.core.nearest import shown_key

DEPTH_MAX: Final = 24
NODES_MAX: Final = 200_000
_PLAIN_TAG: Final = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]


class Span(Struct, frozen=True):
    """A piece of the text: lines and columns count from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def width(self) -> int:
        """Characters on the first line."""
        return max(1, self.end_column - self.column) if self.end_line == self.line else 1


class Scalar(Struct, frozen=True):
    """A single value: `text` after `${}` expansion, `written` before; None is an empty value."""

    text: str | None
    written: str | None
    span: Span
    quoted: bool = False


class Sequence(Struct, frozen=True):
    """A list."""

    items: tuple[Tree, ...]
    span: Span
    flow: bool = False


class Entry(Struct, frozen=True):
    """One key of a mapping with the place of the key."""

    key: Span
    value: Tree


class Table(Struct, frozen=True):
    """A mapping. What was dropped as wrong still stands in the text: `refused`, and the keys of it."""

    entries: dict[str, Entry]
    span: Span
    flow: bool = False
    refused: tuple[Tree, ...] = ()
    refused_keys: tuple[Span, ...] = ()


Tree = Scalar | Sequence | Table


def path_text(path: Path) -> str:
    """The key path for people: `services.shop.expect[1]`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}"
    return out.lstrip(".") or "(file)"


def problem_at(span: Span, path: Path, what: str, fix: str = "") -> Problem:
    """A problem that points at `span`."""
    return Problem(
        line=span.line, column=span.column, width=span.width, path=path_text(path), what=what, fix=fix
    )


def parse(text: str) -> tuple[Tree | None, list[Problem]]:
    """The tree of `text` and what is wrong with it as YAML. An empty file is an empty mapping."""
    try:
        node = _composed(text)
    except RecursionError:
        return None, [problem_at(Span(1, 1, 1, 2), (), "nested too deeply", "flatten it")]
    except MarkedYAMLError as error:
        return None, [explain(error, text)]
    except YAMLError:
        what = "a character that YAML does not allow"
        line, column = _first_forbidden(text)
        fix = "remove it, or write it as an escape in double quotes"
        return None, [problem_at(Span(line, column, line, column + 1), (), what, fix)]
    reader = _Reader()
    if node is None:
        return Table({}, Span(1, 1, 1, 2)), []
    return reader.tree(node, ()), reader.problems


def _composed(text: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    # The library would print the line with the anchor, and a line may hold a secret.
    yaml.composer.warn_double_anchors = False
    node: Node | None = yaml.compose(text)
    return node


def _first_forbidden(text: str) -> tuple[int, int]:
    for number, line in enumerate(text.split("\n"), start=1):
        for column, char in enumerate(line, start=1):
            if not char.isprintable() and char not in "\t\r\ufeff":
                return number, column
    return 1, 1


class _Reader:
    """Turns composed nodes into our tree and collects problems on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._count = 0

    def tree(self, node: Node, path: Path) -> Tree:
        """The node and all below it."""
        span = _span(node)
        self._count += 1
        if len(path) > DEPTH_MAX or self._count > NODES_MAX:
            # Aliases can make a small file endless; one problem is enough to say so.
            if self._count <= NODES_MAX + 1:
                self._wrong(span, path, "nested too deeply or too large", "split it, use fewer aliases")
                self._count = NODES_MAX + 1
            return Scalar("", "", span)
        if not str(node.tag).startswith(_PLAIN_TAG) or "python" in str(node.tag):
            self._wrong(span, path, "tags (`!...`) have no meaning here", "quote a value that starts with !")
        if isinstance(node, MappingNode):
            return self._table(node, path, span)
        if isinstance(node, SequenceNode):
            items = tuple(self.tree(item, (*path, index)) for index, item in enumerate(node.value))
            return Sequence(items, span, bool(node.flow_style))
        style = getattr(node, "style", None)
        is_null = str(node.tag).endswith(":null") and style is None
        value = None if is_null else str(node.value)
        return Scalar(value, value, span, style in {'"', "'"})

    def _table(self, node: MappingNode, path: Path, span: Span) -> Table:
        entries: dict[str, Entry] = {}
        refused: list[Tree] = []
        refused_keys: list[Span] = []
        for key_node, value_node in node.value:
            where = _span(key_node)
            key = str(key_node.value) if isinstance(key_node, ScalarNode) else ""
            wrong = _wrong_key(key_node, key, where, entries)
            if wrong:
                self._wrong(where, (*path, key) if key else path, *wrong)
                refused.append(self.tree(value_node, (*path, key)))
                if isinstance(key_node, ScalarNode):
                    refused_keys.append(where)
                else:
                    refused.append(self.tree(key_node, path))
                continue
            entries[key] = Entry(where, self.tree(value_node, (*path, key)))
        return Table(entries, span, bool(node.flow_style), tuple(refused), tuple(refused_keys))

    def _wrong(self, span: Span, path: Path, what: str, fix: str) -> None:
        self.problems.append(problem_at(span, path, what, fix))


def _wrong_key(node: Node, key: str, where: Span, entries: Mapping[str, Entry]) -> tuple[str, str] | None:
    """What is wrong with a key and what to do; None when it is fine."""
    if not isinstance(node, ScalarNode):
        return "a key must be a single word", "quote it, or quote the whole value"
    if key in entries:
        first = entries[key].key.line
        what = f"`{shown_key(key)}` is there twice: first on line {first}, again on line {where.line}"
        return what, "keep one of the two"
    if key == "<<":
        return (
            "merge keys (`<<`) are not YAML 1.2",
            "write the keys out, or put what is common under `defaults:`",
        )
    return None


def _span(node: Node) -> Span:
    start, end = node.start_mark, node.end_mark
    return Span(start.line + 1, start.column + 1, end.line + 1, end.column + 1)


def find(tree: Tree, path: Path) -> Tree:
    """The node at `path`, or the deepest one on the way to it."""
    for part in path:
        if isinstance(tree, Table) and part in tree.entries:
            tree = tree.entries[str(part)].value
        elif isinstance(tree, Sequence) and isinstance(part, int) and part < len(tree.items):
            tree = tree.items[part]
        else:
            break
    return tree


def locate(tree: Tree, path: Path, *, key: bool = False) -> Span:
    """Where `path` is written: its key when `key`, else its value; the nearest outer place if it is not.

    A mapping or block list is shown by its own key, because it has no short text of its own.
    """
    best = tree.span
    for depth, part in enumerate(path):
        is_last = depth == len(path) - 1
        if isinstance(tree, Table) and part in tree.entries:
            entry = tree.entries[str(part)]
            shown_by_key = (key and is_last) or not isinstance(entry.value, Scalar)
            empty = isinstance(entry.value, Scalar) and entry.value.text is None
            best = entry.key if shown_by_key or empty else entry.value.span
            tree = entry.value
        elif isinstance(tree, Sequence) and isinstance(part, int) and part < len(tree.items):
            tree = tree.items[part]
            best = tree.span
        else:
            break
    return best


def plain(tree: Tree | None, *, written: bool = False) -> Any:
    """The tree as dicts, lists, strings and None; no tree is None."""
    if tree is None:
        return None
    if isinstance(tree, Table):
        return {name: plain(entry.value, written=written) for name, entry in tree.entries.items()}
    if isinstance(tree, Sequence):
        return [plain(item, written=written) for item in tree.items]
    return tree.written if written else tree.text


def fingerprint(tree: Tree) -> str:
    """First 16 hex digits of the SHA-256 of what was written, before expansion.

    Equal for files that mean the same: keys are sorted, and the one place where order has meaning, the
    first channel (it is told when a service names none), is added by name.
    """
    content = plain(tree, written=True)
    notify = content.get("notify") if isinstance(content, Mapping) else None
    first = next(iter(notify), "") if isinstance(notify, Mapping) else ""
    canonical = json.dumps([content, first], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
