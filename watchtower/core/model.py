"""The nouns: what a probe found, what a peer thinks, what the cluster decided, what people are told.

All types are frozen. Times ending in `_wall` are Unix seconds as the proposing peer saw them, for
display and for rules that bear seconds of skew; times ending in `_boot` are this machine's
CLOCK_BOOTTIME seconds and never leave the process. The replicated State at the end is changed by
`ledger.apply` alone.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchtower.core.beats import Beat, Watch
from watchtower.core.channel_rows import ChannelRow, Drill
from watchtower.core.policies import Acknowledgement, Hidden, Severity, Silence, Withheld

EVIDENCE_TEXT_MAX: Final = 160
COMMAND_VERSION: Final = 1


class Opinion(StrEnum):
    """What one peer thinks of a service."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"


class Level(StrEnum):
    """What the quorum judges of a service."""

    UP = "up"
    DEGRADED = "degraded"
    PARTIAL = "partial"
    DOWN = "down"
    UNKNOWN = "unknown"


class Kind(StrEnum):
    """Why a probe ended as it did, coarse enough to group by and fine enough to act on."""

    OK = "ok"
    CONDITION = "condition"
    STATUS = "status"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    DNS = "dns"
    TLS = "tls"
    PROTOCOL = "protocol"
    INCONCLUSIVE = "inconclusive"
    PENDING = "pending"


class Result(Struct, frozen=True, kw_only=True):
    """Outcome of one probe of one service from this peer; lives in this process only.

    `text` is one line for people, at most EVIDENCE_TEXT_MAX characters, already cleaned of control
    characters and credentials. `phases_ms` holds whichever of resolve, connect, tls, first_byte,
    transfer, login and query the probe has. `facts` are the values conditions look at, kept for metrics and
    the API.
    """

    service: str
    opinion: Opinion
    kind: Kind
    text: str
    at_wall: float
    duration_ms: float
    phases_ms: dict[str, float] = {}
    facts: dict[str, float | str] = {}


class Vote(Struct, frozen=True, kw_only=True):
    """One peer's settled opinion with its evidence; `suspect` when the latest look contradicts it."""

    opinion: Opinion
    kind: Kind = Kind.OK
    text: str = ""
    latency_ms: float = 0.0
    since_wall: float = 0.0
    suspect: bool = False


class Checkpoint(Struct, frozen=True, kw_only=True):
    """What a peer's state looked like after `entries` entries: `hash` is of its deterministic JSON."""

    entries: int
    hash: str


class PeerRow(Struct, frozen=True, kw_only=True):
    """What the ledger holds of one peer. `session` 0 means it never joined; `boot_id` "" that it is gone.

    `votes` are the exceptions: every service not named in it has the opinion `default`. `members_gen` is the
    membership this session has said to run with, `checkpoint` the latest one it has reported. `paths` are
    the channels that it cannot send to just now, and why.
    """

    session: int = 0
    boot_id: str = ""
    report_seq: int = 0
    config_hash: str = ""
    default: Opinion = Opinion.UNKNOWN
    votes: dict[str, Vote] = {}
    doubt: str = ""
    version: str = ""
    command_version: int = 0
    joined_wall: float = 0.0
    reported_wall: float = 0.0
    leaving_until_wall: float = 0.0
    members_gen: int = 0
    checkpoint: Checkpoint | None = None
    paths: dict[str, str] = {}

    def vote(self, service: str) -> Vote:
        """This peer's vote on `service`. Where it knows nothing at all, its doubt says why."""
        text = f"in doubt: {self.doubt}" if self.doubt and self.default is Opinion.UNKNOWN else ""
        return self.votes.get(service) or Vote(opinion=self.default, text=text[:EVIDENCE_TEXT_MAX])


class Lease(Struct, frozen=True, kw_only=True):
    """The alerting lease. `entry_id` names the very claim or renewal that set it."""

    epoch: int = 0
    holder: str = ""
    session: int = 0
    renewals: int = 0
    released: bool = True
    length_ms: int = 0
    entry_id: str = ""


class ConfigInForce(Struct, frozen=True, kw_only=True):
    """The config hash whose votes count; `gen` counts its changes."""

    gen: int = 0
    hash: str = ""
    at_wall: float = 0.0


class ServiceRow(Struct, frozen=True, kw_only=True):
    """The ledger's memory of a service: revision of its votes, its latest incident, whether that is open.

    `turns`: when its incidents lately began and ended (Unix seconds, at most TURNS_KEPT).
    """

    rev: int = 0
    incident: int = 0
    open: bool = False
    turns: tuple[float, ...] = ()


class Evidence(Struct, frozen=True, kw_only=True):
    """What one peer saw, copied into an incident or a notification at the moment of the transition.

    `suspect`: its latest look contradicts its opinion, as with Vote.
    """

    peer: str
    opinion: Opinion
    text: str = ""
    latency_ms: float = 0.0
    suspect: bool = False


class Step(Struct, frozen=True, kw_only=True):
    """One line of an incident's timeline."""

    at_wall: float
    level: Level
    reason: str


class Incident(Struct, frozen=True, kw_only=True):
    """A numbered interval of degraded, partial or down for one subject (a service, `peer/x`, `cluster`).

    `since_wall`: trouble first seen; `opened_wall`: the quorum agreed; `closed_wall` 0: still open.
    `withheld`: why nobody is told just now; `hidden`: that it is, or was, folded into another incident.
    While `is_flapping` it stays open, whatever the level.
    """

    number: int
    service: str
    level: Level
    reason: str
    since_wall: float
    opened_wall: float
    closed_wall: float = 0.0
    evidence: tuple[Evidence, ...] = ()
    timeline: tuple[Step, ...] = ()
    severity: Severity = Severity.CRITICAL
    ack: Acknowledgement | None = None
    withheld: Withheld | None = None
    hidden: Hidden | None = None
    is_flapping: bool = False

    @property
    def is_open(self) -> bool:
        """True until the incident is closed."""
        return self.closed_wall == 0.0


class NoticeKind(StrEnum):
    """What a notification tells: a transition, that it lasts, many at once, something of the telling."""

    FIRING = "firing"
    WORSENED = "worsened"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    ESCALATION = "escalation"
    FLAPPING = "flapping"
    SETTLED = "settled"
    DIGEST = "digest"
    CEILING = "ceiling"
    TEST = "test"

    @property
    def is_of_incident(self) -> bool:
        """True when it tells of one incident."""
        return self not in (NoticeKind.DIGEST, NoticeKind.CEILING, NoticeKind.TEST)


class Stage(StrEnum):
    """Where a notification stands.

    The last five are finished and never left again, except that a late `accepted` turns superseded
    into delivered. What is digested shares the fate of its digest.
    """

    PENDING = "pending"
    CLAIMED = "claimed"
    UNCERTAIN = "uncertain"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    DIGESTED = "digested"

    @property
    def finished(self) -> bool:
        """True when nobody will work on the notification again."""
        return self not in _UNFINISHED


_UNFINISHED: Final = (Stage.PENDING, Stage.CLAIMED, Stage.UNCERTAIN)


class Doubt(StrEnum):
    """Whether an unfinished notification may have arrived already. Sticky: it only ever grows."""

    NO = "no"
    MAYBE = "maybe"
    PROOF = "proof"


class Outcome(StrEnum):
    """How one attempt to send ended."""

    ACCEPTED = "accepted"
    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    AMBIGUOUS = "ambiguous"
    DEAD = "dead"
    SUPERSEDED = "superseded"


class Attempt(Struct, frozen=True, kw_only=True):
    """One attempt to send, as its sender settled it."""

    number: int
    peer: str
    outcome: Outcome
    detail: str
    at_wall: float


class Notice(Struct, frozen=True, kw_only=True):
    """What one notification tells, fixed at the transition. `step` counts reminders and escalations."""

    level: Level
    reason: str
    since_wall: float
    at_wall: float
    evidence: tuple[Evidence, ...] = ()
    instead_of: str = ""
    instead_because: str = ""
    severity: Severity = Severity.CRITICAL
    step: int = 0


class Notification(Struct, frozen=True, kw_only=True):
    """One incident transition addressed to one channel.

    `lane` orders deliveries: within a lane an item may be claimed only when every older one (by
    `order`) is finished. `owner`, `session` and `claim_id` name the live claim, `hold_ms` its length.
    `digest` is the id of the digest that tells it, `members` are the ids that a digest tells; `dropped` is
    why it was withdrawn before it left.
    """

    id: str
    order: int
    incident: int
    service: str
    kind: NoticeKind
    channel: str
    lane: str
    sender: str
    notice: Notice
    stage: Stage = Stage.PENDING
    attempt: int = 0
    owner: str = ""
    session: int = 0
    claim_id: str = ""
    hold_ms: int = 0
    doubt: Doubt = Doubt.NO
    failures: int = 0
    retry_after_s: float = 0.0
    created_wall: float = 0.0
    settled_wall: float = 0.0
    receipt: str = ""
    attempts: tuple[Attempt, ...] = ()
    digest: str = ""
    members: tuple[str, ...] = ()
    dropped: str = ""


class State(Struct, frozen=True, kw_only=True):
    """The replicated ledger: equal on every peer at the same log index. Proportional to trouble.

    `members_gen` counts the memberships (the founders are the first), `entries` the entries applied,
    whatever they did; `gate` is the command version in force. No session number is at or below
    `session_base`, so that a name which was removed and added again never meets its earlier life.
    `policy_rev` counts what people said: silences, acknowledgements.
    """

    entries: int = 0
    gate: int = 1
    cluster: str = ""
    members: tuple[str, ...] = ()
    members_gen: int = 0
    session_base: int = 0
    founded_wall: float = 0.0
    resized_wall: float = 0.0
    lease: Lease = Lease()
    config: ConfigInForce = ConfigInForce()
    peers: dict[str, PeerRow] = {}
    rev_base: int = 0
    services: dict[str, ServiceRow] = {}
    last_incident: int = 0
    incidents: dict[int, Incident] = {}
    last_order: int = 0
    notifications: dict[str, Notification] = {}
    shed: int = 0
    beats: dict[str, Beat] = {}
    watch: Watch = Watch()
    policy_rev: int = 0
    silences: dict[str, Silence] = {}
    channels: dict[str, ChannelRow] = {}
    drill: Drill = Drill()

    def row(self, peer: str) -> PeerRow:
        """The row of `peer`; an empty one when it never joined."""
        return self.peers.get(peer) or PeerRow()

    def service(self, name: str) -> ServiceRow:
        """The row of service `name`; an empty one when nothing ever happened to it."""
        return self.services.get(name) or ServiceRow()

    def rev(self, service: str) -> int:
        """Revision of the service's votes: any change of an opinion makes it larger."""
        return self.rev_base + self.service(service).rev

    def open_incident(self, service: str) -> Incident | None:
        """The open incident of `service`, if any."""
        row = self.service(service)
        return self.incidents.get(row.incident) if row.open else None


class Instant(Struct, frozen=True, kw_only=True):
    """Now: `wall` Unix seconds, `boot` CLOCK_BOOTTIME seconds of this machine."""

    wall: float
    boot: float


class Verdict(Struct, frozen=True, kw_only=True):
    """The quorum's judgement of a service. `level` None means that no rule holds just now."""

    level: Level | None
    reason: str
    since_wall: float = 0.0
    counts: dict[Opinion, int] = {}
