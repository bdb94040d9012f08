"""Who sends what waits, and when another channel is told instead: two stages of decide.

Decides nothing about what is told. The commands here name a living sender and add what the fallback
channel hears.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from watchtower.core import eligibility, outbox
from watchtower.core.commands import Assign, Command, Draft, Enqueue
from watchtower.core.model import NoticeKind, Notification, Stage, State
from watchtower.core.scene import Scene

FALLBACK_AFTER_S: Final = 300.0


def fallbacks(scene: Scene) -> Iterator[Command]:
    """What a channel refuses for good, or has not taken for five minutes, goes to its fallback too."""
    state, items = scene.state, sorted(scene.state.notifications.values(), key=lambda item: item.order)
    known = {_transition_told(item, item.channel) for item in items}
    stuck = {item.lane for item in items if item.failures and not item.stage.finished}
    for item in () if outbox.is_full(state) else items:
        channel = scene.settings.channels.get(item.channel)
        if channel is None or not channel.fallback or not _needs_fallback(scene, item, stuck):
            continue
        if _transition_told(item, channel.fallback) in known:
            continue
        notice = replace(item.notice, instead_of=item.channel)
        draft = Draft(
            id=outbox.notification_id(state.cluster, item.service, item.kind, item.id, channel.fallback),
            channel=channel.fallback,
            kind=item.kind,
            sender=state.lease.holder,
            notice=notice,
        )
        yield Enqueue(
            epoch=state.lease.epoch,
            incident=item.incident,
            draft=draft,
            at_wall=scene.now.wall,
            policy_rev=state.policy_rev,
        )


def _transition_told(item: Notification, channel: str) -> tuple[int, NoticeKind, float, str]:
    """One transition on one channel: an incident may worsen more than once, each time at another time."""
    return item.incident, item.kind, item.notice.at_wall, channel


def _needs_fallback(scene: Scene, item: Notification, stuck: set[str]) -> bool:
    """True for what is dead or has waited too long in a lane (of `stuck`) whose channel refuses."""
    incident = scene.state.incidents.get(item.incident)
    is_over = incident is None or not incident.is_open
    if item.notice.instead_of or (is_over and item.kind is not NoticeKind.RESOLVED) or incident is None:
        return False
    if item.stage is Stage.DEAD:
        return True
    is_old = scene.now.wall - item.created_wall > FALLBACK_AFTER_S
    return is_old and not item.stage.finished and item.lane in stuck


def senders(scene: Scene) -> Iterator[Command]:
    """A living sender for every unfinished notification; after two failures another peer tries.

    What nobody has claimed the alerter sends itself: its predecessor, if that was the sender, may be dead
    without being silent for long enough to tell. Witnesses come last.
    """
    state, view = scene.state, scene.view
    witnesses = scene.settings.cluster.witness_names
    alive = [
        name
        for name in sorted(state.members, key=lambda name: (name in witnesses, name))
        if name != view.me and eligibility.ineligible(state, name, view, scene.now) is None
    ]
    turns = (view.me, *alive)
    for item in state.notifications.values():
        if item.kind is NoticeKind.TEST or item.stage.finished or _is_being_sent(item, turns, state):
            continue
        wanted = turns[(item.failures // 2) % len(turns)]
        if item.stage is not Stage.PENDING and item.failures < 2 and item.sender in turns:
            wanted = item.sender
        if wanted != item.sender:
            yield Assign(epoch=state.lease.epoch, id=item.id, sender=wanted)


def _is_being_sent(item: Notification, turns: tuple[str, ...], state: State) -> bool:
    """True while the wanted sender, alive and in its claiming session, works on it: let it finish."""
    is_live = item.owner in turns and item.session == state.row(item.owner).session
    return item.stage is Stage.CLAIMED and is_live and item.owner == item.sender
