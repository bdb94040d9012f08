"""Reads numbers with units: durations, percentages, counts, booleans. Type comes from the schema alone.

YAML's own guesses (`012`, `off`, `23:00`) are never used: every value arrives as the text that was written.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower.config.problems import Wrong

_UNITS_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d|w)", re.ASCII)
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}(?:\.\d{1,3})?", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds of `800ms`, `30s`, `2m`, `1h30m`, `21d`. Raises Wrong."""
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS_S[unit] for number, unit in _PART.findall(text))
    if _NUMBER.fullmatch(text):
        raise Wrong("a duration needs a unit", "write it like 800ms, 30s, 2m, 1h or 1d")
    raise Wrong("this is no duration", "write it like 800ms, 30s, 2m, 1h or 1d")


def duration_text(seconds: float) -> str:
    """Seconds in the largest unit that divides them: `90s`, `2m`, `250ms`."""
    milliseconds = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(_UNITS_S[unit] * 1000)
        if milliseconds >= size and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def parse_percent(text: str) -> float:
    """Fraction of `10%`. Raises Wrong."""
    if text.endswith("%") and _NUMBER.fullmatch(text[:-1]):
        return float(text[:-1]) / 100
    raise Wrong("this is no percentage", "write it like 10%")


def parse_count(text: str) -> int:
    """A whole number of at most nine digits. Raises Wrong."""
    if re.fullmatch(r"\d{1,9}", text, re.ASCII):
        return int(text)
    raise Wrong("this is no whole number", "write it like 3")


def parse_flag(text: str) -> bool:
    """Only `true` and `false`. Raises Wrong."""
    if text in {"true", "false"}:
        return text == "true"
    raise Wrong("this is neither true nor false", "write true or false")
