"""Heartbeats: a signal FROM a service. Is it in time, late, or missing; did its job fail, or run too long?

Judged by whoever decides, from the last signals in the ledger; no peer votes on it. A beat that was
due while nobody could have received it is unknown, because the sender may have called in vain:
from there on the first due time after the cluster watches again is the one that counts. An alerter
that takes over after a gap is blind itself until its first report shows that it watches.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.applying.lives import BLIND_GAP_S
from watchtower.core.beats import Beat, Watch
from watchtower.core.model import Level, Verdict
from watchtower.core.schedules import first_due, first_due_since
from watchtower.core.targets import HeartbeatTarget

FUTURE_MAX_S: Final = 10.0


def judge(beat: Beat | None, target: HeartbeatTarget, watch: Watch, now_wall: float) -> Verdict:
    """The verdict on a heartbeat service; `since_wall` of a missing one is when the beat was due."""
    if beat is None:
        return Verdict(level=None, reason="no beat was ever received")
    if max(beat.at_wall, beat.started_wall, beat.failed_wall) > now_wall + FUTURE_MAX_S:
        return Verdict(level=None, reason="the last beat lies in the future: a clock was wrong")
    if beat.failed_wall:
        return Verdict(level=Level.DOWN, reason=_failure(beat), since_wall=beat.failed_wall)
    is_blind = now_wall - watch.last_wall > BLIND_GAP_S
    due = first_due_since(target, beat.at_wall, now_wall if is_blind else watch.since_wall)
    # Its end may have been said while nobody was there to hear it: then the due times alone count.
    is_watched = not is_blind and watch.since_wall <= beat.started_wall
    if beat.started_wall and is_watched and (not beat.at_wall or beat.started_wall <= due + target.grace_s):
        return _running(beat, target, now_wall)
    if not beat.at_wall:
        return Verdict(level=None, reason="no run has ended yet")
    return _awaited(beat, target, due, now_wall)


def _failure(beat: Beat) -> str:
    what = f"the job ended with exit status {beat.exit}" if beat.exit else "the job says that it failed"
    return f"{what}: {beat.text}" if beat.text else what


def _running(beat: Beat, target: HeartbeatTarget, now_wall: float) -> Verdict:
    """A job that said it starts has the grace to say that it ended."""
    ends_by = beat.started_wall + target.grace_s
    since = f"started {_ago(now_wall - beat.started_wall)} ago"
    if now_wall > ends_by:
        reason = f"{since} and has not ended within {_ago(target.grace_s)}"
        return Verdict(level=Level.DOWN, reason=reason, since_wall=ends_by)
    return Verdict(level=Level.UP, reason=f"{since}, too long after {_ago(target.grace_s)}")


def _awaited(beat: Beat, target: HeartbeatTarget, due: float, now_wall: float) -> Verdict:
    """In time, late or missing, with the next beat due at `due`."""
    first = first_due(target, beat.at_wall)
    if now_wall <= first:
        return Verdict(level=Level.UP, reason=f"last beat {_ago(now_wall - beat.at_wall)} ago")
    if due > first and now_wall <= due + target.grace_s:
        reason = f"a beat was due while nobody was watching; the next is due in {_ago(due - now_wall)}"
        return Verdict(level=None, reason=reason)
    late_s = now_wall - due
    if late_s <= target.grace_s:
        reason = f"late by {_ago(late_s)}, missing after {_ago(target.grace_s)}"
        return Verdict(level=Level.UP, reason=reason)
    return Verdict(level=Level.DOWN, reason=f"no beat for {_ago(now_wall - beat.at_wall)}", since_wall=due)


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
