"""What the API and the page say about cluster, peers and services: how a Snapshot fills the shapes.

Pure functions over one Snapshot; API and page show the very same documents. Times are UTC datetimes
(RFC 3339 in JSON), None where nothing is known. Nothing here knows HTTP, and no URL leaves with the
credentials or the query it may carry.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from watchtower.core.alerting import routing
from watchtower.core.beats import Beat
from watchtower.core.judging.eligibility import ineligible
from watchtower.core.model import Level, Result, Verdict
from watchtower.core.ports import Snapshot
from watchtower.core.schedules import first_due
from watchtower.core.settings import CLUSTER_SUBJECT, PEER_PREFIX, Service
from watchtower.core.targets import (
    DnsTarget,
    ExecTarget,
    HeartbeatTarget,
    HttpTarget,
    IcmpTarget,
    PeerTarget,
    Target,
    WsTarget,
)
from watchtower.core.view import Standing
from watchtower.web.alarms import alarms
from watchtower.web.incidents import incident_docs, open_incidents
from watchtower.web.shapes import (
    ConfigDoc,
    Freshness,
    IncidentDoc,
    LeaseDoc,
    PeerDetail,
    PeerDoc,
    ResultDoc,
    ServiceDetail,
    ServiceDoc,
    StatusDoc,
    Summary,
    VoteDoc,
)
from watchtower.web.times import moment

_NO_VERDICT: Final = Standing(
    verdict=Verdict(level=None, reason="no verdict yet"), level=Level.UNKNOWN, since_boot=0.0, held_boot=0.0
)


def freshness(snap: Snapshot) -> Freshness:
    """How old this snapshot's knowledge is."""
    return Freshness(
        at=datetime.fromtimestamp(snap.now.wall, UTC),
        index=snap.cluster.applied_index,
        knowledge_age_s=round(snap.cluster.last_commit_age_s, 1),
    )


def status_doc(snap: Snapshot) -> StatusDoc:
    """The whole picture as this peer has it."""
    cluster, state = snap.cluster, snap.state
    services = service_docs(snap)
    incidents = incident_docs(snap, open_incidents(snap.state))
    whole = snap.view.standings.get(CLUSTER_SUBJECT, _NO_VERDICT)
    return StatusDoc(
        cluster=snap.settings.cluster.name,
        peer=snap.settings.me,
        version=snap.version,
        quorum=cluster.has_quorum,
        leader=cluster.leader or None,
        alerter=_alerter(snap),
        epoch=state.lease.epoch,
        ready=not snap.ready_reason,
        ready_reason=snap.ready_reason,
        doubt=snap.doubt,
        cluster_verdict=whole.level,
        cluster_reason=whole.verdict.reason,
        config=ConfigDoc(
            in_force=state.config.hash,
            mine=snap.settings.config_hash,
            generation=state.config.gen,
            reload_error=snap.reload_error,
        ),
        alarms=alarms(snap),
        summary=_summary(services, incidents),
        peers=peer_docs(snap),
        services=services,
        incidents=incidents,
    )


def ineligibility(snap: Snapshot) -> dict[str, str]:
    """Peer -> why its votes do not count now, "" when they do."""
    return {
        peer: str(ineligible(snap.state, peer, snap.view, snap.now) or "")
        for peer in snap.settings.cluster.peer_names
    }


def peer_docs(snap: Snapshot) -> list[PeerDoc]:
    """All configured peers, in the order of the file."""
    reasons = ineligibility(snap)
    return [_peer_doc(snap, name, reasons[name]) for name in snap.settings.cluster.peer_names]


def peer_details(snap: Snapshot) -> list[PeerDetail]:
    """All configured peers with clocks, reports and lease."""
    return [_peer_detail(snap, doc) for doc in peer_docs(snap)]


def service_docs(snap: Snapshot) -> list[ServiceDoc]:
    """All services of the config, in the order of the file."""
    reasons = ineligibility(snap)
    return [_service_doc(snap, service, reasons) for service in snap.settings.services.values()]


def service_detail(snap: Snapshot, name: str) -> ServiceDetail | None:
    """Everything about the service called `name`; None when the config has none of that name."""
    service = snap.settings.services.get(name)
    if service is None:
        return None
    doc = _service_doc(snap, service, ineligibility(snap))
    beat = snap.state.beats.get(name)
    result = snap.results.get(name)
    audience = routing.of_service(service, snap.settings, snap.now.wall)
    return ServiceDetail(
        **{field: getattr(doc, field) for field in doc.__struct_fields__},
        interval_s=service.interval_s,
        timeout_s=service.timeout_s,
        expect=[condition.text for condition in service.expect],
        warn=[condition.text for condition in service.warn],
        severity=service.severity,
        alert=list(audience.at_once),
        told_by=audience.reason,
        runbook=service.runbook,
        dashboard=service.dashboard,
        last_beat_at=moment(beat.at_wall) if beat else None,
        next_beat_due_at=moment(_next_due_wall(service.target, beat)),
        running_since=moment(beat.started_wall) if beat else None,
        last_words=beat.text if beat else "",
        result=_result_doc(result) if result else None,
    )


def _next_due_wall(target: Target, beat: Beat | None) -> float:
    """When the next beat is due; 0.0 for what never beat, and for other kinds."""
    if beat is None or not beat.at_wall or not isinstance(target, HeartbeatTarget):
        return 0.0
    due = first_due(target, beat.at_wall)
    return due if math.isfinite(due) else 0.0


def instance(target: Target) -> str:
    """What is looked at, in one word: an address without credentials, query and fragment."""
    match target:
        case HttpTarget() | WsTarget() | PeerTarget():
            return _bare_url(target.url)
        case DnsTarget():
            return target.name
        case HeartbeatTarget():
            return "heartbeat"
        case IcmpTarget():
            return target.host
        case ExecTarget():
            return target.program
        case _:
            host = f"[{target.host}]" if ":" in target.host else target.host
            return f"{host}:{target.port}"


def _bare_url(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _alerter(snap: Snapshot) -> str | None:
    lease = snap.state.lease
    return None if lease.released else lease.holder or None


def _role(snap: Snapshot, name: str) -> str:
    """`leader`, `follower`, or `unknown` for a peer this one is not linked to."""
    if name == snap.settings.me:
        return snap.cluster.role
    if name == snap.cluster.leader:
        return "leader"
    return "follower" if snap.cluster.links.get(name) else "unknown"


def _peer_doc(snap: Snapshot, name: str, reason: str) -> PeerDoc:
    peer = snap.settings.cluster.peer(name)
    row = snap.state.row(name)
    is_me = name == snap.settings.me
    return PeerDoc(
        name=name,
        is_me=is_me,
        zone=peer.zone,
        provider=peer.provider,
        eligible=not reason,
        reason=reason,
        role=_role(snap, name),
        is_alerter=_alerter(snap) == name,
        link=None if is_me else snap.cluster.links.get(name, False),
        version=row.version,
        command_version=row.command_version,
        config_hash=row.config_hash,
        config_in_force=bool(row.config_hash) and row.config_hash == snap.state.config.hash,
        session=row.session,
        doubt=row.doubt,
        paths=row.paths,
    )


def _peer_detail(snap: Snapshot, doc: PeerDoc) -> PeerDetail:
    row, lease = snap.state.row(doc.name), snap.state.lease
    offset = 0.0 if doc.is_me else snap.view.clock_offset_s.get(doc.name)
    return PeerDetail(
        **{field: getattr(doc, field) for field in doc.__struct_fields__},
        clock_offset_s=offset,
        joined_at=moment(row.joined_wall),
        reported_at=moment(row.reported_wall),
        lease=LeaseDoc(epoch=lease.epoch, renewals=lease.renewals, length_ms=lease.length_ms)
        if doc.is_alerter
        else None,
    )


def _service_doc(snap: Snapshot, service: Service, reasons: dict[str, str]) -> ServiceDoc:
    standing = snap.view.standings.get(service.name, _NO_VERDICT)
    row = snap.state.service(service.name)
    return ServiceDoc(
        name=service.name,
        title=service.shown_as,
        group=service.group,
        kind=service.kind,
        instance=instance(service.target),
        labels=dict(service.labels),
        verdict=standing.level,
        reason=standing.verdict.reason,
        undecided=standing.verdict.level is None,
        since=moment(_since_wall(snap, service.name, standing)),
        votes=[_vote_doc(snap, peer, service.name, reasons.get(peer, "config")) for peer in service.voters],
        incident=row.incident if row.open else None,
    )


def _since_wall(snap: Snapshot, service: str, standing: Standing) -> float:
    """Since when the verdict holds: the incident knows best; 0.0 for what was never anything but up."""
    incident = snap.state.incidents.get(snap.state.service(service).incident)
    if incident is not None and incident.is_open:
        return incident.since_wall
    if standing.level is Level.UP:
        return incident.closed_wall if incident else 0.0
    seen_here_s = snap.now.boot - standing.since_boot
    return round(standing.verdict.since_wall or snap.now.wall - seen_here_s)


def _vote_doc(snap: Snapshot, peer: str, service: str, reason: str) -> VoteDoc:
    vote = snap.state.row(peer).vote(service)
    return VoteDoc(
        peer=peer,
        opinion=vote.opinion,
        counted=not reason,
        kind=vote.kind,
        text=vote.text,
        latency_ms=vote.latency_ms or None,
        since=moment(vote.since_wall),
        suspect=vote.suspect,
    )


def _result_doc(result: Result) -> ResultDoc:
    return ResultDoc(
        opinion=result.opinion,
        kind=result.kind,
        text=result.text,
        at=moment(result.at_wall),
        duration_ms=round(result.duration_ms, 3),
        phases_ms=result.phases_ms,
        facts=result.facts,
    )


def _summary(services: list[ServiceDoc], incidents: list[IncidentDoc]) -> Summary:
    verdicts = [doc.verdict for doc in services if not doc.name.startswith(PEER_PREFIX)]
    return Summary(
        services=len(verdicts),
        up=verdicts.count(Level.UP),
        degraded=verdicts.count(Level.DEGRADED),
        partial=verdicts.count(Level.PARTIAL),
        down=verdicts.count(Level.DOWN),
        unknown=verdicts.count(Level.UNKNOWN),
        incidents_open=len(incidents),
        acknowledged=sum(doc.ack is not None for doc in incidents),
        flapping=sum(doc.flapping for doc in incidents),
        withheld=dict(Counter(doc.withheld.why for doc in incidents if doc.withheld)),
    )
