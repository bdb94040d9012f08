"""Channels are watched too: what of them is broken, and who else is told.

A channel that refuses whatever it gets, or that has taken nothing for too long, is down; one on which a
fire drill did not arrive is degraded, so that a break after that is told as worse. An incident of the subject
`channel/<name>`, told on other channels. Verdicts only; the incident goes the way of every other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower.core.applying import outbox
from watchtower.core.model import Instant, Level, NoticeKind, Notification, State, Verdict
from watchtower.core.proofs import drills
from watchtower.core.settings import CHANNEL_PREFIX, Settings

STUCK_S: Final = 300.0
"""So long a notification may wait for a channel that fails before the channel counts as down."""


def channel_verdicts(state: State, settings: Settings, now: Instant) -> Iterator[tuple[str, Verdict]]:
    """The verdict on every configured channel that is in trouble, or was and has an open incident."""
    stuck = _stuck(state, now)
    for name in settings.channels:
        subject, trouble = f"{CHANNEL_PREFIX}{name}", _trouble(name, state, settings, stuck, now)
        if trouble is not None:
            yield subject, trouble
        elif state.service(subject).open:
            yield subject, Verdict(level=Level.UP, reason="nothing waits for it in vain any more")


def listeners(channel: str, settings: Settings) -> tuple[str, ...]:
    """Who hears that `channel` is in trouble: its fallback, else the first other channel."""
    own = settings.channels.get(channel)
    if own is not None and own.fallback:
        return (own.fallback,)
    return tuple(name for name in settings.channels if name != channel)[:1]


def _trouble(
    name: str, state: State, settings: Settings, stuck: dict[str, Notification], now: Instant
) -> Verdict | None:
    row = state.channels.get(name)
    if row is not None and row.trouble:
        reason = f"it takes nothing until somebody mends it: {row.trouble}"
        return Verdict(level=Level.DOWN, reason=reason, since_wall=row.trouble_wall)
    if name in stuck:
        item = stuck[name]
        last = item.attempts[-1].detail if item.attempts else ""
        reason = f"it takes nothing, for more than five minutes now{last and f': {last}'}"
        return Verdict(level=Level.DOWN, reason=reason, since_wall=item.created_wall)
    missed_wall = drills.missed(state.drill, settings, now).get(name)
    if missed_wall is not None:
        reason = "a fire drill has not arrived"
        return Verdict(level=Level.DEGRADED, reason=reason, since_wall=missed_wall)
    return None


def _stuck(state: State, now: Instant) -> dict[str, Notification]:
    """By channel, the oldest notification that has failed and waited for too long."""
    stuck: dict[str, Notification] = {}
    for item in state.notifications.values():
        if item.stage.finished or item.kind is NoticeKind.TEST or now.wall - item.created_wall < STUCK_S:
            continue
        if not outbox.has_failed(state, item):
            continue
        if item.channel not in stuck or item.order < stuck[item.channel].order:
            stuck[item.channel] = item
    return stuck
