"""What people should know by now and do not: alerts that a channel refused, or keeps waiting for too long.

For whoever is loud about it (page, metrics, the alert about the channel). Decides nothing about what is sent.
"""

from __future__ import annotations

from msgspec import Struct

from watchtower.core.alerting.attempts import FALLBACK_AFTER_S
from watchtower.core.applying import outbox, standins
from watchtower.core.model import NoticeKind, Notification, Stage, State


class Waiting(Struct, frozen=True, kw_only=True):
    """One message on its way: the alerts that it tells (one, or a digest's members), since when they wait.

    From `late_wall` on, one of them waits for longer than its severity may.
    """

    channel: str
    parts: tuple[Notification, ...]
    since_wall: float
    late_wall: float


def untold(state: State) -> list[Notification]:
    """What has not reached its channel, of open incidents; in order, without what another told instead."""
    told = standins.told_instead(state)
    found = [
        item
        for item in state.notifications.values()
        if item.kind.is_of_incident
        and outbox.teller(state, item).stage in (Stage.PENDING, Stage.CLAIMED, Stage.UNCERTAIN, Stage.DEAD)
        and (incident := state.incidents.get(item.incident)) is not None
        and incident.is_open
        and outbox.transition_told(item, item.channel) not in told
    ]
    return sorted(found, key=lambda item: item.order)


def refused(state: State) -> list[Notification]:
    """Of these, what its channel will never show, or not before somebody mends it."""
    return [item for item in untold(state) if _is_refused(state, item)]


def failing(state: State, now_wall: float) -> list[Notification]:
    """Of these, what was refused, or has failed and waits for longer than its severity may."""
    return [
        item
        for item in untold(state)
        if _is_refused(state, item)
        or (
            outbox.teller(state, item).failures
            and now_wall - item.created_wall > FALLBACK_AFTER_S[item.notice.severity]
        )
    ]


def _is_refused(state: State, item: Notification) -> bool:
    carrier, row = outbox.teller(state, item), state.channels.get(item.channel)
    return carrier.stage is Stage.DEAD or bool(carrier.failures and row is not None and row.trouble)


def waiting(state: State) -> list[Waiting]:
    """What is on its way and known to nobody yet, whether it has failed or not; tests are nobody's alert."""
    told, found = standins.told_instead(state), []
    for item in state.notifications.values():
        if item.stage.finished or item.kind is NoticeKind.TEST:
            continue
        parts = standins.unknown_parts(state, item, told)
        if parts:
            found.append(
                Waiting(
                    channel=item.channel,
                    parts=tuple(parts),
                    since_wall=min(part.created_wall for part in parts),
                    late_wall=min(
                        part.created_wall + FALLBACK_AFTER_S[part.notice.severity] for part in parts
                    ),
                )
            )
    return found
