"""Are people told of an incident now, and of what? The stage between incidents and the outbox.

`withheld` names the first reason why nobody is told; `announcements` walks the open incidents and proposes
what is missing: the reason recorded, what waits withdrawn, or the announcement made. Level-triggered, so a
silence that ends, a lost command and a new alerter all come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from watchtower.core.alerting import escalation, flapping, routing, silencing
from watchtower.core.alerting.scene import Scene
from watchtower.core.alerting.suppression import aftermath, held, suppressed
from watchtower.core.applying import incidents, outbox
from watchtower.core.applying.incidents import Move
from watchtower.core.commands import Command, Drop, Withhold
from watchtower.core.model import Incident, Level, NoticeKind, Notification, Stage
from watchtower.core.policies import Why, Withheld

Reason = Callable[[Scene, Incident], Withheld | None]


def _unrouted(scene: Scene, incident: Incident) -> Withheld | None:
    audience = routing.of(scene, incident)
    if audience.calls:
        return None
    return Withheld(why=Why.UNROUTED, text=audience.reason)


REASONS: Final[tuple[Reason, ...]] = (
    silencing.in_maintenance,
    silencing.silenced,
    suppressed,
    held,
    flapping.flaps,
    _unrouted,
)
"""Asked in this order; the first that answers is the one that is named."""


def withheld(scene: Scene, incident: Incident) -> Withheld | None:
    """Why nobody is told of `incident` now; None when people are. It need not be in the ledger yet."""
    return next((found for reason in REASONS if (found := reason(scene, incident))), None)


def announcements(scene: Scene) -> Iterator[Command]:
    """What is missing so that people know of every open incident that is not withheld."""
    told: dict[int, list[Notification]] = {}
    for item in scene.state.notifications.values():
        if item.incident:
            told.setdefault(item.incident, []).append(item)
    later: list[tuple[Incident, Withheld, list[Notification]]] = []
    for incident in scene.state.incidents.values():
        if incident.closed_wall != 0.0:
            continue
        why, items = withheld(scene, incident), told.get(incident.number, _NONE)
        if why is None:
            yield from _of_incident(scene, incident, why, items)
        elif items or why != incident.withheld:
            later.append((incident, why, items))
    # What people are told goes before what is only recorded, of which there may be thousands.
    for incident, why, items in later:
        yield from _of_incident(scene, incident, why, items)


_NONE: Final[list[Notification]] = []


def _of_incident(
    scene: Scene, incident: Incident, why: Withheld | None, items: list[Notification]
) -> Iterator[Command]:
    state = scene.state
    if why != incident.withheld:
        yield Withhold(
            epoch=state.lease.epoch,
            incident=incident.number,
            withheld=why,
            at_wall=scene.now.wall,
            policy_rev=state.policy_rev,
        )
    if why is not None:
        yield from _withdrawals(scene, items, why)
        return
    if not _is_supported(scene, incident):
        return
    missing = tuple(_missing(scene, incident, items))
    for channel, kind in missing:
        yield from _announcing(scene, incident, kind, channel, items)
    yield from escalation.follow_ups(scene, incident, items, just_told={channel for channel, _ in missing})


def _is_supported(scene: Scene, incident: Incident) -> bool:
    """False in the moment in which it is well again, or no longer watched: the incident is about to end."""
    standing = scene.view.standings.get(incident.service)
    return standing is not None and (incident.is_flapping or standing.level is not Level.UP)


def _withdrawals(scene: Scene, items: list[Notification], why: Withheld) -> Iterator[Command]:
    """What waits and never left; that something has ended, or flaps, is told all the same."""
    for item in items:
        if not silencing.is_told_despite(item.kind, why) and outbox.never_left(scene.state, item):
            yield _drop(scene, item, why.text)


def _drop(scene: Scene, item: Notification, reason: str) -> Drop:
    return Drop(epoch=scene.state.lease.epoch, id=item.id, reason=reason, policy_rev=scene.state.policy_rev)


def _missing(scene: Scene, incident: Incident, items: list[Notification]) -> Iterator[tuple[str, NoticeKind]]:
    """Channels that do not know how things stand, and what they are to be told.

    Mostly a transition brings its own notifications; missing is what was withdrawn, withheld or shed.
    """
    ordered = sorted(items, key=lambda item: item.order)
    lost = {item.id for item in items if _is_lost(scene, item)}
    announced = (item for item in ordered if outbox.announces(scene.state, item))
    latest = {item.channel: item for item in announced if item.id not in lost}
    # What people wanted no more, before it left or without knowing whether it had.
    gone = (item for item in items if outbox.is_withdrawn(scene.state, item))
    withdrawn = {item.channel for item in gone if item.kind in _OF_A_MOVE}
    is_known = any(not _is_behind(incident, item) for item in latest.values())
    for channel in escalation.reached(scene, incident, items):
        item = latest.get(channel)
        if item is None and (not latest or channel in withdrawn or lost):
            yield channel, NoticeKind.FLAPPING if incident.is_flapping else NoticeKind.FIRING
        elif item is None and not is_known:
            yield channel, NoticeKind.WORSENED
        elif item is not None and not item.notice.instead_of and _is_behind(incident, item):
            yield channel, NoticeKind.SETTLED if item.kind is NoticeKind.FLAPPING else NoticeKind.WORSENED


_OF_A_MOVE: Final = (NoticeKind.FIRING, NoticeKind.WORSENED, NoticeKind.FLAPPING, NoticeKind.SETTLED)


def _is_lost(scene: Scene, item: Notification) -> bool:
    """True for what died on a channel that the file no longer has: whoever came in its place is to hear."""
    if item.channel in scene.settings.channels or not outbox.announces(scene.state, item):
        return False
    return outbox.teller(scene.state, item).stage is Stage.DEAD


def _is_behind(incident: Incident, item: Notification) -> bool:
    """True when who heard `item` last does not know that the incident has settled, or how bad it is."""
    if incident.is_flapping:
        return False
    is_worse = incidents.move(item.notice.level, incident.level) is Move.WORSENED
    return is_worse or item.kind is NoticeKind.FLAPPING


def _announcing(
    scene: Scene, incident: Incident, kind: NoticeKind, channel: str, items: list[Notification]
) -> Iterator[Command]:
    """One announcement; the latest before it on this channel makes its id new, however many are kept."""
    before = max((item.order for item in items if item.channel == channel), default=0)
    number = f"{incident.number}.{before}" if before else str(incident.number)
    after = aftermath(scene, incident)
    yield from escalation.enqueued(scene, incident, kind, number, channel, note=after)
