"""Who sends what waits, and what another channel is told instead: two stages of decide.

Decides nothing about what is told, and nothing about when: that is attempts.py's. The commands here name a
living sender and add what the fallback channel hears.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from watchtower.core.alerting import silencing
from watchtower.core.alerting.attempts import ChannelState, NextAttempt, channel_states, next_attempt
from watchtower.core.alerting.scene import Scene, is_full
from watchtower.core.applying import outbox
from watchtower.core.commands import Assign, Command, Draft, Enqueue
from watchtower.core.judging import eligibility
from watchtower.core.model import NoticeKind, Notification, Stage, State


def turns(scene: Scene) -> tuple[str, ...]:
    """The peers that may send, in order: the alerter, then all that are eligible, witnesses last."""
    state, view = scene.state, scene.view
    witnesses = scene.settings.cluster.witness_names
    alive = [
        name
        for name in sorted(state.members, key=lambda name: (name in witnesses, name))
        if name != view.me and eligibility.ineligible(state, name, view, scene.now) is None
    ]
    return view.me, *alive


def channels(scene: Scene) -> dict[str, ChannelState]:
    """What bears on every channel now; worked out once a pass, however many ask."""
    known = scene.memo.get("channels")
    if not isinstance(known, dict):
        known = channel_states(scene.state, scene.settings, turns(scene), scene.now.wall)
        scene.memo["channels"] = known
    return known


def fallbacks(scene: Scene) -> Iterator[Command]:
    """What a channel refuses for good, or keeps waiting for too long, goes to its fallback too."""
    state = scene.state
    if is_full(scene):
        return
    drafted: set[outbox.Told] = set()
    latest = _latest_instead(state)
    for item, found in _due_elsewhere(scene):
        told = outbox.transition_told(item, found.channel)
        if told in drafted:
            continue
        drafted.add(told)
        yield Enqueue(
            epoch=state.lease.epoch,
            incident=item.incident,
            draft=_instead(state, item, found, latest.get((item.channel, told), 0)),
            at_wall=scene.now.wall,
            policy_rev=state.policy_rev,
        )


def _due_elsewhere(scene: Scene) -> list[tuple[Notification, NextAttempt]]:
    """What goes to a fallback now, oldest first; what is older in a lane goes with the younger, in order."""
    state = scene.state
    by_name = channels(scene)
    due: list[tuple[Notification, NextAttempt]] = []
    lanes: dict[str, NextAttempt] = {}
    for item in sorted(state.notifications.values(), key=lambda item: -item.order):
        channel = by_name[item.channel]
        if not channel.fallback or not _may_fall_back(state, item):
            continue
        found = next_attempt(item, channel, scene.now.wall)
        if found.channel != item.channel:
            lanes[item.lane] = found
        if item.lane in lanes and item.id not in channel.elsewhere and not item.notice.instead_of:
            due.append((item, lanes[item.lane]))
    return due[::-1]


def _may_fall_back(state: State, item: Notification) -> bool:
    """True for what is still to be told, or was refused for good, of what is not over."""
    incident = state.incidents.get(item.incident)
    if incident is None or (not incident.is_open and item.kind is not NoticeKind.RESOLVED):
        return False
    if incident.withheld is not None and not silencing.is_told_despite(item.kind, incident.withheld):
        return False
    return outbox.teller(state, item).stage is Stage.DEAD or outbox.is_to_be_told(state, item)


def _latest_instead(state: State) -> dict[tuple[str, outbox.Told], int]:
    """The order of the latest that stood in for a channel, by that channel and what it told where."""
    latest: dict[tuple[str, outbox.Told], int] = {}
    for item in state.notifications.values():
        if item.notice.instead_of:
            key = item.notice.instead_of, outbox.transition_told(item, item.channel)
            latest[key] = max(item.order, latest.get(key, 0))
    return latest


def _instead(state: State, item: Notification, found: NextAttempt, latest: int) -> Draft:
    """What the fallback hears; what was withdrawn there before (`latest`, 0: nothing) makes the id new."""
    number = f"{item.id}.{latest}" if latest else item.id
    return Draft(
        id=outbox.notification_id(state.cluster, item.service, item.kind, number, found.channel),
        channel=found.channel,
        kind=item.kind,
        sender=found.peer,
        notice=replace(item.notice, instead_of=item.channel, instead_because=found.reason),
    )


def senders(scene: Scene) -> Iterator[Command]:
    """A living sender for every unfinished notification.

    What nobody has claimed the alerter sends itself: its predecessor, if that was the sender, may be dead
    without being silent for long enough to tell.
    """
    state, peers = scene.state, turns(scene)
    # Whoever sends does so on the item's own channel, whatever a fallback is told besides.
    alone = {name: replace(channel, fallback="") for name, channel in channels(scene).items()}
    for item in state.notifications.values():
        if item.stage.finished or _is_being_sent(item, peers, state):
            continue
        if item.kind is NoticeKind.TEST and item.stage is Stage.PENDING:
            continue
        wanted = next_attempt(item, alone[item.channel], scene.now.wall).peer
        if item.stage is not Stage.PENDING and item.failures < 2 and item.sender in peers:
            wanted = item.sender
        if wanted != item.sender:
            yield Assign(epoch=state.lease.epoch, id=item.id, sender=wanted)


def _is_being_sent(item: Notification, peers: tuple[str, ...], state: State) -> bool:
    """True while the wanted sender, alive and in its claiming session, works on it: let it finish."""
    is_live = item.owner in peers and item.session == state.row(item.owner).session
    return item.stage is Stage.CLAIMED and is_live and item.owner == item.sender
