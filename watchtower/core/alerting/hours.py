"""Active times: is it one of these hours of the week, in their time zone?

Times are those a clock on the wall there shows, so an hour that spring leaves out is no time at all and one
that autumn repeats counts both times. A range over midnight belongs to the day on which it begins. Decides
nothing about routes. The time zone database counts as a table of constants; config/ has looked up every zone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from watchtower.core.settings import Hours

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY: Final = tuple(range(7))
_MINUTE_S: Final = 60
_LOOKED_AHEAD_S: Final = 8 * 86_400
_SEPARATE_MIN: Final = 3
"""So many days in a row are worth a dash."""


def is_active(hours: Iterable[Hours], at_wall: float) -> bool:
    """True when one of them holds at Unix second `at_wall`."""
    return any(_holds(one, at_wall) for one in hours)


def _holds(hours: Hours, at_wall: float) -> bool:
    local = datetime.fromtimestamp(at_wall, ZoneInfo(hours.timezone))
    minute, day = local.hour * 60 + local.minute, local.weekday()
    if hours.from_minute < hours.until_minute:
        return day in hours.days and hours.from_minute <= minute < hours.until_minute
    is_evening = day in hours.days and minute >= hours.from_minute
    return is_evening or ((day - 1) % 7 in hours.days and minute < hours.until_minute)


def next_change(hours: Iterable[Hours], at_wall: float) -> float | None:
    """The first full minute after `at_wall` at which it is otherwise; None within the next eight days."""
    hours = tuple(hours)
    is_now, start = is_active(hours, at_wall), int(at_wall // _MINUTE_S) * _MINUTE_S
    minutes = range(start + _MINUTE_S, start + _LOOKED_AHEAD_S, _MINUTE_S)
    return next((float(minute) for minute in minutes if is_active(hours, minute) is not is_now), None)


def shown(hours: Hours) -> str:
    """As people write it: `mon-fri 08:00-18:00 Europe/Berlin`."""
    parts = [] if hours.days == EVERY_DAY else [_days(hours.days)]
    if (hours.from_minute, hours.until_minute) != (0, 0):
        parts.append(f"{_clock(hours.from_minute)}-{_clock(hours.until_minute or 24 * 60)}")
    return " ".join([*(parts or ["mon-sun"]), hours.timezone])


def _days(days: tuple[int, ...]) -> str:
    is_row = days == tuple(range(days[0], days[-1] + 1))
    if is_row and len(days) >= _SEPARATE_MIN:
        return f"{DAYS[days[0]]}-{DAYS[days[-1]]}"
    return ",".join(DAYS[day] for day in days)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
