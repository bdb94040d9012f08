"""What is wrong with a configuration, where, and what to do about it.

`Wrong` is raised by whoever reads a single value and never quotes that value, because it may have come
out of `${}`: the report shows the line as it was written instead. `Problem` is a Wrong with its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

_KEY_SHOWN_MAX: Final = 64
_LISTED_MAX: Final = 20


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


def shown_key(key: str) -> str:
    """A key as it may be printed: no control characters, no credentials, not endless."""
    if "://" in key:
        return key.partition("://")[0][:16] + "://***"
    clean = "".join(char if char.isprintable() else "?" for char in key)
    return clean if len(clean) <= _KEY_SHOWN_MAX else clean[:_KEY_SHOWN_MAX] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Advice: the known word that was most likely meant, else the list of those there are."""
    words = list(known)
    folded = {candidate.casefold(): candidate for candidate in words}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{shown_key(folded[close[0]])}`?"
    if not words:
        return "there are none"
    listed = ", ".join(shown_key(candidate) for candidate in words[:_LISTED_MAX])
    return f"known here: {listed}" + (", ..." if len(words) > _LISTED_MAX else "")
