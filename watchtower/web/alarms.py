"""What is wrong with the telling itself, loud on every page: what was not delivered, sick channels, drills.

Pure over one Snapshot; one sentence each, the gravest first. Whoever looks at a page must not believe that
people know when they do not. Decides nothing about what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from watchtower.core.applying import outbox
from watchtower.core.model import NoticeKind, Notification, Stage, State
from watchtower.core.ports import Snapshot
from watchtower.core.proofs import drills
from watchtower.web.deliveries import title_of
from watchtower.web.shapes import Alarm
from watchtower.web.times import lasting

LATE_S: Final = 300.0
"""So long nothing may wait unsaid: the longest limit after which a fallback is told."""
SHOWN_MAX: Final = 5


def alarms(snap: Snapshot) -> list[Alarm]:
    """All that is wrong now."""
    undelivered = [*_undelivered(snap)]
    more = len(undelivered) - SHOWN_MAX
    if more > 0:
        rest = Alarm(kind="undelivered", text=f"{more} more could not be delivered: see the notifications.")
        undelivered = [*undelivered[:SHOWN_MAX], rest]
    return [*_silent(snap), *undelivered, *_late(snap), *_channels(snap), *_drill(snap)]


def undelivered(snap: Snapshot) -> list[Notification]:
    """Notifications of open incidents that their channel will never show, and no other was told instead."""
    state = snap.state
    told = {
        (item.incident, item.kind, item.notice.instead_of)
        for item in state.notifications.values()
        if item.notice.instead_of and outbox.is_delivered(state, item)
    }
    return [
        item
        for item in state.notifications.values()
        if _is_dead(state, item) and (item.incident, item.kind, item.channel) not in told
    ]


def _is_dead(state: State, item: Notification) -> bool:
    incident = state.incidents.get(item.incident)
    digest = state.notifications.get(item.digest) if item.stage is Stage.DIGESTED else None
    is_dead = Stage.DEAD in (item.stage, digest.stage if digest else item.stage)
    return is_dead and incident is not None and incident.is_open


def _silent(snap: Snapshot) -> Iterator[Alarm]:
    """Nobody at all can be told."""
    channels, rows = snap.settings.channels, snap.state.channels
    if not channels:
        yield Alarm(kind="silent", text="No channel is configured: nobody is told of anything.")
    elif all(name in rows and rows[name].trouble for name in channels):
        yield Alarm(kind="silent", text="No channel works just now: nobody is told of anything.")


def _undelivered(snap: Snapshot) -> Iterator[Alarm]:
    for item in undelivered(snap):
        last = item.attempts[-1].detail if item.attempts else ""
        what = f"#{item.incident} {title_of(snap, item.service)}"
        yield Alarm(
            kind="undelivered",
            text=f"{what} could not be told on {item.channel} ({item.kind}){': ' if last else ''}{last}.",
            channel=item.channel,
            incident=item.incident,
        )


def _late(snap: Snapshot) -> Iterator[Alarm]:
    """What waits for too long, one sentence for each channel."""
    since: dict[str, list[float]] = {}
    for item in snap.state.notifications.values():
        if not item.stage.finished and item.kind is not NoticeKind.TEST:
            since.setdefault(item.channel, []).append(item.created_wall)
    for channel, waiting in since.items():
        age_s = snap.now.wall - min(waiting)
        if age_s > LATE_S:
            count = f"{len(waiting)} notifications wait" if len(waiting) > 1 else "1 notification waits"
            text = f"{count} for {channel}, the oldest for {lasting(age_s)}."
            yield Alarm(kind="waiting", text=text, channel=channel)


def _channels(snap: Snapshot) -> Iterator[Alarm]:
    for name in snap.settings.channels:
        row = snap.state.channels.get(name)
        if row is not None and row.trouble:
            yield Alarm(
                kind="channel", text=f"Channel {name} does not work: {_ended(row.trouble)}", channel=name
            )


def _drill(snap: Snapshot) -> Iterator[Alarm]:
    for channel, since_wall in sorted(drills.missed(snap.state.drill, snap.settings, snap.now).items()):
        at = datetime.fromtimestamp(since_wall, UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = f"The fire drill of {at} on {channel} has not been confirmed by anybody."
        yield Alarm(kind="drill", text=text, channel=channel)


def _ended(text: str) -> str:
    """Foreign text as the end of a sentence; what was cut ends in its ellipsis."""
    return text if text.endswith(("…", ".")) else f"{text}."
