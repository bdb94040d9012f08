"""Judges whether a cluster secret is worth 128 bits: a guess by its letters, to catch what was typed by hand.

The cluster's keys are derived from the secret alone, so a guessable one opens the cluster to anybody who
reaches its port. `watchtower init` makes a good one.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

from watchtower.config.problems import Wrong

BITS_MIN: Final = 128
_FIX: Final = "`watchtower init` makes one; so does `openssl rand -hex 32`"
_TYPED: Final = re.compile(
    r"changeme|change-me|password|passwort|passphrase|watchtower|example|letmein|qwert|secret", re.IGNORECASE
)
_RUN_MAX: Final = 0.5
_DISTINCT_MIN: Final = 8


def check_secret(secret: str) -> None:
    """Raises Wrong when `secret` has fewer than 128 bits by its length and letters, or was typed by hand."""
    bits = int(len(secret) * _bits_per_character(secret))
    if bits < BITS_MIN:
        raise Wrong(f"the secret is too weak: about {bits} bits, needed are {BITS_MIN}", _FIX)
    if _TYPED.search(secret):
        raise Wrong("the secret holds a word that people choose; it must be random", _FIX)
    if len(set(secret)) < _DISTINCT_MIN or _is_periodic(secret) or _steps(secret) > _RUN_MAX:
        raise Wrong("the secret repeats itself; it must be random", _FIX)


def _bits_per_character(secret: str) -> float:
    if re.fullmatch(r"\d*", secret, re.ASCII):
        return 3.3
    if re.fullmatch(r"[0-9a-f]*|[0-9A-F]*", secret):
        return 4.0
    if re.fullmatch(r"[A-Za-z]?[a-z\s_.,-]*|[A-Z\s_.,-]*", secret):
        # Words: about two and a half bits a letter even when the words were drawn by dice.
        return 2.3
    return 6.0


def _is_periodic(secret: str) -> bool:
    return secret in (secret + secret)[1:-1]


def _steps(secret: str) -> float:
    """Share of characters that are the one before, or its neighbour in the alphabet."""
    near = sum(abs(ord(left) - ord(right)) <= 1 for left, right in pairwise(secret))
    return near / max(1, len(secret) - 1)
