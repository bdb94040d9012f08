"""A storm becomes few messages: what waits is told by one digest, a used-up hour by one word.

A stage of decide. The first alert of a quiet channel leaves at once. Only what waits for a busy channel is
gathered, in the order of its lane, into the latest digest that has not left yet, or a new one. Decides
nothing about when a digest is sent (attempts.py) or how it reads (delivery).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower.core.alerting.attempts import FAILURES_MAX, ChannelState
from watchtower.core.alerting.dispatch import channels
from watchtower.core.alerting.scene import Scene, is_full
from watchtower.core.applying import outbox
from watchtower.core.applying.digests import DIGEST_SUBJECT, MEMBERS_MAX
from watchtower.core.channel_rows import DRILL_PREFIX, HOUR_S
from watchtower.core.commands import Coalesce, Command, Draft, Enqueue
from watchtower.core.model import Level, Notice, NoticeKind, Notification, Stage
from watchtower.core.policies import Severity

WAITING_MAX: Final = 3
"""So many wait one by one; more become a digest."""
_LEVELS: Final = (Level.DOWN, Level.DEGRADED, Level.PARTIAL, Level.UNKNOWN, Level.UP)
_SEVERITIES: Final = tuple(Severity)


def storms(scene: Scene) -> Iterator[Command]:
    """Digests of what waits for busy channels, and the one word that a channel has had all of its hour."""
    lines: dict[str, list[Notification]] = {}
    for item in sorted(scene.state.notifications.values(), key=lambda item: item.order):
        if not item.stage.finished:
            lines.setdefault(item.channel, []).append(item)
    for name, items in lines.items():
        if name in scene.settings.channels:
            channel = channels(scene)[name]
            yield from _ceiling(scene, channel)
            yield from _digest(scene, channel, items)


# ---- the ceiling


def _ceiling(scene: Scene, channel: ChannelState) -> Iterator[Command]:
    """That the channel has had all that it may, said once an hour; it is the one message more."""
    state, now_wall = scene.state, scene.now.wall
    if channel.ceiling.at_wall <= now_wall:
        return
    hour = int(now_wall // HOUR_S)
    identifier = outbox.notification_id(state.cluster, "", NoticeKind.CEILING, str(hour), channel.name)
    if identifier in state.notifications or is_full(scene):
        return
    yield Enqueue(
        epoch=state.lease.epoch,
        incident=0,
        draft=Draft(
            id=identifier,
            channel=channel.name,
            kind=NoticeKind.CEILING,
            sender=channel.turns[0],
            notice=Notice(
                level=Level.DEGRADED,
                reason=f"{channel.ceiling.reason}; what waits is told when the next hour begins",
                since_wall=now_wall,
                at_wall=now_wall,
                severity=Severity.WARNING,
            ),
        ),
        at_wall=now_wall,
        policy_rev=state.policy_rev,
    )


# ---- digests


def _digest(scene: Scene, channel: ChannelState, items: list[Notification]) -> Iterator[Command]:
    """`items`: all that is unfinished on the channel, oldest first."""
    state = scene.state
    joining = _joining(items)
    known = _unsent_digest(scene, channel.name)
    if known is not None and channel.trouble and known.failures >= FAILURES_MAX:
        return  # perhaps the digest itself is what is refused: others show, one by one
    is_known = known is not None and len(known.members) < MEMBERS_MAX
    if not joining or not (is_known or _is_storm(joining, channel, items, scene.now.wall)):
        return
    before = known.members if known and is_known else ()
    members = joining[: MEMBERS_MAX - len(before)]
    identifier = outbox.notification_id(
        state.cluster, DIGEST_SUBJECT, NoticeKind.DIGEST, joining[0].id, channel.name
    )
    told = [state.notifications[name] for name in before if name in state.notifications] + members
    yield Coalesce(
        epoch=state.lease.epoch,
        draft=Draft(
            id=known.id if known and is_known else identifier,
            channel=channel.name,
            kind=NoticeKind.DIGEST,
            sender=channel.turns[0],
            notice=_notice(scene, channel, told),
        ),
        members=tuple(item.id for item in members),
        at_wall=scene.now.wall,
    )


def _joining(items: list[Notification]) -> list[Notification]:
    """What may be told by a digest: it never left, and nothing older in its lane is under way by itself."""
    barred: set[str] = set()
    joining = []
    for item in items:
        if item.lane in barred or not outbox.is_waiting(item) or item.service.startswith(DRILL_PREFIX):
            barred.add(item.lane)
        elif item.kind.is_of_incident:
            joining.append(item)
    return joining


def _unsent_digest(scene: Scene, channel: str) -> Notification | None:
    """The latest digest of the channel, if it has not left."""
    lane = outbox.lane_of(DIGEST_SUBJECT, channel)
    digests = [item for item in scene.state.notifications.values() if item.lane == lane]
    latest = max(digests, key=lambda item: item.order, default=None)
    return latest if latest is not None and outbox.is_waiting(latest) else None


def _is_storm(
    joining: list[Notification], channel: ChannelState, items: list[Notification], now_wall: float
) -> bool:
    """True when the channel is busy and many wait, or more than one that its fallback has told already."""
    is_in_flight = any(item.stage in (Stage.CLAIMED, Stage.UNCERTAIN) for item in items)
    fails = any(item.failures for item in items)
    if not (is_in_flight or fails or channel.opens_wall(now_wall) > now_wall):
        return False
    elsewhere = sum(item.id in channel.elsewhere for item in joining)
    return len(joining) > WAITING_MAX or elsewhere > 1


def _notice(scene: Scene, channel: ChannelState, told: list[Notification]) -> Notice:
    """The worst and the earliest of them all, and why they are not told one by one."""
    why = max(channel.gate, channel.repair, channel.ceiling, key=lambda gate: gate.at_wall)
    is_gated = why.at_wall > scene.now.wall
    return Notice(
        level=min((item.notice.level for item in told), key=_LEVELS.index),
        reason=f"told together: {why.reason if is_gated else 'many at once'}",
        since_wall=min(item.notice.since_wall for item in told),
        at_wall=scene.now.wall,
        severity=min((item.notice.severity for item in told), key=_SEVERITIES.index),
    )
