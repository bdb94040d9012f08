"""What the API and the page say about deliveries: the ledger of notifications, and how each channel is.

Pure functions over one Snapshot, newest first. What a provider answered was redacted before it was
replicated; the URL of a channel is never shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.alerting.attempts import ChannelState, next_attempt
from watchtower.core.alerting.dispatch import channels
from watchtower.core.alerting.scene import Scene
from watchtower.core.applying import outbox
from watchtower.core.channel_rows import HOUR_S, ChannelRow
from watchtower.core.model import Attempt, Evidence, Notification, Stage, State
from watchtower.core.nearest import nearest
from watchtower.core.ports import Snapshot
from watchtower.core.settings import CHANNEL_PREFIX, Channel
from watchtower.web.channel_shapes import ChannelDoc, RateDoc
from watchtower.web.paging import BadQuery, whole
from watchtower.web.shapes import (
    AttemptDoc,
    EvidenceDoc,
    NotificationDetail,
    NotificationDoc,
)
from watchtower.web.times import moment


def notification_page(
    state: State,
    *,
    incident: int | None = None,
    stage: str = "",
    channel: str = "",
    cursor: str = "",
    limit: int = 50,
) -> tuple[list[Notification], str | None]:
    """One page of notifications, newest first, and the cursor of the next. Raises BadQuery."""
    if stage and stage not in Stage.__members__.values():
        raise BadQuery(f"no stage is called so: {nearest(stage, [str(one) for one in Stage])}")
    before = whole(cursor, "cursor") if cursor else None
    matching = sorted(
        (
            item
            for item in state.notifications.values()
            if (before is None or item.order < before)
            and incident in {None, item.incident}
            and stage in {"", item.stage}
            and channel in {"", item.channel}
        ),
        key=lambda item: -item.order,
    )
    page = matching[:limit]
    return page, str(page[-1].order) if len(matching) > limit else None


def notification_docs(snap: Snapshot, items: Iterable[Notification]) -> list[NotificationDoc]:
    """Notifications with every attempt to send them, and why they wait."""
    shown = [*items]
    gates = _gates(snap) if any(not item.stage.finished for item in shown) else _Gates()
    return [_notification_doc(snap, item, gates) for item in shown]


def notification_detail(snap: Snapshot, name: str) -> NotificationDetail | None:
    """Everything about one notification, and about all that it tells; None when none has that id."""
    item = snap.state.notifications.get(name)
    if item is None:
        return None
    doc = notification_docs(snap, [item])[0]
    told = [snap.state.notifications[one] for one in item.members if one in snap.state.notifications]
    return NotificationDetail(
        **{field: getattr(doc, field) for field in doc.__struct_fields__},
        since=moment(item.notice.since_wall),
        evidence=evidence_docs(item.notice.evidence),
        told=notification_docs(snap, told),
    )


def channel_docs(snap: Snapshot) -> list[ChannelDoc]:
    """All configured channels, in the order of the file."""
    return [_channel_doc(snap, channel) for channel in snap.settings.channels.values()]


def evidence_docs(evidence: Iterable[Evidence]) -> list[EvidenceDoc]:
    """What each peer saw."""
    return [
        EvidenceDoc(
            peer=seen.peer,
            opinion=seen.opinion,
            text=seen.text,
            latency_ms=seen.latency_ms or None,
            suspect=seen.suspect,
        )
        for seen in evidence
    ]


def title_of(snap: Snapshot, subject: str) -> str:
    """What people call the subject of an incident, or of what is told without one."""
    known = snap.settings.services.get(subject)
    if known:
        return known.shown_as
    kind, slash, name = subject.partition("/")
    if kind == "test":
        return "of the channel"
    return (
        {"channel": f"Channel {name}", "drill": f"Fire drill on {name}"}.get(kind, subject)
        if slash
        else subject
    )


def _notification_doc(snap: Snapshot, item: Notification, gates: _Gates) -> NotificationDoc:
    channel = snap.settings.channels.get(item.channel)
    waits, until_wall = _waits(snap, item, gates)
    return NotificationDoc(
        id=item.id,
        incident=item.incident,
        service=item.service,
        title=f"{len(item.members)} alerts" if item.members else title_of(snap, item.service),
        kind=item.kind,
        level=item.notice.level,
        reason=item.notice.reason,
        channel=item.channel,
        schema=channel.schema if channel else "",
        instead_of=item.notice.instead_of,
        stage=item.stage,
        sender=item.sender,
        owner=item.owner,
        doubt=item.doubt,
        failures=item.failures,
        severity=item.notice.severity,
        step=item.notice.step,
        created_at=moment(item.created_wall),
        settled_at=moment(item.settled_wall),
        receipt=item.receipt,
        waits=waits,
        waits_until=moment(until_wall),
        dropped=item.dropped,
        digest=item.digest,
        members=len(item.members),
        attempts=[_attempt_doc(attempt) for attempt in item.attempts],
    )


class _Gates(Struct, frozen=True):
    """What keeps notifications back, worked out once for a page of them.

    `heads`: the order of the oldest of each lane that is still to be told.
    """

    channels: Mapping[str, ChannelState] = {}
    heads: Mapping[str, int] = {}


def _gates(snap: Snapshot) -> _Gates:
    """As the alerter would see it now."""
    state, lease = snap.state, snap.state.lease
    alerter = snap.view.me if lease.released else lease.holder or snap.view.me
    scene = Scene(state, snap.settings, replace(snap.view, me=alerter), snap.now)
    return _Gates(channels(scene), outbox.lane_heads(state))


def _waits(snap: Snapshot, item: Notification, gates: _Gates) -> tuple[str, float]:
    """Why a notification has not left yet, and until when that holds (0.0: not known)."""
    if item.stage.finished:
        return "", 0.0
    if item.stage is Stage.CLAIMED:
        return f"peer {item.owner} is sending it", 0.0
    if gates.heads.get(item.lane, item.order) < item.order:
        return "something older of the same subject goes first", 0.0
    found = next_attempt(item, gates.channels[item.channel], snap.now.wall)
    return found.reason, found.at_wall if found.at_wall > snap.now.wall else 0.0


def _attempt_doc(attempt: Attempt) -> AttemptDoc:
    return AttemptDoc(
        number=attempt.number,
        peer=attempt.peer,
        outcome=attempt.outcome,
        detail=attempt.detail,
        at=moment(attempt.at_wall),
    )


def _channel_doc(snap: Snapshot, channel: Channel) -> ChannelDoc:
    state, now_wall = snap.state, snap.now.wall
    row = state.channels.get(channel.name, ChannelRow())
    waiting = [
        item
        for item in state.notifications.values()
        if item.channel == channel.name and not item.stage.finished
    ]
    rate, hour = channel.rate, int(now_wall // HOUR_S)
    incident = state.open_incident(f"{CHANNEL_PREFIX}{channel.name}")
    return ChannelDoc(
        name=channel.name,
        schema=channel.schema,
        fallback=channel.fallback,
        rate=RateDoc(every_s=rate.every_s, burst=rate.burst, hour=rate.hour),
        sent_this_hour=row.hour_sent if row.hour == hour else 0,
        full_until=moment((hour + 1) * HOUR_S) if row.hour == hour and row.hour_sent >= rate.hour else None,
        incident=incident.number if incident else None,
        rest_until=moment(row.rest_until_wall) if row.rest_until_wall > now_wall else None,
        trouble=row.trouble,
        trouble_since=moment(row.trouble_wall),
        last_accepted_at=moment(row.accepted_wall),
        waiting=len(waiting),
        waiting_since=moment(min((item.created_wall for item in waiting), default=0.0)),
        paths={
            name: peer.paths[channel.name] for name, peer in state.peers.items() if channel.name in peer.paths
        },
    )
