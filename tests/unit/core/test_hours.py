"""Active times in three time zones, over every change of clock: what the clock on the wall shows counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.config.active import read_hours
from watchtower.config.problems import Wrong
from watchtower.core.alerting.hours import EVERY_DAY, is_active, next_change, shown
from watchtower.core.settings import Hours

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC")
CHANGES_2026 = {
    "Europe/Berlin": ("2026-03-29 01:00", "2026-10-25 01:00"),
    "America/New_York": ("2026-03-08 07:00", "2026-11-01 06:00"),
    "Australia/Lord_Howe": ("2026-04-04 15:00", "2026-10-03 15:30"),
}
"""When clocks change, in UTC."""
MOMENTS = st.one_of(
    st.integers(1_700_000_000, 1_900_000_000),
    st.builds(
        lambda at, off_s: int(wall(at, "UTC")) + off_s,
        st.sampled_from([at for pair in CHANGES_2026.values() for at in pair]),
        st.integers(-9_000, 9_000),
    ),
)


def wall(text: str, zone: str, fold: int = 0) -> float:
    """Unix seconds of what a clock shows; `fold` 1: the second time it shows it."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("mon-fri 08:00-18:00", "2026-03-02 08:00", True),
        ("mon-fri 08:00-18:00", "2026-03-02 07:59:59", False),
        ("mon-fri 08:00-18:00", "2026-03-02 17:59:59", True),
        ("mon-fri 08:00-18:00", "2026-03-02 18:00", False),
        ("mon-fri 08:00-18:00", "2026-03-07 12:00", False),
        ("22:00-06:00", "2026-03-02 23:00", True),
        ("22:00-06:00", "2026-03-02 05:59", True),
        ("22:00-06:00", "2026-03-02 06:00", False),
        ("fri 22:00-06:00", "2026-03-07 05:00", True),
        ("fri 22:00-06:00", "2026-03-06 05:00", False),
        ("sun 22:00-06:00", "2026-03-02 05:00", True),
        ("sat,sun", "2026-03-07 00:00", True),
        ("sat,sun", "2026-03-08 23:59", True),
        ("sat,sun", "2026-03-09 00:00", False),
        ("fri-mon 18:00-24:00", "2026-03-09 23:59", True),
        ("fri-mon 18:00-24:00", "2026-03-10 00:00", False),
    ],
)
def test_hours_of_the_week(text: str, at: str, expected: bool, zone: str) -> None:
    """Days, times, over midnight, over the end of the week; the same in every zone."""
    assert is_active((read_hours(f"{text} {zone}"),), wall(at, zone)) is expected


@pytest.mark.parametrize(
    ("zone", "before", "gone", "after"),
    [
        ("Europe/Berlin", "2026-03-29 01:59", "02:00-03:00", "2026-03-29 03:00"),
        ("America/New_York", "2026-03-08 01:59", "02:00-03:00", "2026-03-08 03:00"),
        ("Australia/Lord_Howe", "2026-10-04 01:59", "02:00-02:30", "2026-10-04 02:30"),
    ],
)
def test_what_spring_leaves_out_is_no_time_at_all(zone: str, before: str, gone: str, after: str) -> None:
    """A minute before the change and a minute later: nothing lies between, and a longer range goes on."""
    assert wall(after, zone) - wall(before, zone) == 60
    skipped = read_hours(f"{gone} {zone}")
    longer = read_hours(f"01:00-05:00 {zone}")
    for at in (before, after):
        assert not is_active((skipped,), wall(at, zone))
        assert is_active((longer,), wall(at, zone))


@pytest.mark.parametrize(
    ("zone", "at", "hours", "minutes"),
    [
        ("Europe/Berlin", "2026-10-25 02:30", "02:00-03:00", 60),
        ("America/New_York", "2026-11-01 01:30", "01:00-02:00", 60),
        ("Australia/Lord_Howe", "2026-04-05 01:45", "01:30-02:00", 30),
    ],
)
def test_what_autumn_repeats_counts_both_times(zone: str, at: str, hours: str, minutes: int) -> None:
    """The clock shows it twice, and both times the route is active; the range is as much longer."""
    given_hours = read_hours(f"{hours} {zone}")
    first, second = wall(at, zone), wall(at, zone, fold=1)
    assert second - first == minutes * 60
    assert is_active((given_hours,), first)
    assert is_active((given_hours,), second)
    begin = next_change((given_hours,), first - 86_400 / 2)
    assert begin is not None
    assert next_change((given_hours,), begin) == begin + 2 * minutes * 60


@pytest.mark.parametrize("zone", ZONES)
def test_the_same_office_hours_all_year(zone: str) -> None:
    """Every working day of 2026 has ten active hours by its own clock, whatever its distance to UTC."""
    office, day = read_hours(f"mon-fri 08:00-18:00 {zone}"), datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    while day.year == 2026:
        opens = day.replace(hour=8).timestamp()
        assert is_active((office,), opens) is (day.weekday() < 5)
        assert not is_active((office,), opens - 1)
        assert not is_active((office,), day.replace(hour=18).timestamp())
        day += timedelta(days=1)


HOURS = st.builds(
    Hours,
    days=st.just(EVERY_DAY),
    from_minute=st.integers(0, 1439),
    until_minute=st.integers(0, 1439),
    timezone=st.sampled_from(ZONES),
).filter(lambda one: one.from_minute != one.until_minute)


@given(one=HOURS, at_wall=MOMENTS)
def test_a_range_and_its_opposite_share_out_all_time(one: Hours, at_wall: int) -> None:
    """From a to b and from b to a: always exactly one of them holds, changes of clock included."""
    opposite = Hours(
        days=EVERY_DAY, from_minute=one.until_minute, until_minute=one.from_minute, timezone=one.timezone
    )
    assert is_active((one,), at_wall) is not is_active((opposite,), at_wall)


@given(
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    one=HOURS,
    at_wall=MOMENTS,
)
def test_days_share_out_the_week(days: tuple[int, ...], one: Hours, at_wall: int) -> None:
    """On some days and on all others: together that is every day, and never both."""
    others = tuple(day for day in EVERY_DAY if day not in days)
    halves = [
        Hours(days=half, from_minute=one.from_minute, until_minute=one.until_minute, timezone=one.timezone)
        for half in (days, others)
    ]
    assert [is_active((half,), at_wall) for half in halves].count(True) == is_active((one,), at_wall)


@given(
    days=st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    one=st.one_of(
        HOURS,
        st.builds(
            Hours,
            days=st.just(()),
            from_minute=st.just(0),
            until_minute=st.just(0),
            timezone=st.sampled_from(ZONES),
        ),
    ),
)
def test_shown_is_what_can_be_read_again(days: tuple[int, ...], one: Hours) -> None:
    """People see hours in the form they write them."""
    written = Hours(
        days=days, from_minute=one.from_minute, until_minute=one.until_minute, timezone=one.timezone
    )
    assert read_hours(shown(written)) == written


def test_the_next_change_is_the_first_minute_of_it() -> None:
    """For people who ask when a route answers; none for what is always or never so."""
    office = read_hours("mon-fri 08:00-18:00 Europe/Berlin")
    friday = wall("2026-03-27 17:30:10", "Europe/Berlin")
    closes = next_change((office,), friday)
    assert closes == wall("2026-03-27 18:00", "Europe/Berlin")
    assert next_change((office,), closes) == wall("2026-03-30 08:00", "Europe/Berlin")
    assert next_change((read_hours("mon-sun UTC"),), friday) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon-Fri 8:00-18:00", "mon-fri 08:00-18:00"),
        ("monday,wednesday", "mon,wed"),
        ("sat-mon", "mon,sat,sun"),
        ("00:00-24:00 UTC", "mon-sun"),
        ("08:00-24:00", "08:00-24:00"),
        ("Europe/Berlin sun 1:00-2:00", "sun 01:00-02:00"),
    ],
)
def test_what_is_written_otherwise_is_read_too(text: str, expected: str) -> None:
    """Upper case, full names, one digit, rows over the end of the week, any order."""
    read = read_hours(text)
    assert shown(read).removesuffix(read.timezone).strip() == expected


@pytest.mark.parametrize(
    ("text", "what", "fix"),
    [
        ("", "neither days nor times", "mon-fri 08:00-18:00 Europe/Berlin"),
        ("Europe/Berlin", "neither days nor times", "mon-fri 08:00"),
        ("mno-fri", "no day of the week", "did you mean `mon`?"),
        ("mon-fr1", "these are no times", "22:00-06:00"),
        ("8-18", "these are no times", "08:00-18:00"),
        ("25:00-26:00", "no such time of day", "00:00 to 24:00"),
        ("08:60-09:00", "no such time of day", "00:00 to 24:00"),
        ("24:00-02:00", "nothing lies between", "leave them out"),
        ("08:00-08:00", "nothing lies between", "leave them out"),
        ("mon tue", "two of the same", "mon-fri"),
        ("mon 08:00-09:00 Europe/Berln", "no such time zone", "did you mean `Europe/Berlin`?"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, what: str, fix: str) -> None:
    """The very word, and the nearest right one."""
    with pytest.raises(Wrong) as caught:
        read_hours(text)
    assert what in caught.value.what
    assert fix in caught.value.fix


def test_the_moments_of_the_table_are_changes_of_clock() -> None:
    """The changes that the properties lean on are where this time zone database has them."""
    for zone, moments in CHANGES_2026.items():
        for text in moments:
            at = datetime.fromisoformat(text).replace(tzinfo=UTC)
            offsets = [
                (at + timedelta(seconds=off_s)).astimezone(ZoneInfo(zone)).utcoffset() for off_s in (-1, 0)
            ]
            assert offsets[0] != offsets[1], (zone, text)
