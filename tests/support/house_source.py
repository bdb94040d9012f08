"""The project's files as the house test reads them: text, comments, syntax trees, functions, imports.

Decides what counts as a file of the project and how a function is measured. It never judges: the
limits and the words that are not wanted stand in tests/house/test_house_rules.py.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from support.house_measures import FunctionNode, lines_of, nesting_of

ROOT = Path(__file__).resolve().parent.parent.parent
TREES = ("watchtower", "tests", "docs", "deploy", ".ci")
TOP_FILES = ("README.md", "CHANGELOG.md", "pyproject.toml")
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".html",
    ".css",
    ".js",
    ".json",
    ".service",
    ".txt",
    ".sh",
    "",
}


@dataclass(frozen=True)
class Function:
    """One function: where it stands, its lines without the docstring, its deepest nest of blocks."""

    place: str
    node: FunctionNode
    lines: int
    nesting: int


@cache
def text_files() -> tuple[Path, ...]:
    """Every text file of the project, caches and hidden folders aside."""
    found = [ROOT / name for name in TOP_FILES if (ROOT / name).exists()]
    for tree in TREES:
        found.extend(
            path
            for path in (ROOT / tree).rglob("*")
            if path.is_file() and path.suffix in TEXT and not is_hidden(path.relative_to(ROOT / tree))
        )
    return tuple(sorted(found))


def is_hidden(path: Path) -> bool:
    """Whether a relative path leads through a cache or a hidden folder."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


def python_files(*trees: str) -> tuple[Path, ...]:
    """The Python files below the given folders of the project."""
    roots = [ROOT / tree for tree in trees]
    return tuple(
        path
        for path in text_files()
        if path.suffix == ".py" and any(path.is_relative_to(root) for root in roots)
    )


def where(path: Path, line: int | None = None) -> str:
    """`watchtower/app.py:12`, the way an editor can jump to."""
    return str(path.relative_to(ROOT)) + (f":{line}" if line else "")


@cache
def text_of(path: Path) -> str:
    """The text of a file."""
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text_of(path), filename=str(path))


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Line number and text of every comment of a Python file; strings are not comments."""
    for token in tokenize.generate_tokens(io.StringIO(text_of(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a Python file, nested ones too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, FunctionNode):
            place = f"{where(path, node.lineno)} {node.name}"
            yield Function(place, node, lines_of(node), nesting_of(node.body))


def module_of(path: Path) -> str:
    """Dotted name of a file below the root; a package's `__init__` carries the package's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, known: frozenset[str]) -> Iterator[str]:
    """Modules among `known` that a file imports, anywhere in it."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if (found := inner if inner in known else node.module) in known:
                    yield found


def refuse(offenders: Iterable[str], rule: str) -> None:
    """Fail with the rule and every offender; a clean list passes."""
    listed = sorted(offenders)
    assert not listed, f"{rule}:\n  " + "\n  ".join(listed)
