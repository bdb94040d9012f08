"""Heartbeats: in time, late, missing, never seen, and due while nobody watched.

Times are seconds after the last beat; the period is 60 s and the grace 10 s everywhere.
"""

from __future__ import annotations

import pytest
from support.core_support import WALL

from watchtower.core import heartbeats
from watchtower.core.model import Beat, Level, Verdict, Watch
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
