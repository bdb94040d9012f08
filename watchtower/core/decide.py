"""What should change: `decide(state, settings, view, now) -> commands`. All policy ends here.

Run by the alerter alone, as a reconcile loop over applied state. Level-triggered: it derives what
is missing from what is there, so a command that was lost is derived again, and one that was applied
is not derived a second time. It proposes; `ledger.apply` checks that the world is still as it was.

The stages, in order: move the config in force to what a majority runs; end the sessions of silent
peers; raise the command version to what every member knows; open, shift and close incidents together with
their notifications; send to the fallback channel what a channel refuses; name a living sender for
whatever waits; forget what is no longer configured. A peer whose own config is not in force does only the
first.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core import eligibility, incidents, membership, outbox, quorum, routing, verdicts
from watchtower.core.commands import (
    Activate,
    Assign,
    Close,
    Command,
    Draft,
    Enqueue,
    Forget,
    Gate,
    Gone,
    Open,
    Shift,
)
from watchtower.core.incidents import Move
from watchtower.core.model import (
    Evidence,
    Incident,
    Instant,
    Level,
    Notice,
    NoticeKind,
    Notification,
    Stage,
    State,
)
from watchtower.core.settings import CLUSTER_SUBJECT, PEER_PREFIX, Settings
from watchtower.core.view import Standing, View

COMMANDS_MAX: Final = 100
"""Commands of one pass; what is left over, the next pass derives."""

STANDS_S: Final = 0.5
"""A verdict moves an incident only when it is still there this much later (protocol.md, section 5)."""

SICK_STANDS_S: Final = 5.0
"""A peer or cluster that is merely degraded must stay so a little longer: doubts come and go."""

FALLBACK_AFTER_S: Final = 300.0

FORGOTTEN_MAX: Final = 300
"""Services forgotten by one command, so that long names still fit into one entry."""


class Scene(Struct, frozen=True):
    """What one pass looks at, bundled for the stages."""

    state: State
    settings: Settings
    view: View
    now: Instant


def decide(state: State, settings: Settings, view: View, now: Instant) -> tuple[Command, ...]:
    """What the alerter proposes now; empty when this peer does not hold the lease or all is well.

    `view.standings` must be the verdicts of this pass (verdicts.observe). The caller checks that the
    lease is still valid on its own clock.
    """
    lease = state.lease
    if lease.holder != view.me or lease.session != state.row(view.me).session:
        return ()
    scene = Scene(state, settings, view, now)
    moved = _activation(scene)
    if moved is not None:
        return (moved,)
    if settings.config_hash != state.config.hash:
        return ()
    stages = (_departures, _gate, _transitions, _orphans, _fallbacks, _senders, _forgetting)
    # Lazily: when thousands fail at once, only the commands of this pass are made.
    return tuple(islice(chain.from_iterable(stage(scene) for stage in stages), COMMANDS_MAX))


def _activation(scene: Scene) -> Activate | None:
    """The config hash that a majority of members report in live sessions, when it is not in force yet."""
    state = scene.state
    rows = map(state.row, state.members)
    hashes = [row.config_hash for row in rows if row.boot_id and row.config_hash]
    for candidate in dict.fromkeys(hashes):
        if candidate != state.config.hash and hashes.count(candidate) >= membership.majority(state):
            return Activate(
                epoch=state.lease.epoch,
                gen=state.config.gen,
                config_hash=candidate,
                at_wall=scene.now.wall,
            )
    return None


def _departures(scene: Scene) -> Iterator[Command]:
    """Silent peers whose session is still alive in the ledger."""
    state, view = scene.state, scene.view
    for name in state.members:
        row = state.row(name)
        silent_s = eligibility.silent_s(name, view, scene.now)
        if name != view.me and row.boot_id and silent_s > eligibility.FRESH_S:
            yield Gone(epoch=state.lease.epoch, peer=name, peer_session=row.session)


def _gate(scene: Scene) -> Iterator[Command]:
    """The command version that every member's live session knows, when it is newer than the one in force."""
    version = membership.version_of_all(scene.state)
    if version > scene.state.gate:
        yield Gate(epoch=scene.state.lease.epoch, version=version)


def _transitions(scene: Scene) -> Iterator[Command]:
    """Incidents that should open, change or end by the verdicts of this pass."""
    rows, up = scene.state.services, Level.UP
    for subject, standing in scene.view.standings.items():
        row = rows.get(subject)
        if standing.level is up and (row is None or not row.open):
            continue  # nearly all of them, four times a second
        incident = scene.state.open_incident(subject)
        move = incidents.move(incident.level if incident else None, standing.level)
        if move is None or not _stands(subject, standing, scene.now):
            continue
        if incident is not None and move is Move.EASED and _lacks_votes(scene, incident, standing):
            continue
        if incident is None:
            yield _opening(scene, subject, standing)
        elif move is Move.RESOLVED:
            yield _closing(scene, incident, standing.verdict.reason)
        else:
            yield _shifting(scene, incident, move, standing)


def _stands(subject: str, standing: Standing, now: Instant) -> bool:
    """True when a rule supports the level right now, and has for long enough."""
    if standing.verdict.level is not standing.level:
        return False
    is_ours = subject == CLUSTER_SUBJECT or subject.startswith(PEER_PREFIX)
    is_mild = standing.level in (Level.DEGRADED, Level.PARTIAL)
    stands_s = SICK_STANDS_S if is_ours and is_mild else STANDS_S
    return now.boot - standing.since_boot >= stands_s


def _lacks_votes(scene: Scene, incident: Incident, standing: Standing) -> bool:
    """True when it may only seem better because a voter is missing, whose return would page again."""
    service = scene.settings.services.get(incident.service)
    if service is None:
        return False
    return quorum.could_be(
        incident.level, standing.verdict.counts, len(membership.voters(scene.state, service.voters))
    )


def _opening(scene: Scene, subject: str, standing: Standing) -> Open:
    state, verdict = scene.state, standing.verdict
    notice = _notice(scene, subject, standing.level, verdict.reason, verdict.since_wall)
    return Open(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=subject,
        rev=state.rev(subject),
        incident=state.service(subject).incident,
        level=standing.level,
        reason=verdict.reason,
        at_wall=scene.now.wall,
        since_wall=notice.since_wall,
        evidence=notice.evidence,
        drafts=_drafts(scene, subject, NoticeKind.FIRING, str(state.last_incident + 1), notice),
    )


def _shifting(scene: Scene, incident: Incident, move: Move, standing: Standing) -> Shift:
    state, subject, level = scene.state, incident.service, standing.level
    notice = _notice(scene, subject, level, standing.verdict.reason, incident.since_wall)
    drafts: tuple[Draft, ...] = ()
    if move is Move.WORSENED:
        # The time makes the id unique: an incident may worsen, ease and worsen again.
        number = f"{incident.number}.{incident.timeline[-1].at_wall}"
        drafts = _drafts(scene, subject, NoticeKind.WORSENED, number, notice)
    return Shift(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=subject,
        rev=state.rev(subject),
        incident=incident.number,
        level=level,
        reason=notice.reason,
        at_wall=scene.now.wall,
        evidence=notice.evidence,
        drafts=drafts,
    )


def _closing(scene: Scene, incident: Incident, reason: str) -> Close:
    state = scene.state
    notice = _notice(scene, incident.service, Level.UP, reason, incident.since_wall)
    return Close(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=incident.service,
        rev=state.rev(incident.service),
        incident=incident.number,
        reason=reason,
        at_wall=scene.now.wall,
        notice=notice if scene.settings.alerting.resolved else None,
    )


def _notice(scene: Scene, subject: str, level: Level, reason: str, since_wall: float) -> Notice:
    service = scene.settings.services.get(subject)
    seen: tuple[Evidence, ...] = ()
    if service is not None:
        seen = verdicts.evidence(service, scene.state, scene.view, scene.now)
    return Notice(
        level=level,
        reason=reason,
        since_wall=since_wall or scene.now.wall,
        at_wall=scene.now.wall,
        evidence=seen,
    )


def _drafts(scene: Scene, subject: str, kind: NoticeKind, number: str, notice: Notice) -> tuple[Draft, ...]:
    """One per channel. The evidence stands once in the command, so that many channels fit into one entry."""
    state, notice = scene.state, replace(notice, evidence=())
    return tuple(
        Draft(
            id=outbox.notification_id(state.cluster, subject, kind, number, channel),
            channel=channel,
            kind=kind,
            sender=state.lease.holder,
            notice=notice,
        )
        for channel in routing.channels(subject, scene.settings)
    )


def _orphans(scene: Scene) -> Iterator[Command]:
    """Open incidents of services that are no longer configured: nothing else will ever close them."""
    for incident in scene.state.incidents.values():
        if incident.is_open and incident.service not in scene.view.standings:
            yield _closing(scene, incident, "no longer configured")


def _fallbacks(scene: Scene) -> Iterator[Command]:
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
        yield Enqueue(epoch=state.lease.epoch, incident=item.incident, draft=draft, at_wall=scene.now.wall)


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


def _senders(scene: Scene) -> Iterator[Command]:
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
        if item.stage.finished or _is_being_sent(item, turns, state):
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


def _forgetting(scene: Scene) -> Iterator[Command]:
    """Rows of services that left the configuration and have no open incident."""
    state = scene.state
    unknown = [
        name
        for name in {**state.services, **state.beats}
        if name not in scene.view.standings and not state.service(name).open
    ]
    if unknown:
        yield Forget(epoch=state.lease.epoch, gen=state.config.gen, services=tuple(unknown[:FORGOTTEN_MAX]))
