"""Puts `${VAR}`, `${VAR:-default}` and `${file:/path}` into scalars, after YAML has been read.

What is put in is never parsed as YAML and never appears in a problem: problems name the variable or the
file, and reports show the line as written. `$${` is a literal `${`. Keys are not expanded. A value that would
end the user info of a URL early is refused: the rest of a password would be taken for a host to be asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Final

from msgspec.structs import replace

from watchtower.config.document import Entry, Path, Scalar, Sequence, Span, Table, Tree, problem_at
from watchtower.config.problems import Problem, Wrong
from watchtower.core.nearest import nearest

FILE_BYTES_MAX: Final = 65_536
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_BEFORE_USER_INFO: Final = re.compile(r"[A-Za-z][\w+.-]*://[^/?#]*")
_REST_OF_USER_INFO: Final = re.compile(r"[^/?#]*@")
_ENDS_USER_INFO: Final = re.compile(r"[/?#]")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def expanded(text: str, environ: Mapping[str, str]) -> str:
    """A single value with everything put in, outside of any file. Raises Wrong."""
    return Expansion(environ, FilePath()).put_in(text)


class Expansion:
    """One pass over a tree; `problems` and `failed` say what could not be put in, and where."""

    def __init__(self, environ: Mapping[str, str], folder: FilePath) -> None:
        self._environ = environ
        self._folder = folder
        self.problems: list[Problem] = []
        self.failed: set[Path] = set()

    def expand_file(self, tree: Table) -> Table:
        """The whole file expanded."""
        return self._table(tree, ())

    def expand(self, tree: Tree, path: Path) -> Tree:
        """The tree with every scalar expanded. A scalar that fails becomes empty text."""
        if isinstance(tree, Table):
            return self._table(tree, path)
        if isinstance(tree, Sequence):
            items = tuple(self.expand(item, (*path, index)) for index, item in enumerate(tree.items))
            return replace(tree, items=items)
        return self._scalar(tree, path)

    def put_in(self, written: str) -> str:
        """One value with everything put in. Raises Wrong."""
        plain = _REFERENCE.sub(lambda match: "\0" * len(match[0]), written)

        def value(match: re.Match[str]) -> str:
            found = self._value(match)
            before, after = plain[: match.start()], plain[match.end() :]
            is_user_info = _BEFORE_USER_INFO.fullmatch(before) and _REST_OF_USER_INFO.match(after)
            if is_user_info and _ENDS_USER_INFO.search(found):
                raise Wrong(
                    "the value has a `/`, `?` or `#`, where the user info of a URL would end",
                    "write them as %2F, %3F and %23, or use the key `password:` where there is one",
                    start=match.start(),
                    width=len(match[0]),
                )
            return found

        return _REFERENCE.sub(value, written)

    def _table(self, table: Table, path: Path) -> Table:
        entries = {
            name: Entry(entry.key, self.expand(entry.value, (*path, name)))
            for name, entry in table.entries.items()
        }
        return replace(table, entries=entries)

    def _scalar(self, scalar: Scalar, path: Path) -> Scalar:
        if scalar.written is None or "${" not in scalar.written:
            return scalar
        try:
            return replace(scalar, text=self.put_in(scalar.written))
        except Wrong as wrong:
            self.failed.add(path)
            self.problems.append(problem_at(_part(scalar, wrong), path, wrong.what, wrong.fix))
            return replace(scalar, text="")

    def _value(self, match: re.Match[str]) -> str:
        start, width = match.start(), len(match[0])
        inner = match[1]
        if match[0] == "$${":
            return "${"
        if inner is None:
            raise Wrong("`${` is not closed", "write ${VAR}; a literal ${ is $${", start=start, width=width)
        if inner.startswith("file:"):
            return self._file(inner.removeprefix("file:"), start, width)
        variable = _VARIABLE.fullmatch(inner)
        if variable is None:
            fix = "write ${VAR}, ${VAR:-default} or ${file:/path}; a literal ${ is $${"
            raise Wrong("this is no variable name", fix, start=start, width=width)
        name, default = variable[1], variable[2]
        value = self._environ.get(name)
        if default is not None:
            return value or default
        if value is None:
            close = nearest(name, self._environ)
            hint = f" ({close})" if close.startswith("did") else ""
            fix = f"set it, or give a default: ${{{name}:-...}}{hint}"
            raise Wrong(f"the environment has no variable {name}", fix, start=start, width=width)
        return value

    def _file(self, name: str, start: int, width: int) -> str:
        path = self._folder / name
        try:
            with path.open("rb") as handle:
                raw = handle.read(FILE_BYTES_MAX + 1)
            if len(raw) > FILE_BYTES_MAX:
                raise Wrong(
                    "the file is larger than 64 KiB", "a secret is a short text", start=start, width=width
                )
            return raw.decode().rstrip("\r\n")
        except OSError as error:
            reason = error.strerror or "not readable"
            fix = "create it, or let the user that runs watchtower read it"
            raise Wrong(f"the file cannot be read: {reason}", fix, start=start, width=width) from error
        except UnicodeDecodeError as error:
            raise Wrong("the file is not UTF-8 text", "store text in it", start=start, width=width) from error


def _part(scalar: Scalar, wrong: Wrong) -> Span:
    """The place of `wrong` in a scalar that is written as it is: on one line, or line by line below `|`."""
    span = scalar.span
    lines, below = (scalar.text or "").rstrip("\n").count("\n") + 1, span.end_line - span.line
    # The next key may stand on the line that ends the block, or the file ends with it.
    if wrong.start is not None and below and lines in (below, below - 1):
        line = span.line + 1 + (scalar.text or "").count("\n", 0, wrong.start)
        return Span(line, 1, line, 1 + max(1, wrong.width))
    written_width = span.width - 2 * scalar.quoted
    if wrong.start is None or span.line != span.end_line or written_width != len(scalar.written or ""):
        return span
    column = span.column + scalar.quoted + wrong.start
    return Span(span.line, column, span.line, column + max(1, wrong.width))


def part_of(scalar: Scalar, wrong: Wrong) -> Span:
    """Where in `scalar` the value is wrong; the whole scalar when it was expanded or spans lines."""
    return _part(scalar, wrong) if scalar.text == scalar.written else scalar.span
