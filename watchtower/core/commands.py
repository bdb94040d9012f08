"""Everything that can enter the replicated log, and its wire form: versioned JSON.

An Entry is one command with who proposed it. Decoding is strict; an entry of a newer command
version raises NewerVersion, because a peer that skips an entry is no longer a replica. What a
command needs and does is in ledger.py; the rules behind it are in docs/protocol.md.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from watchtower.core.beats import Signal
from watchtower.core.model import (
    COMMAND_VERSION,
    Checkpoint,
    Evidence,
    Level,
    Notice,
    NoticeKind,
    Opinion,
    Outcome,
    Vote,
)
from watchtower.core.policies import Severity, Withheld
from watchtower.core.requests import Acknowledge, EndSilence, SetSilence, StartDrill, Sweep, TryChannels

ENTRY_BYTES_MAX: Final = 65_536


class Found(Struct, frozen=True, kw_only=True, tag="found"):
    """Write the cluster's name and its peers into an empty ledger; once, for ever."""

    cluster: str
    members: tuple[str, ...]
    at_wall: float


class Join(Struct, frozen=True, kw_only=True, tag="join"):
    """A peer process has started: a new session, and every vote of its earlier life is void."""

    boot_id: str
    version: str
    command_version: int
    at_wall: float


class Gone(Struct, frozen=True, kw_only=True, tag="gone"):
    """The alerter declares a silent peer's session over; its votes are void."""

    epoch: int
    peer: str
    peer_session: int


class Report(Struct, frozen=True, kw_only=True, tag="report"):
    """A peer's own truth compared with its row: a full row or the difference.

    `votes`: service -> vote; None puts a service back to `default` (delta only). `default` counts
    only when `full`. `members_gen` is the membership this peer has applied, `checkpoint` its latest one.
    `paths` are the channels it cannot send to just now, and why.
    """

    seq: int
    full: bool
    config_hash: str
    at_wall: float
    default: Opinion = Opinion.UP
    votes: dict[str, Vote | None] = {}
    doubt: str = ""
    members_gen: int = 0
    checkpoint: Checkpoint | None = None
    paths: dict[str, str] = {}


class Activate(Struct, frozen=True, kw_only=True, tag="activate"):
    """The config in force becomes `config_hash`."""

    epoch: int
    gen: int
    config_hash: str
    at_wall: float


class ClaimLease(Struct, frozen=True, kw_only=True, tag="claim_lease"):
    """Take the alerting lease: compare-and-set on epoch and renewals."""

    epoch: int
    renewals: int
    length_ms: int
    id: str


class Renew(Struct, frozen=True, kw_only=True, tag="renew"):
    """The holder prolongs its lease."""

    epoch: int
    length_ms: int
    id: str


class Release(Struct, frozen=True, kw_only=True, tag="release"):
    """The holder, which has already stopped for good in this epoch, gives the lease up."""

    epoch: int


class Draft(Struct, frozen=True, kw_only=True):
    """A notification to be written."""

    id: str
    channel: str
    kind: NoticeKind
    sender: str
    notice: Notice
    members: tuple[str, ...] = ()


class Transition(Struct, frozen=True, kw_only=True):
    """What every incident transition is compared on: epoch, generation, vote and policy revision, incident.

    `incident` is the number of the service's latest incident, 0 when it never had one.
    """

    epoch: int
    gen: int
    service: str
    rev: int
    incident: int
    reason: str
    at_wall: float
    policy_rev: int = 0


class Open(Transition, frozen=True, kw_only=True, tag="open"):
    """A new incident and its notifications, in one entry; `withheld` says why there are none."""

    severity: Severity = Severity.CRITICAL
    withheld: Withheld | None = None
    is_flapping: bool = False
    level: Level
    since_wall: float
    evidence: tuple[Evidence, ...] = ()
    drafts: tuple[Draft, ...] = ()


class Shift(Transition, frozen=True, kw_only=True, tag="shift"):
    """The level of an open incident changes: worse (told) or better (only recorded).

    A flapping incident may be at any level, UP too; with `is_flapping` False it has settled there.
    """

    severity: Severity = Severity.CRITICAL
    is_flapping: bool = False
    level: Level
    evidence: tuple[Evidence, ...] = ()
    drafts: tuple[Draft, ...] = ()


class Close(Transition, frozen=True, kw_only=True, tag="close"):
    """The incident ends. Who hears of it, `apply` finds in the outbox: whoever may have been told.

    `notice` None tells nobody.
    """

    notice: Notice | None = None


class Enqueue(Struct, frozen=True, kw_only=True, tag="enqueue"):
    """A further notification: of an existing incident, or of the telling itself (incident 0)."""

    epoch: int
    incident: int
    draft: Draft
    at_wall: float
    policy_rev: int = 0


class Withhold(Struct, frozen=True, kw_only=True, tag="withhold"):
    """Why nobody is told of an open incident from now on; None: people are."""

    epoch: int
    incident: int
    withheld: Withheld | None
    at_wall: float
    policy_rev: int = 0


class Drop(Struct, frozen=True, kw_only=True, tag="drop"):
    """Withdraw a notification that never left; `reason` is shown with it."""

    epoch: int
    id: str
    reason: str
    policy_rev: int = 0


class Coalesce(Struct, frozen=True, kw_only=True, tag="coalesce"):
    """Notifications of one channel that never left are told by one digest, new or itself still unsent."""

    epoch: int
    draft: Draft
    members: tuple[str, ...]
    at_wall: float


class Assign(Struct, frozen=True, kw_only=True, tag="assign"):
    """The alerter names another peer as the wanted sender of an unfinished notification."""

    epoch: int
    id: str
    sender: str


class Claim(Struct, frozen=True, kw_only=True, tag="claim"):
    """The wanted sender takes the right to send: compare-and-set on `attempt`."""

    id: str
    attempt: int
    hold_ms: int
    claim_id: str
    policy_rev: int = 0


class Settle(Struct, frozen=True, kw_only=True, tag="settle"):
    """How attempt `attempt` ended. `detail` is redacted; `retry_after_s` is what the provider asked for.

    `is_permanent`: the channel will refuse whatever is sent until somebody mends its configuration.
    """

    id: str
    attempt: int
    outcome: Outcome
    at_wall: float
    receipt: str = ""
    detail: str = ""
    retry_after_s: float = 0.0
    is_permanent: bool = False


class BeatSeen(Struct, frozen=True, kw_only=True, tag="beat"):
    """A heartbeat service has called; `exit` and `text` are its own words, the latter cleaned already."""

    service: str
    at_wall: float
    signal: Signal = Signal.BEAT
    exit: int = 0
    text: str = ""


class Leaving(Struct, frozen=True, kw_only=True, tag="leaving"):
    """The proposing peer stops on purpose; excuse its absence for `for_s` seconds. 0: it stays after all."""

    for_s: float
    at_wall: float


class Resize(Struct, frozen=True, kw_only=True, tag="resize"):
    """One peer more or one less: `members` replace those of generation `members_gen`."""

    members: tuple[str, ...]
    members_gen: int
    at_wall: float = 0.0


class Gate(Struct, frozen=True, kw_only=True, tag="gate"):
    """From here on entries are written in command version `version`, which every member knows."""

    epoch: int
    version: int


class Forget(Struct, frozen=True, kw_only=True, tag="forget"):
    """Drop the ledger's memory of services that the config in force no longer has."""

    epoch: int
    gen: int
    services: tuple[str, ...]


Command = (
    Found
    | Join
    | Gone
    | Report
    | Activate
    | ClaimLease
    | Renew
    | Release
    | Open
    | Shift
    | Close
    | Enqueue
    | Withhold
    | Drop
    | Coalesce
    | Assign
    | Claim
    | Settle
    | SetSilence
    | EndSilence
    | Sweep
    | Acknowledge
    | TryChannels
    | StartDrill
    | BeatSeen
    | Leaving
    | Resize
    | Gate
    | Forget
)


class Entry(Struct, frozen=True, kw_only=True):
    """One command as it stands in the log.

    `by` is the peer, `boot` its boot id, `seq` counts within that boot, `session` is the one it
    believed to have.
    """

    v: int
    by: str
    boot: str
    seq: int
    session: int
    command: Command


class Answer(Struct, frozen=True, kw_only=True):
    """What applying an entry did. `ok` False is a no-op, `reason` says why."""

    ok: bool
    reason: str = ""


class NewerVersion(Exception):  # noqa: N818 - it is not a fault of anybody, it is a fact to stop on
    """An entry was written by a newer watchtower; this peer must stop rather than skip it."""


class _Header(Struct, frozen=True):
    v: int


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Entry)
_header_decoder = msgspec.json.Decoder(_Header)


def encode(entry: Entry) -> str:
    """The entry as JSON text, the same bytes for equal entries.

    Raises ValueError when it is longer than ENTRY_BYTES_MAX: whoever proposes must split.
    """
    raw = _encoder.encode(entry)
    if len(raw) > ENTRY_BYTES_MAX:
        raise ValueError(f"entry of {len(raw)} bytes is over the limit of {ENTRY_BYTES_MAX}")
    return raw.decode()


def decode(text: str) -> Entry:
    """The entry that `encode` wrote.

    Raises NewerVersion for a command version this code does not know, msgspec.DecodeError (a
    ValueError) for anything that is not an entry.
    """
    if _header_decoder.decode(text).v > COMMAND_VERSION:
        message = (
            f"entry of command version {_header_decoder.decode(text).v}, this peer knows {COMMAND_VERSION}"
        )
        raise NewerVersion(message)
    return _decoder.decode(text)
