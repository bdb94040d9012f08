"""The shapes of what is shown: one Struct per document of the API, the same ones that the page reads.

Names here are a contract with users (docs/reference/http.md). Times are UTC datetimes (RFC 3339 in
JSON), None where nothing is known. Nothing here computes; documents.py and incidents.py fill them.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from watchtower.core.model import Doubt, Kind, Level, NoticeKind, Opinion, Outcome, Stage
from watchtower.core.policies import Severity, Why


class EvidenceDoc(Struct, frozen=True, kw_only=True):
    """What one peer saw at the moment of a transition. `suspect`: its latest look contradicts its opinion."""

    peer: str
    opinion: Opinion
    text: str
    latency_ms: float | None
    suspect: bool


class StepDoc(Struct, frozen=True, kw_only=True):
    """One line of an incident's timeline."""

    at: datetime | None
    level: Level
    reason: str


class WithheldDoc(Struct, frozen=True, kw_only=True):
    """Why nobody is told. `until` None: nobody knows yet; `root`: the incident this one is folded into."""

    why: Why
    text: str
    until: datetime | None
    root: int | None


class AckDoc(Struct, frozen=True, kw_only=True):
    """Who works on it."""

    by: str
    note: str
    at: datetime | None


class IncidentDoc(Struct, frozen=True, kw_only=True):
    """An incident; `since` is when the trouble was first seen, `opened_at` when the quorum agreed.

    `withheld` is None while people are told. `folded` are the numbers of the incidents that it tells too.
    """

    number: int
    service: str
    title: str
    open: bool
    level: Level
    reason: str
    since: datetime | None
    opened_at: datetime | None
    closed_at: datetime | None
    severity: Severity
    withheld: WithheldDoc | None
    ack: AckDoc | None
    flapping: bool
    folded: list[int]
    evidence: list[EvidenceDoc]


class AttemptDoc(Struct, frozen=True, kw_only=True):
    """One attempt to send: who, when, and what the provider answered."""

    number: int
    peer: str
    outcome: Outcome
    detail: str
    at: datetime | None


class NotificationDoc(Struct, frozen=True, kw_only=True):
    """A line of the delivery ledger. `doubt` says whether an unfinished one may have arrived already.

    `waits`: why an unfinished one has not left, `dropped`: why one was withdrawn before it left. `digest` is
    the id of the digest that tells it, `members` how many a digest tells.
    """

    id: str
    incident: int
    service: str
    title: str
    kind: NoticeKind
    level: Level
    reason: str
    channel: str
    schema: str
    instead_of: str
    stage: Stage
    sender: str
    owner: str
    doubt: Doubt
    failures: int
    severity: Severity
    step: int
    created_at: datetime | None
    settled_at: datetime | None
    receipt: str
    waits: str
    waits_until: datetime | None
    dropped: str
    digest: str
    members: int
    attempts: list[AttemptDoc]


class NotificationDetail(NotificationDoc, frozen=True, kw_only=True):
    """A notification with what its peers saw, and every one that it tells when it is a digest."""

    since: datetime | None
    evidence: list[EvidenceDoc]
    told: list[NotificationDoc]


class AffectedDoc(Struct, frozen=True, kw_only=True):
    """A service that suffers from a failure. `degraded`: how it is meanwhile, "" unsaid."""

    service: str
    title: str
    degraded: str
    failing: bool


class ImpactDoc(Struct, frozen=True, kw_only=True):
    """What suffers: `count` services, `failing` of them already; `services` are the first of them."""

    count: int
    failing: int
    services: list[AffectedDoc]


class IncidentDetail(IncidentDoc, frozen=True, kw_only=True):
    """An incident with its timeline, what was told about it, its root cause and what is folded into it.

    `told_by`: the rule by which people are told of it now; "" once it is over.
    """

    root: IncidentDoc | None
    impact: ImpactDoc
    dependents: list[IncidentDoc]
    timeline: list[StepDoc]
    told_by: str
    notifications: list[NotificationDoc]


class VoteDoc(Struct, frozen=True, kw_only=True):
    """One peer's vote. `counted` False: the peer is not eligible, so its vote has no weight now."""

    peer: str
    opinion: Opinion
    counted: bool
    kind: Kind
    text: str
    latency_ms: float | None
    since: datetime | None
    suspect: bool


class ServiceDoc(Struct, frozen=True, kw_only=True):
    """A service as the quorum sees it. `undecided`: no rule holds now, `verdict` is the last."""

    name: str
    title: str
    group: str
    kind: str
    instance: str
    labels: dict[str, str]
    verdict: Level
    reason: str
    undecided: bool
    since: datetime | None
    votes: list[VoteDoc]
    incident: int | None


class ResultDoc(Struct, frozen=True, kw_only=True):
    """This peer's own latest probe of a service."""

    opinion: Opinion
    kind: Kind
    text: str
    at: datetime | None
    duration_ms: float
    phases_ms: dict[str, float]
    facts: dict[str, float | str]


class ServiceDetail(ServiceDoc, frozen=True, kw_only=True):
    """Everything about one service. `alert` is who would be told if it went down now, `told_by` the rule."""

    interval_s: float
    timeout_s: float
    expect: list[str]
    warn: list[str]
    severity: Severity
    alert: list[str]
    told_by: str
    runbook: str
    dashboard: str
    last_beat_at: datetime | None
    next_beat_due_at: datetime | None
    running_since: datetime | None
    last_words: str
    result: ResultDoc | None


class PeerDoc(Struct, frozen=True, kw_only=True):
    """A peer as this one sees it. `reason` says why it is not eligible; `link` None: it is this peer.

    `paths`: channels whose circuit breaker is not closed on that peer, by its latest report, and why.
    """

    name: str
    is_me: bool
    zone: str
    provider: str
    eligible: bool
    reason: str
    role: str
    is_alerter: bool
    link: bool | None
    version: str
    command_version: int
    config_hash: str
    config_in_force: bool
    session: int
    doubt: str
    paths: dict[str, str]


class LeaseDoc(Struct, frozen=True, kw_only=True):
    """The alerting lease while the peer holds it."""

    epoch: int
    renewals: int
    length_ms: int


class PeerDetail(PeerDoc, frozen=True, kw_only=True):
    """A peer with what changes all the time. `clock_offset_s`: its wall clock minus ours."""

    clock_offset_s: float | None
    joined_at: datetime | None
    reported_at: datetime | None
    lease: LeaseDoc | None


class Alarm(Struct, frozen=True, kw_only=True):
    """Something is wrong with the telling itself: `kind` is undelivered, waiting, channel, silent or drill.

    `channel` and `incident` say where to look, "" and None where that is nowhere in particular.
    """

    kind: str
    text: str
    channel: str = ""
    incident: int | None = None


class Summary(Struct, frozen=True, kw_only=True):
    """How many services have which verdict; peers are counted apart.

    `withheld` counts the open incidents that nobody is told of, by why.
    """

    services: int
    up: int
    degraded: int
    partial: int
    down: int
    unknown: int
    incidents_open: int
    acknowledged: int
    flapping: int
    withheld: dict[Why, int]


class ConfigDoc(Struct, frozen=True, kw_only=True):
    """The config in force, this peer's own, and why its latest reload was refused ("" when it was not)."""

    in_force: str
    mine: str
    generation: int
    reload_error: str


class StatusDoc(Struct, frozen=True, kw_only=True):
    """The whole picture. `alerter` and `leader` are None when there is none that this peer knows of."""

    cluster: str
    peer: str
    version: str
    quorum: bool
    leader: str | None
    alerter: str | None
    epoch: int
    ready: bool
    ready_reason: str
    doubt: str
    cluster_verdict: Level
    cluster_reason: str
    config: ConfigDoc
    alarms: list[Alarm]
    summary: Summary
    peers: list[PeerDoc]
    services: list[ServiceDoc]
    incidents: list[IncidentDoc]


class CheckpointDoc(Struct, frozen=True, kw_only=True):
    """The hash of a peer's state after so many entries: equal on all peers, or something is broken."""

    entries: int
    hash: str


class MemberDoc(Struct, frozen=True, kw_only=True):
    """A peer that is a member, or that the file names, or both.

    `http` is "" for a member that the file does not name; `linked` None: it is this peer. `live`: it reports
    through the log. `confirmed`: it has said that it runs with the members of today.
    """

    name: str
    http: str
    member: bool
    witness: bool
    linked: bool | None
    live: bool
    confirmed: bool
    version: str
    command_version: int
    leaving_until: datetime | None
    checkpoint: CheckpointDoc | None


class ClusterDoc(Struct, frozen=True, kw_only=True):
    """Who counts, and how the asked peer's own part in Raft is.

    `members` and `members_gen` are the ledger's, `counted` what Raft counts with here, `file_peers` what the
    peer's file names. `gate` is the command version in force, `command_version` what this peer knows.
    `quarantine` is why this peer must not vote, `trouble` what is wrong with its disk, `findings` what its
    start found there; `snapshot_s` how long the latest snapshot took.
    """

    cluster: str
    peer: str
    role: str
    leader: str | None
    quorum: bool
    term: int
    index: int
    entries: int
    members: list[str]
    members_gen: int
    counted: list[str]
    file_peers: list[str]
    mismatch: str
    gate: int
    command_version: int
    ready: bool
    ready_reason: str
    quarantine: str
    trouble: str
    findings: list[str]
    drained_until: datetime | None
    waits_for_start: list[str]
    log_bytes: int
    state_bytes: int
    snapshot_s: float
    peers: list[MemberDoc]


class Freshness(Struct, frozen=True, kw_only=True):
    """How old the picture is: what an ETag must not depend on."""

    at: datetime
    index: int
    knowledge_age_s: float
