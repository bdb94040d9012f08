"""Heartbeats: in time, late, missing, never seen, and due while nobody watched.

Times are seconds after the last beat; the period is 60 s and the grace 10 s everywhere.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from support.core_support import WALL

from watchtower.core.beats import Beat, Watch
from watchtower.core.judging import heartbeats
from watchtower.core.model import Level, Verdict
from watchtower.core.targets import HeartbeatTarget

TARGET = HeartbeatTarget(period_s=60, grace_s=10)


def judged(age_s: float, *, since_s: float = -1000.0, last_s: float | None = None) -> Verdict:
    """The verdict `age_s` after the last beat, in a watch from `since_s` to `last_s`."""
    last = age_s if last_s is None else last_s
    watch = Watch(since_wall=WALL + since_s, last_wall=WALL + last)
    return heartbeats.judge(Beat(at_wall=WALL), TARGET, watch, WALL + age_s)


@pytest.mark.parametrize(
    ("age_s", "level", "reason"),
    [
        (0, Level.UP, "last beat 0 s ago"),
        (60, Level.UP, "last beat 60 s ago"),
        (61, Level.UP, "late by 1 s, missing after 10 s"),
        (70, Level.UP, "late by 10 s, missing after 10 s"),
        (70.5, Level.DOWN, "no beat for 70 s"),
        (7200, Level.DOWN, "no beat for 2 h"),
        (172_800, Level.DOWN, "no beat for 2 d"),
        (-5, Level.UP, "last beat 0 s ago"),
    ],
)
def test_while_watched(age_s: float, level: Level, reason: str) -> None:
    """Without a gap in the watching a beat is in time, late within the grace, and then missing."""
    assert (judged(age_s).level, judged(age_s).reason) == (level, reason)


def test_a_missing_beat_is_missing_since_it_was_due() -> None:
    """The trouble began when the beat was due, not when the grace ended."""
    assert judged(71).since_wall == WALL + 60


def test_what_never_beat_is_unknown() -> None:
    """A heartbeat that was never received is not missing: it may not be set up yet."""
    verdict = heartbeats.judge(None, TARGET, Watch(), WALL)
    assert (verdict.level, verdict.reason) == (None, "no beat was ever received")


@pytest.mark.parametrize(
    ("age_s", "since_s", "level"),
    [
        (75, 65, None),  # due at 60 with nobody there; the next at 120 counts
        (130, 65, None),  # 120 and its grace
        (130.5, 65, Level.DOWN),
        (75, 59, Level.DOWN),  # somebody was there again at 60
        (75, 60, Level.DOWN),
        (490, 430, None),
        (491, 430, Level.DOWN),
    ],
)
def test_a_beat_due_while_nobody_watched(age_s: float, since_s: float, level: Level | None) -> None:
    """After a gap the first due time since then counts; until that and its grace are over it is unknown."""
    assert judged(age_s, since_s=since_s).level is level


@pytest.mark.parametrize(
    ("age_s", "last_s", "level"), [(71, 41, Level.DOWN), (71, 40, None), (700, 20, None)]
)
def test_an_alerter_that_has_not_reported_yet_is_blind(
    age_s: float, last_s: float, level: Level | None
) -> None:
    """Whoever takes over after 30 s without a watch does not call missing what nobody could hear."""
    assert judged(age_s, last_s=last_s).level is level


def test_a_beat_in_time_needs_no_watch() -> None:
    """A beat that is not due yet is up, whoever watches."""
    assert judged(50, since_s=45, last_s=0).level is Level.UP


CRON = HeartbeatTarget(cron="15 3 * * *", timezone="Europe/Berlin", grace_s=1800)


def at(text: str) -> float:
    """Unix seconds of a local time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("now", "level", "reason"),
    [
        ("2026-11-28 03:40:05", Level.UP, "last beat 5 s ago"),
        ("2026-11-29 03:15:00", Level.UP, "last beat 24 h ago"),
        ("2026-11-29 03:16:00", Level.UP, "late by 60 s, missing after 30 min"),
        ("2026-11-29 03:45:00", Level.UP, "late by 30 min, missing after 30 min"),
        ("2026-11-29 03:45:01", Level.DOWN, "no beat for 24 h"),
    ],
)
def test_a_schedule(now: str, level: Level, reason: str) -> None:
    """A beat by cron is due at the times of the schedule, however long the job took the time before."""
    beat = Beat(at_wall=at("2026-11-28 03:40:00"))
    verdict = heartbeats.judge(beat, CRON, Watch(last_wall=at(now)), at(now))
    assert (verdict.level, verdict.reason) == (level, reason)
    if level is Level.DOWN:
        assert verdict.since_wall == at("2026-11-29 03:15:00")


def test_a_beat_a_little_early_is_that_of_its_time() -> None:
    """The clock of the job's machine may be ahead; a minute early is another matter."""
    now = at("2026-11-29 12:00:00")
    for early, level in (("03:14:51", Level.UP), ("03:14:00", Level.DOWN)):
        beat = Beat(at_wall=at(f"2026-11-29 {early}"))
        assert heartbeats.judge(beat, CRON, Watch(last_wall=now), now).level is level


def test_a_schedule_missed_while_nobody_watched() -> None:
    """The next time of the schedule after the gap counts."""
    beat = Beat(at_wall=at("2026-11-28 03:40:00"))
    for now, level in (
        ("2026-11-29 04:00:00", None),
        ("2026-11-30 03:45:00", None),
        ("2026-11-30 03:45:01", Level.DOWN),
    ):
        watch = Watch(since_wall=at("2026-11-29 03:30:00"), last_wall=at(now))
        assert heartbeats.judge(beat, CRON, watch, at(now)).level is level, now


@pytest.mark.parametrize(
    ("beat", "reason"),
    [
        (Beat(at_wall=WALL, failed_wall=WALL + 5, exit=3, text="disk full"), "exit status 3: disk full"),
        (Beat(at_wall=WALL, failed_wall=WALL + 5), "the job says that it failed"),
        (Beat(failed_wall=WALL + 5, exit=1), "the job ended with exit status 1"),
        (Beat(at_wall=WALL, failed_wall=WALL + 5, started_wall=WALL + 8), "the job says that it failed"),
    ],
)
def test_a_failure_is_down_at_once(beat: Beat, reason: str) -> None:
    """Without any grace, since the first of them, and a new start takes nothing back."""
    verdict = heartbeats.judge(beat, TARGET, Watch(last_wall=WALL + 9), WALL + 9)
    assert verdict.level is Level.DOWN
    assert verdict.reason.endswith(reason)
    assert verdict.since_wall == WALL + 5


@pytest.mark.parametrize(
    ("started_s", "now_s", "level", "reason"),
    [
        (55, 60, Level.UP, "started 5 s ago, too long after 10 s"),
        (55, 65, Level.UP, "started 10 s ago, too long after 10 s"),
        (55, 66, Level.DOWN, "started 11 s ago and has not ended within 10 s"),
        (69, 78, Level.UP, "started 9 s ago, too long after 10 s"),  # late, and running
        (71, 78, Level.DOWN, "no beat for 78 s"),  # it was missing before it started
    ],
)
def test_a_run(started_s: float, now_s: float, level: Level, reason: str) -> None:
    """A run has the grace to end; as long as it goes on in time nothing is missing."""
    beat = Beat(at_wall=WALL, started_wall=WALL + started_s)
    verdict = heartbeats.judge(beat, TARGET, Watch(last_wall=WALL + now_s), WALL + now_s)
    assert (verdict.level, verdict.reason) == (level, reason)
    if level is Level.DOWN:
        assert verdict.since_wall == WALL + (started_s + 10 if started_s < 70 else 60)


def test_a_first_run_is_judged_too() -> None:
    """A job that only ever started is new until it takes too long."""
    beat = Beat(started_wall=WALL)
    assert heartbeats.judge(beat, TARGET, Watch(last_wall=WALL + 5), WALL + 5).level is Level.UP
    assert heartbeats.judge(beat, TARGET, Watch(last_wall=WALL + 11), WALL + 11).level is Level.DOWN


def test_a_run_whose_end_nobody_could_hear_is_not_too_long() -> None:
    """After a gap in the watching the due times alone count; a run that never beat is unknown."""
    watch = Watch(since_wall=WALL + 20, last_wall=WALL + 50)
    beat = Beat(at_wall=WALL, started_wall=WALL + 10)
    assert heartbeats.judge(beat, TARGET, watch, WALL + 50).reason == "last beat 50 s ago"
    first = heartbeats.judge(Beat(started_wall=WALL + 10), TARGET, watch, WALL + 50)
    assert (first.level, first.reason) == (None, "no run has ended yet")
    blind = heartbeats.judge(beat, TARGET, Watch(last_wall=WALL + 10), WALL + 50)
    assert blind.level is Level.UP


def test_signals_from_the_future_are_not_believed() -> None:
    """Whichever it is."""
    for beat in (Beat(at_wall=WALL + 60), Beat(started_wall=WALL + 60), Beat(failed_wall=WALL + 60)):
        assert heartbeats.judge(beat, TARGET, Watch(last_wall=WALL), WALL).level is None
