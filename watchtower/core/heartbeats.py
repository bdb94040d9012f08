"""Heartbeats: a signal FROM a service. Is it in time, late, or missing?

Judged by whoever decides, from the last beat in the ledger; no peer votes on it. A beat that was
due while nobody could have received it is unknown, because the sender may have called in vain:
from there on the first due time after the cluster watches again is the one that counts. An alerter
that takes over after a gap is blind itself until its first report shows that it watches.
"""

from __future__ import annotations

import math
from typing import Final

from watchtower.core.ledger import BLIND_GAP_S
from watchtower.core.model import Beat, Level, Verdict, Watch
from watchtower.core.targets import HeartbeatTarget

FUTURE_MAX_S: Final = 10.0


def judge(beat: Beat | None, target: HeartbeatTarget, watch: Watch, now_wall: float) -> Verdict:
    """The verdict on a heartbeat service; `since_wall` of a missing one is when the beat was due."""
    if beat is None:
        return Verdict(level=None, reason="no beat was ever received")
    if beat.at_wall > now_wall + FUTURE_MAX_S:
        return Verdict(level=None, reason="the last beat lies in the future: a clock was wrong")
    first_due = beat.at_wall + target.period_s
    if now_wall <= first_due:
        return Verdict(level=Level.UP, reason=f"last beat {_ago(now_wall - beat.at_wall)} ago")
    is_blind = now_wall - watch.last_wall > BLIND_GAP_S
    due = _first_due_since(beat, target, now_wall if is_blind else watch.since_wall)
    if due > first_due and now_wall <= due + target.grace_s:
        reason = f"a beat was due while nobody was watching; the next is due in {_ago(due - now_wall)}"
        return Verdict(level=None, reason=reason)
    late_s = now_wall - due
    if late_s <= target.grace_s:
        reason = f"late by {_ago(late_s)}, missing after {_ago(target.grace_s)}"
        return Verdict(level=Level.UP, reason=reason)
    return Verdict(level=Level.DOWN, reason=f"no beat for {_ago(now_wall - beat.at_wall)}", since_wall=due)


def _first_due_since(beat: Beat, target: HeartbeatTarget, since_wall: float) -> float:
    """The first time after `since_wall` at which a beat was or will be due."""
    missed = math.ceil((since_wall - beat.at_wall) / target.period_s)
    return beat.at_wall + target.period_s * max(1, missed)


def _ago(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
