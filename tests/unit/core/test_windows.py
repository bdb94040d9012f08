"""Planned maintenance on the clock, above all on the nights when clocks jump, in three time zones."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from watchtower.core.alerting.windows import earliest_wall, ends_wall, latest_wall, open_until
from watchtower.core.settings import Window

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def wall(text: str, zone: str, *, fold: int = 0) -> float:
    """Unix seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


def cron(expression: str, for_s: float, zone: str = "UTC") -> Window:
    """A window of everything."""
    return Window(match=(), cron=expression, for_s=for_s, timezone=zone)


def span(window: Window, near: str, zone: str) -> tuple[str, str]:
    """Local beginning and end (with offset) of the window that is open at local time `near`."""
    now = wall(near, zone)
    end = open_until(window, now)
    assert end, "no window is open"
    while open_until(window, now - 60):
        now -= 60
    assert not open_until(window, end)
    assert open_until(window, end - 1) == end
    start_text, end_text = (datetime.fromtimestamp(at, ZoneInfo(zone)).isoformat()[5:] for at in (now, end))
    return start_text, end_text


def test_once() -> None:
    """From its start on, up to but not including its end."""
    window = Window(match=(), start_wall=100.0, end_wall=200.0)
    assert [open_until(window, now) for now in (99.0, 100.0, 199.9, 200.0)] == [0.0, 200.0, 200.0, 0.0]


def test_a_plain_night() -> None:
    """Two hours from two o'clock."""
    window = cron("0 2 * * *", 7200, BERLIN)
    assert span(window, "2026-12-06 02:30", BERLIN) == ("12-06T02:00:00+01:00", "12-06T04:00:00+01:00")
    assert not open_until(window, wall("2026-12-06 01:59", BERLIN))


def test_over_midnight_and_weeks() -> None:
    """Saturday at ten in the evening until Sunday at six."""
    window = cron("0 22 * * sat", 8 * 3600, BERLIN)
    assert span(window, "2026-12-06 05:00", BERLIN) == ("12-05T22:00:00+01:00", "12-06T06:00:00+01:00")
    assert not open_until(window, wall("2026-12-06 22:30", BERLIN))


@pytest.mark.parametrize(
    ("zone", "near", "expected"),
    [
        # Two o'clock does not exist: the window begins right after the gap and lasts two hours.
        (BERLIN, "2026-03-29 03:30", ("03-29T03:00:00+02:00", "03-29T05:00:00+02:00")),
        (NEW_YORK, "2026-03-08 03:30", ("03-08T03:00:00-04:00", "03-08T05:00:00-04:00")),
        # Half an hour is left out there, from two o'clock on.
        (LORD_HOWE, "2026-10-04 03:00", ("10-04T02:30:00+11:00", "10-04T04:30:00+11:00")),
    ],
)
def test_a_start_that_spring_leaves_out(zone: str, near: str, expected: tuple[str, str]) -> None:
    """What was to start in the gap starts right after it, as cron would start the work."""
    assert span(cron("0 2 * * *", 7200, zone), near, zone) == expected


@pytest.mark.parametrize(
    ("zone", "near", "expected"),
    [
        # 22:00 to 06:00 on the clock has seven hours; work of eight hours ends at seven.
        (BERLIN, "2026-03-29 05:00", ("03-28T22:00:00+01:00", "03-29T07:00:00+02:00")),
        (NEW_YORK, "2026-03-08 05:00", ("03-07T22:00:00-05:00", "03-08T07:00:00-04:00")),
        (LORD_HOWE, "2026-10-04 05:00", ("10-03T22:00:00+10:30", "10-04T06:30:00+11:00")),
    ],
)
def test_across_the_gap_of_spring(zone: str, near: str, expected: tuple[str, str]) -> None:
    """The whole length passes, although the clock on the wall is further by then."""
    assert span(cron("0 22 * * *", 8 * 3600, zone), near, zone) == expected


@pytest.mark.parametrize(
    ("zone", "near", "expected"),
    [
        # Nine hours pass until the clock shows six.
        (BERLIN, "2026-10-25 05:00", ("10-24T22:00:00+02:00", "10-25T06:00:00+01:00")),
        (NEW_YORK, "2026-11-01 05:00", ("10-31T22:00:00-04:00", "11-01T06:00:00-05:00")),
        (LORD_HOWE, "2026-04-05 05:00", ("04-04T22:00:00+11:00", "04-05T06:00:00+10:30")),
    ],
)
def test_across_the_repeat_of_autumn(zone: str, near: str, expected: tuple[str, str]) -> None:
    """It ends when the clock on the wall shows its end, although its length has passed before."""
    assert span(cron("0 22 * * *", 8 * 3600, zone), near, zone) == expected


@pytest.mark.parametrize(
    ("zone", "expression", "near", "expected"),
    [
        (BERLIN, "0 2 * * *", "2026-10-25 02:30", ("10-25T02:00:00+02:00", "10-25T04:00:00+01:00")),
        (NEW_YORK, "0 1 * * *", "2026-11-01 01:30", ("11-01T01:00:00-04:00", "11-01T03:00:00-05:00")),
        (LORD_HOWE, "30 1 * * *", "2026-04-05 01:45", ("04-05T01:30:00+11:00", "04-05T03:30:00+10:30")),
    ],
)
def test_a_start_in_the_hour_that_autumn_repeats(
    zone: str, expression: str, near: str, expected: tuple[str, str]
) -> None:
    """It starts with the first and covers work that starts with the second: one window, not two."""
    window = cron(expression, 7200, zone)
    assert span(window, near, zone) == expected
    assert open_until(window, wall(near, zone, fold=1))


def test_an_end_within_the_repeated_hour_is_the_later_one() -> None:
    """Half past two exists twice; whoever still works at the second is not paged."""
    assert span(cron("0 22 * * *", 4.5 * 3600, BERLIN), "2026-10-25 01:00", BERLIN) == (
        "10-24T22:00:00+02:00",
        "10-25T02:30:00+01:00",
    )


def test_an_end_within_the_gap_is_the_later_reading() -> None:
    """Half past two does not exist: an hour later is half past three, when the length has passed, too."""
    assert ends_wall(wall("2026-03-28 22:00", BERLIN), 4.5 * 3600, BERLIN) == wall("2026-03-29 03:30", BERLIN)


def test_on_other_nights_both_readings_are_one() -> None:
    """A local time mostly means one instant."""
    local = datetime.fromisoformat("2026-12-01 22:00")
    assert earliest_wall(local, BERLIN) == latest_wall(local, BERLIN) == wall("2026-12-01 22:00", BERLIN)


def test_a_start_that_exists_twice_is_the_first_and_an_end_the_second() -> None:
    """A one-off window, too, is as long as anybody may read it."""
    local = datetime.fromisoformat("2026-10-25 02:30")
    assert latest_wall(local, BERLIN) - earliest_wall(local, BERLIN) == 3600.0


def test_windows_that_overlap_end_with_the_last() -> None:
    """Every hour for ninety minutes: of two that are open the later end counts."""
    window = cron("0 2,3 * * *", 5400)
    assert open_until(window, wall("2026-12-06 03:10", "UTC")) == wall("2026-12-06 04:30", "UTC")
    assert open_until(window, wall("2026-12-06 02:59", "UTC")) == wall("2026-12-06 03:30", "UTC")


def test_seconds_within_a_minute_count() -> None:
    """The end is not rounded to the minute, whatever is remembered for a minute."""
    window = cron("0 2 * * *", 90)
    at = wall("2026-12-06 02:01", "UTC")
    assert [open_until(window, at + s) > 0 for s in (0, 29.5, 30, 31)] == [True, True, False, False]
