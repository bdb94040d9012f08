"""Are people told of an incident now, and of what? The stage between incidents and the outbox.

`withheld` names the first reason why nobody is told; `announcements` walks the open incidents and proposes
what is missing: the reason recorded, what waits withdrawn, or the announcement made. Level-triggered, so a
silence that ends, a lost command and a new alerter all come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from watchtower.core import outbox, routing
from watchtower.core.commands import Command, Drop, Enqueue, Withhold
from watchtower.core.model import Incident, NoticeKind, Notification, Stage
from watchtower.core.policies import Why, Withheld
from watchtower.core.scene import Scene, drafts, notice_of

Reason = Callable[[Scene, Incident], Withheld | None]


def _unrouted(scene: Scene, incident: Incident) -> Withheld | None:
    if routing.channels(incident.service, scene.settings):
        return None
    return Withheld(why=Why.UNROUTED, text="no channel is configured for it")


REASONS: Final[tuple[Reason, ...]] = (_unrouted,)
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
    for incident in scene.state.incidents.values():
        if incident.is_open:
            yield from _of_incident(scene, incident, told.get(incident.number, []))


def _of_incident(scene: Scene, incident: Incident, items: list[Notification]) -> Iterator[Command]:
    state = scene.state
    why = withheld(scene, incident)
    if why != incident.withheld:
        yield Withhold(
            epoch=state.lease.epoch,
            incident=incident.number,
            withheld=why,
            at_wall=scene.now.wall,
            policy_rev=state.policy_rev,
        )
    if why is not None:
        yield from _withdrawals(scene, items, why.text)
    elif not any(_announces(item) for item in items):
        yield from _announcing(scene, incident, len(items))


def _withdrawals(scene: Scene, items: list[Notification], reason: str) -> Iterator[Command]:
    """What waits and never left; that something has ended is told all the same."""
    for item in items:
        if item.kind is NoticeKind.RESOLVED or not _never_left(scene, item):
            continue
        yield Drop(
            epoch=scene.state.lease.epoch, id=item.id, reason=reason, policy_rev=scene.state.policy_rev
        )


def _never_left(scene: Scene, item: Notification) -> bool:
    if item.stage is not Stage.DIGESTED:
        return outbox.is_waiting(item)
    digest = scene.state.notifications.get(item.digest)
    return digest is not None and outbox.is_waiting(digest)


def _announces(item: Notification) -> bool:
    """True for what tells, told or tries to tell that the incident is there (protocol.md, hole 15)."""
    return item.kind is not NoticeKind.RESOLVED and item.stage not in (Stage.CANCELLED, Stage.SUPERSEDED)


def _announcing(scene: Scene, incident: Incident, before: int) -> Iterator[Command]:
    """The announcement; `before` earlier ones were withdrawn, which makes the ids new."""
    state, number = scene.state, f"{incident.number}.{before}" if before else str(incident.number)
    channels = routing.channels(incident.service, scene.settings)
    said = notice_of(scene, incident)
    for draft in drafts(scene, incident.service, NoticeKind.FIRING, number, said, channels=channels):
        if draft.id not in state.notifications and not outbox.is_full(state):
            yield Enqueue(
                epoch=state.lease.epoch,
                incident=incident.number,
                draft=draft,
                at_wall=scene.now.wall,
                policy_rev=state.policy_rev,
            )
