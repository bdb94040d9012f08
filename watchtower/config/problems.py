"""What is wrong with a configuration, where, and what to do about it.

`Wrong` is raised by whoever reads a single value and never quotes that value, because it may have come
out of `${}`: the report shows the line as it was written instead. `Problem` is a Wrong with its place.
"""

from __future__ import annotations

from msgspec import Struct


class Wrong(ValueError):  # noqa: N818 - it is what a person wrote that is wrong, not the program
    """A value that cannot be used: what is wrong, and what to do.

    `start` and `width` point at a part of the value in characters; None means the whole of it.
    """

    def __init__(self, what: str, fix: str = "", *, start: int | None = None, width: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix
        self.start = start
        self.width = width


class Problem(Struct, frozen=True, kw_only=True):
    """One thing wrong at one place; `line` and `column` count from 1, `path` is the key path."""

    line: int
    column: int
    width: int
    path: str
    what: str
    fix: str
