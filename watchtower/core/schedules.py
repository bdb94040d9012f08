"""When a beat is due or maintenance begins: every so often, or at the times of a cron expression in a zone.

Cron is cronsim's, which follows Debian's cron: what falls into the hour that spring leaves out is due right
after it, and what falls into the hour that autumn repeats is due once. The time zone database counts as a
table of constants; config/ has looked up every zone before anything here asks for it. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from watchtower.core.targets import HeartbeatTarget

EARLY_S: Final = 10.0
"""How much too early a beat may come and still be that of its time: clocks of two machines differ."""
FIELDS: Final = ("minute", "hour", "day", "month", "weekday")
_SAMPLE: Final = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
_SAMPLES: Final = 400


class ScheduleError(ValueError):
    """No cron expression, or one that is never due; the text is cronsim's word for the wrong field."""


def first_due(target: HeartbeatTarget, beat_wall: float) -> float:
    """When the beat after the one at `beat_wall` is due."""
    if not target.cron:
        return beat_wall + target.period_s
    return _next(target.cron, target.timezone, math.floor(beat_wall + EARLY_S))


def first_due_since(target: HeartbeatTarget, beat_wall: float, since_wall: float) -> float:
    """The first time from `since_wall` on at which a beat after that of `beat_wall` is due."""
    if not target.cron:
        missed = math.ceil((since_wall - beat_wall) / target.period_s)
        return beat_wall + target.period_s * max(1, missed)
    from_then_on = _next(target.cron, target.timezone, math.ceil(since_wall) - 1)
    return max(first_due(target, beat_wall), from_then_on)


def due_between(cron: str, timezone: str, after_wall: float, until_wall: float) -> Iterator[float]:
    """The due times after `after_wall`, up to and with `until_wall`, in order."""
    due = _next(cron, timezone, math.floor(after_wall))
    while due <= until_wall:
        yield due
        due = _next(cron, timezone, math.floor(due))


def next_of(cron: str, timezone: str, after_wall: float) -> float:
    """The first time of a cron expression after `after_wall`; infinite when there is none."""
    return _next(cron, timezone, math.floor(after_wall))


def longest_wait_s(target: HeartbeatTarget) -> float:
    """The longest time between two beats: the period, or the longest gap of a long row of due times."""
    return longest_pause_s(target.cron, target.timezone) if target.cron else target.period_s


def longest_pause_s(cron: str, timezone: str) -> float:
    """The longest time between two of a long row of due times."""
    row = islice(_row(cron, timezone, _SAMPLE), _SAMPLES)
    return max(later - earlier for earlier, later in pairwise(row))


def check(cron: str, timezone: str) -> None:
    """Raises ScheduleError unless `cron` has five fields and times to come, KeyError for no time zone."""
    if len(cron.split()) != len(FIELDS):
        raise ScheduleError
    try:
        is_ever_due = next(_row(cron, timezone, _SAMPLE), None) is not None
    except CronSimError as error:
        raise ScheduleError(str(error)) from None
    if not is_ever_due:
        raise ScheduleError("Bad day-of-month")


@lru_cache(maxsize=8192)
def _next(cron: str, timezone: str, after_wall: int) -> float:
    return next(_row(cron, timezone, after_wall), math.inf)


def _row(cron: str, timezone: str, after_wall: float) -> Iterator[float]:
    """The due times after `after_wall`, in order."""
    for due in CronSim(cron, datetime.fromtimestamp(after_wall, zone(timezone))):
        # In the hour that autumn repeats cronsim answers with the first of the two.
        if due.timestamp() > after_wall:
            yield due.timestamp()


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of that name, which config/ has found to be one."""
    return ZoneInfo(name)
