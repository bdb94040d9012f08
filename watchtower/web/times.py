"""Times for people: UTC moments out of wall seconds, and how long something lasts in two units.

The only place where the web shell turns seconds into words. It reads no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def moment(wall: float) -> datetime | None:
    """A wall time as a UTC datetime; None for 0 (never) and for what no calendar holds."""
    return datetime.fromtimestamp(wall, UTC) if 0 < wall < 1e11 else None


def lasting(seconds: float) -> str:
    """`3 min 12 s`, `2 d 4 h`: at most two neighbouring units; under a second `0 s`."""
    left = max(0, int(seconds))
    for place, (size, name) in enumerate(_UNITS):
        if left >= size:
            text = f"{left // size} {name}"
            rest = left % size
            if place + 1 < len(_UNITS) and rest >= _UNITS[place + 1][0]:
                next_size, next_name = _UNITS[place + 1]
                text += f" {rest // next_size} {next_name}"
            return text
    return "0 s"
