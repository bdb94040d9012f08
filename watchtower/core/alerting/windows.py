"""Planned maintenance on the clock: is a window open now, and until when?

Starts follow the cron rules of schedules.py. Where clocks jump, a window is as long as anybody may read it:
it ends once its length has passed and the clock on the wall shows its end, whichever is later, so that
nobody is paged for work that is still going on. Pure.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from watchtower.core import schedules
from watchtower.core.settings import Window

JUMP_MAX_S: Final = 10_800.0
"""No zone moves its clock by more in one night."""
_MINUTE_S: Final = 60.0


def open_until(window: Window, now_wall: float) -> float:
    """When the window that is open now ends (Unix seconds); 0.0 when none is."""
    if not window.cron:
        return window.end_wall if window.start_wall <= now_wall < window.end_wall else 0.0
    # Cron starts at whole minutes, so within one minute the answer changes by nothing but `now`.
    minute = math.floor(now_wall / _MINUTE_S) * _MINUTE_S
    spans = _spans(window.cron, window.timezone, window.for_s, minute)
    return max((end_wall for start_wall, end_wall in spans if start_wall <= now_wall < end_wall), default=0.0)


@lru_cache(maxsize=1024)
def _spans(cron: str, timezone: str, for_s: float, minute_wall: float) -> tuple[tuple[float, float], ...]:
    """Starts and ends of the windows that may be open in this minute, in order."""
    after_wall = minute_wall - for_s - JUMP_MAX_S
    starts = schedules.due_between(cron, timezone, after_wall, minute_wall)
    return tuple((start, ends_wall(start, for_s, timezone)) for start in starts)


def ends_wall(start_wall: float, for_s: float, timezone: str) -> float:
    """When what starts then and lasts so long is over, by its length and by the clock on the wall."""
    start = datetime.fromtimestamp(start_wall, schedules.zone(timezone))
    return max(
        start_wall + for_s, latest_wall(start.replace(tzinfo=None) + timedelta(seconds=for_s), timezone)
    )


def earliest_wall(local: datetime, timezone: str) -> float:
    """The first instant that a local time may mean; it may mean two, or none, when clocks jump."""
    return min(_readings(local, schedules.zone(timezone)))


def latest_wall(local: datetime, timezone: str) -> float:
    """The last instant that a local time may mean."""
    return max(_readings(local, schedules.zone(timezone)))


def _readings(local: datetime, zone: ZoneInfo) -> tuple[float, float]:
    first, second = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return first.timestamp(), second.timestamp()
