"""May we tell the outside that all is well? The whole way to people must work, not just this process.

A dead man's switch outside cries when our ping stops, so a ping that only proves that a timer runs is worse
than none. `unfit` names the first thing that is broken; pure, and the sending is delivery's.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.applying import standins
from watchtower.core.model import NoticeKind, State
from watchtower.core.ports import Snapshot

COMMIT_AGE_MAX_S: Final = 10.0
LATE_MAX_S: Final = 10.0
WAITED_MAX_S: Final = 300.0


def unfit_peer(snap: Snapshot) -> str:
    """Why this peer should not say that it is well; "" when it is."""
    if snap.ready_reason:
        return f"it is not ready: {snap.ready_reason}"
    if snap.cluster.last_commit_age_s > COMMIT_AGE_MAX_S:
        return f"nothing was written into the log for {snap.cluster.last_commit_age_s:.0f} s"
    if snap.doubt:
        return f"it doubts itself: {snap.doubt}"
    if snap.loop_lag_s > LATE_MAX_S or snap.probes.lag_s > LATE_MAX_S:
        return "it looks too late"
    return ""


def unfit(snap: Snapshot) -> str:
    """Why the cluster should not say that people would be told; "" when they would. For the alerter alone."""
    if not snap.is_alerter:
        return "nobody is the alerter yet" if snap.state.lease.released else "another peer is the alerter"
    return unfit_peer(snap) or _undelivered(snap)


def _undelivered(snap: Snapshot) -> str:
    """What waits for too long, or a channel that cannot work and has nobody to stand in."""
    state, settings = snap.state, snap.settings
    oldest_wall = min(_waiting_since(state), default=snap.now.wall)
    if snap.now.wall - oldest_wall > WAITED_MAX_S:
        return f"a notification has waited for {(snap.now.wall - oldest_wall) / 60:.0f} min"
    for name, channel in settings.channels.items():
        row = state.channels.get(name)
        if row is not None and row.trouble and not channel.fallback:
            return f"channel {name} does not work and has no fallback"
    return ""


def _waiting_since(state: State) -> list[float]:
    """Since when there is what nobody knows yet; what another channel has told instead, people know."""
    told = standins.told_instead(state)
    return [
        item.created_wall
        for item in state.notifications.values()
        if not item.stage.finished
        and item.kind is not NoticeKind.TEST
        and standins.unknown_parts(state, item, told)
    ]
