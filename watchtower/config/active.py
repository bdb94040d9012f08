"""Reads active times: `mon-fri 08:00-18:00 Europe/Berlin`, each of the three parts may be left out.

What they mean is core/alerting/hours.py's.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower.config.problems import Wrong
from watchtower.config.readers import read_timezone
from watchtower.core.alerting.hours import DAYS, EVERY_DAY
from watchtower.core.nearest import nearest
from watchtower.core.settings import Hours

_AS_IN: Final = "write it like mon-fri 08:00-18:00 Europe/Berlin"
_TIMES: Final = re.compile(r"(?P<from>\d{1,2}:\d\d)-(?P<until>\d{1,2}:\d\d)", re.ASCII)
_DAYS_LIKE: Final = re.compile(r"[A-Za-z]+([,-][A-Za-z]+)*", re.ASCII)
_DAY_LENGTH: Final = 3
_MIDNIGHT: Final = 24 * 60


def read_hours(text: str) -> Hours:
    """The hours of the week in `text`; `timezone` is "" where it names none. Raises Wrong."""
    words = [(match.start(), match[0]) for match in re.finditer(r"\S+", text)]
    days, times, timezone = EVERY_DAY, (0, 0), ""
    seen = ""
    for start, word in words:
        kind = _kind(word)
        if kind in seen:
            raise Wrong("there are two of the same here", _AS_IN, start=start, width=len(word))
        seen += kind
        try:
            if kind == "d":
                days = _days(word)
            elif kind == "t":
                times = _times(word)
            else:
                timezone = read_timezone(word)
        except Wrong as wrong:
            raise Wrong(wrong.what, wrong.fix, start=start, width=len(word)) from None
    if not {"d", "t"} & set(seen):
        raise Wrong("neither days nor times", _AS_IN)
    return Hours(days=days, from_minute=times[0], until_minute=times[1], timezone=timezone)


def _kind(word: str) -> str:
    """`d` for days, `t` for times, `z` for a time zone."""
    if any(char.isdigit() for char in word) and "/" not in word:
        return "t"
    is_zone = "/" in word or word.upper() in {"UTC", "GMT"} or not _DAYS_LIKE.fullmatch(word)
    return "z" if is_zone else "d"


def _days(word: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in word.lower().split(","):
        first, dash, last = part.partition("-")
        start, end = _day(first), _day(last if dash else first)
        days |= {(start + step) % 7 for step in range((end - start) % 7 + 1)}
    return tuple(sorted(days))


def _day(word: str) -> int:
    name = word[:_DAY_LENGTH]
    names = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    if name not in DAYS or not names[DAYS.index(name)].startswith(word):
        raise Wrong("this is no day of the week", nearest(word, DAYS))
    return DAYS.index(name)


def _times(word: str) -> tuple[int, int]:
    match = _TIMES.fullmatch(word)
    if match is None:
        raise Wrong("these are no times", "write them like 08:00-18:00, or 22:00-06:00 over midnight")
    start, end = _minute(match["from"]), _minute(match["until"])
    if start in {_MIDNIGHT, end}:
        raise Wrong("nothing lies between these times", "leave them out for the whole day")
    return start, end % _MIDNIGHT


def _minute(clock: str) -> int:
    hour, _, minute = clock.partition(":")
    total = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or total > _MIDNIGHT:
        raise Wrong("there is no such time of day", "times go from 00:00 to 24:00")
    return total
