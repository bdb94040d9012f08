"""The word that was most likely meant: advice for everybody who reads what people write.

Files, command lines and requests are answered with the same words. Pure; it never shows more of a foreign
word than `shown_key` lets through.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

_KEY_SHOWN_MAX: Final = 64
_LISTED_MAX: Final = 20


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
