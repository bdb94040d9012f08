"""Incidents that should open, change or end by the verdicts of this pass: two stages of decide.

A verdict moves an incident once a rule has supported it for a moment. What is told of the move goes with it
into one entry; whether anything is told, telling.py says.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from watchtower.core.alerting import dependencies, escalation, flapping, telling
from watchtower.core.alerting.scene import Scene, notice
from watchtower.core.applying import incidents, membership, outbox
from watchtower.core.applying.incidents import Move
from watchtower.core.commands import Close, Command, Draft, Open, Shift
from watchtower.core.judging import quorum
from watchtower.core.model import Incident, Instant, Level, Notice, NoticeKind
from watchtower.core.settings import CLUSTER_SUBJECT, PEER_PREFIX
from watchtower.core.view import Standing

STANDS_S: Final = 0.5
"""A verdict moves an incident only when it is still there this much later (protocol.md, section 5)."""

SICK_STANDS_S: Final = 5.0
"""A peer or cluster that is merely degraded must stay so a little longer: doubts come and go."""


def transitions(scene: Scene) -> Iterator[Command]:
    """Incidents that should open, change or end by these verdicts, causes before what needs them."""
    rows, up, depths = scene.state.services, Level.UP, dependencies.graph_of(scene.settings).depths
    troubled = [
        (subject, standing)
        for subject, standing in scene.view.standings.items()
        # Nearly none of them, four times a second.
        if standing.level is not up or ((row := rows.get(subject)) is not None and row.open)
    ]
    troubled.sort(key=lambda pair: depths.get(pair[0], 0))
    for subject, standing in troubled:
        incident = scene.state.open_incident(subject)
        if incident is not None and incident.is_flapping:
            yield from _of_flapping(scene, incident, standing)
            continue
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
            kind = NoticeKind.WORSENED if move is Move.WORSENED else None
            yield _shifting(scene, incident, standing, kind)


def _of_flapping(scene: Scene, incident: Incident, standing: Standing) -> Iterator[Command]:
    """A flapping incident follows the verdicts in silence, and ends or is told again once it has settled."""
    level = standing.level
    if level is Level.UNKNOWN or not _stands(incident.service, standing, scene.now):
        return
    if not flapping.has_settled(scene, incident):
        if level is not incident.level:
            yield _shifting(scene, incident, standing)
    elif level is Level.UP:
        yield _closing(scene, incident, f"no longer flapping: {standing.verdict.reason}")
    else:
        kind = NoticeKind.SETTLED if flapping.is_told(scene.state, incident.number) else None
        yield _shifting(scene, replace(incident, is_flapping=False), standing, kind)


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
    said = notice(scene, subject, standing.level, verdict.reason, verdict.since_wall)
    incident = Incident(
        number=state.last_incident + 1,
        service=subject,
        level=standing.level,
        reason=verdict.reason,
        since_wall=said.since_wall,
        opened_wall=scene.now.wall,
        severity=said.severity,
        is_flapping=flapping.begins(scene, subject),
    )
    kind = NoticeKind.FLAPPING if incident.is_flapping else NoticeKind.FIRING
    why = telling.withheld(scene, incident)
    told: tuple[Draft, ...] = ()
    if why is None:
        channels = escalation.reached(scene, incident, [])
        told = _drafts(scene, incident, kind, str(incident.number), said, channels=channels)
    return Open(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=subject,
        rev=state.rev(subject),
        incident=state.service(subject).incident,
        level=standing.level,
        reason=verdict.reason,
        at_wall=scene.now.wall,
        since_wall=said.since_wall,
        evidence=said.evidence,
        policy_rev=state.policy_rev,
        severity=said.severity,
        withheld=why,
        is_flapping=incident.is_flapping,
        drafts=told,
    )


def _shifting(scene: Scene, incident: Incident, standing: Standing, kind: NoticeKind | None = None) -> Shift:
    """The incident at the level of `standing`; a `kind` is told, unless there is a reason not to.

    What nobody knows of yet is announced like a new one, by telling.py.
    """
    state, subject, level = scene.state, incident.service, standing.level
    said = notice(scene, subject, level, standing.verdict.reason, incident.since_wall)
    told: tuple[Draft, ...] = ()
    shifted = replace(incident, level=level, severity=said.severity)
    if kind is not None:
        told = _told_of_move(scene, shifted, kind, said)
    return Shift(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=subject,
        rev=state.rev(subject),
        incident=incident.number,
        level=level,
        reason=said.reason,
        at_wall=scene.now.wall,
        evidence=said.evidence,
        policy_rev=state.policy_rev,
        severity=incident.severity if level is Level.UP else said.severity,
        is_flapping=incident.is_flapping,
        drafts=told,
    )


def _told_of_move(scene: Scene, incident: Incident, kind: NoticeKind, said: Notice) -> tuple[Draft, ...]:
    """What those hear of a move who know of the incident; none when nobody does, or is to."""
    mine = [item for item in scene.state.notifications.values() if item.incident == incident.number]
    is_told = any(outbox.announces(scene.state, item) for item in mine)
    if not is_told or telling.withheld(scene, incident) is not None:
        return ()
    # The time makes the id unique: an incident may worsen, ease and worsen again.
    number = f"{incident.number}.{incident.timeline[-1].at_wall}"
    channels = escalation.reached(scene, incident, mine)
    return _drafts(scene, incident, kind, number, said, channels=channels)


def _drafts(
    scene: Scene,
    incident: Incident,
    kind: NoticeKind,
    number: str,
    said: Notice,
    *,
    channels: tuple[str, ...],
) -> tuple[Draft, ...]:
    """One per channel. The evidence stands once in the command, so that many channels fit into one entry."""
    state, said = scene.state, replace(said, evidence=())
    return tuple(
        Draft(
            id=outbox.notification_id(state.cluster, incident.service, kind, number, channel),
            channel=channel,
            kind=kind,
            sender=state.lease.holder,
            notice=said,
        )
        for channel in channels
    )


def _closing(scene: Scene, incident: Incident, reason: str) -> Close:
    state = scene.state
    said = notice(scene, incident.service, Level.UP, reason, incident.since_wall)
    said = replace(said, severity=incident.severity)
    return Close(
        epoch=state.lease.epoch,
        gen=state.config.gen,
        service=incident.service,
        rev=state.rev(incident.service),
        incident=incident.number,
        reason=reason,
        at_wall=scene.now.wall,
        policy_rev=state.policy_rev,
        notice=said if scene.settings.alerting.resolved else None,
    )


def orphans(scene: Scene) -> Iterator[Command]:
    """Open incidents of services that are no longer configured: nothing else will ever close them."""
    for incident in scene.state.incidents.values():
        if incident.is_open and incident.service not in scene.view.standings:
            yield _closing(scene, incident, "no longer configured")
