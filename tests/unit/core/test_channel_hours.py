"""The hour in which a channel has had so many messages, written down by clocks of which one is wrong."""

from __future__ import annotations

import pytest
from support.core_support import WALL, Book

from watchtower.core.channel_rows import HOUR_S
from watchtower.core.model import Outcome

HOUR = int(WALL // HOUR_S)


def hours_after(*walls: float) -> tuple[int, int]:
    """The hour and its count after messages that were taken at these times."""
    book = Book()
    for number, at_wall in enumerate(walls):
        (item,) = book.opened(f"s{number}")
        book.claim(item)
        book.settle(item, Outcome.ACCEPTED, at_wall=at_wall)
    row = book.state.channels["chat"]
    return row.hour, row.hour_sent


@pytest.mark.parametrize("ahead_s", [2 * HOUR_S, 365 * 86_400.0])
def test_an_hour_that_lies_far_ahead_is_forgotten(ahead_s: float) -> None:
    """Else nothing would be counted, and no ceiling hold, until that hour has come."""
    assert hours_after(WALL + ahead_s, WALL, WALL + 1) == (HOUR, 2)


def test_clocks_that_differ_by_seconds_do_not_begin_the_hour_anew() -> None:
    """One peer is in the next hour already, another is not: the messages of both count."""
    next_wall = (HOUR + 1) * HOUR_S
    assert hours_after(next_wall - 9, next_wall + 1, next_wall - 1, next_wall + 2) == (HOUR + 1, 3)
