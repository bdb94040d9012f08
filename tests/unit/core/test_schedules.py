"""When beats are due: periods, cron, time zones and the two nights a year on which clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.core.schedules import ScheduleError, check, first_due, first_due_since, longest_wait_s
from watchtower.core.targets import HeartbeatTarget


def due_times(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next `count` due times after a local time without offset, as local times with theirs."""
    target = HeartbeatTarget(cron=cron, timezone=zone, grace_s=0)
    wall = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)).timestamp()
    found = []
    for _ in range(count):
        wall = first_due(target, wall)
        found.append(datetime.fromtimestamp(wall, ZoneInfo(zone)).strftime("%m-%d %H:%M%z"))
    return found


@pytest.mark.parametrize(
    ("zone", "after", "times"),
    [
        # 2:00 becomes 3:00: what was due in between is due right after the jump.
        ("Europe/Berlin", "2026-03-28 12:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        ("America/New_York", "2026-03-07 12:00", ["03-08 03:00-0400", "03-09 02:30-0400"]),
        # 3:00 becomes 2:00: due once, the first time.
        ("Europe/Berlin", "2026-10-24 12:00", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        ("America/New_York", "2026-10-31 12:00", ["11-01 02:30-0500", "11-02 02:30-0500"]),
    ],
)
def test_a_nightly_job_when_clocks_jump(zone: str, after: str, times: list[str]) -> None:
    """Every night has one run, in Europe and in America."""
    assert due_times("30 2 * * *", zone, after, 2) == times


def test_the_repeated_hour_of_new_york() -> None:
    """There it is the hour from one to two."""
    assert due_times("30 1 * * *", "America/New_York", "2026-10-31 12:00", 2) == [
        "11-01 01:30-0400",
        "11-02 01:30-0500",
    ]


def test_a_job_of_every_quarter_runs_through_both_nights() -> None:
    """No quarter is left out or comes twice: 92 in spring, 100 in autumn."""
    target = HeartbeatTarget(cron="*/15 * * * *", timezone="Europe/Berlin", grace_s=0)
    for day, quarters in (("2026-03-29", 92), ("2026-10-25", 100), ("2026-06-01", 96)):
        begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin"))
        end = begin + timedelta(days=1)
        wall, count = begin.timestamp() - 60, 0
        while (due := first_due(target, wall)) < end.timestamp():
            assert count == 0 or due - wall == 900
            wall, count = due, count + 1
        assert count == quarters, day


def test_a_beat_within_the_repeated_hour_waits_for_the_next_day() -> None:
    """In the second 2:15 of the night the one run of 2:30 is over; it is not due in the past."""
    zone = ZoneInfo("Europe/Berlin")
    second = datetime(2026, 10, 25, 2, 15, tzinfo=zone, fold=1).timestamp()
    target = HeartbeatTarget(cron="30 2 * * *", timezone="Europe/Berlin", grace_s=0)
    assert first_due(target, second) == datetime(2026, 10, 26, 2, 30, tzinfo=zone).timestamp()


@given(
    st.sampled_from(
        ["30 2 * * *", "0 */2 * * *", "*/7 1-3 * * *", "15 1 * * 0", "0 3 L * *", "59 23 31 12 *"]
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.integers(
        int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
    ),
    st.floats(0, 400_000),
)
def test_due_times_lie_ahead_and_in_order(cron: str, zone: str, wall: int, gap_s: float) -> None:
    """A due time is later than its beat, a later beat is not due earlier, and no watch waits for the past."""
    target = HeartbeatTarget(cron=cron, timezone=zone, grace_s=0)
    due = first_due(target, wall)
    assert due > wall
    assert first_due(target, wall + gap_s) >= due
    since = first_due_since(target, wall, wall + gap_s)
    assert since >= max(due, wall + gap_s)
    assert first_due_since(target, wall, since) == since


def test_a_period_ignores_clocks() -> None:
    """Every hour is every hour, and what is due exactly when somebody watches again counts."""
    target = HeartbeatTarget(period_s=3600, grace_s=0)
    assert first_due(target, 1000.5) == 4600.5
    assert first_due_since(target, 1000.0, 0.0) == 4600
    assert first_due_since(target, 1000.0, 4600.0) == 4600
    assert first_due_since(target, 1000.0, 4600.1) == 8200


@pytest.mark.parametrize(
    ("cron", "zone", "hours"),
    [("15 3 * * *", "UTC", 24), ("15 3 * * *", "Europe/Berlin", 25), ("0 8-18 * * MON-FRI", "UTC", 62)],
)
def test_the_longest_wait(cron: str, zone: str, hours: int) -> None:
    """The night on which clocks go back, the weekend: what `check` promises must hold then, too."""
    assert longest_wait_s(HeartbeatTarget(cron=cron, timezone=zone, grace_s=0)) == hours * 3600


@pytest.mark.parametrize(
    "cron", ["* * * *", "0 0 30 2 *", "60 * * * *", "* * * * * *", "", "@daily", "0 0 * * 8"]
)
def test_what_is_no_schedule(cron: str) -> None:
    """Wrong fields, too few, too many, and times that never come."""
    with pytest.raises(ScheduleError):
        check(cron, "UTC")


def test_a_zone_that_is_not_there() -> None:
    """It is the caller's to tell."""
    with pytest.raises(KeyError):
        check("0 0 * * *", "Europe/Atlantis")
