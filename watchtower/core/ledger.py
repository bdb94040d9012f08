"""The replicated ledger: `apply(state, entry) -> (state, answer)`, and nothing else changes State.

Theory. The log is the only truth; every peer applies the same entries in the same order and so
holds the same State. `apply` is total (it never raises), knows neither configuration nor clock
(times are data that the proposer wrote down), and only checks: is the proposer who it says it is
(session), does it hold the office it claims (epoch), and is the world still as it was when it
decided (expected versions). If not, the entry is a no-op with a reason, and whoever proposed it
derives it again from what is applied. Applying an entry twice is applying it once; only the count of
entries goes on. All policy lives in decide.py; each precondition here is one row of the table in
protocol.md, section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from watchtower.core import commands as c
from watchtower.core import incidents, membership, outbox
from watchtower.core.beats import Beat, Signal, Watch
from watchtower.core.commands import Answer, Entry
from watchtower.core.model import (
    EVIDENCE_TEXT_MAX,
    Lease,
    NoticeKind,
    Opinion,
    Outcome,
    PeerRow,
    ServiceRow,
    State,
    Vote,
)

BEATS_MAX: Final = 5_000
BLIND_GAP_S: Final = 30.0

Outgrowth = tuple[State, Answer]
_DONE: Final = Answer(ok=True)


def apply(state: State, entry: Entry) -> Outgrowth:
    """The state after `entry`, and what it did. A refused entry is counted and changes nothing else."""
    refusal = _proposer_refusal(state, entry)
    effect = _EFFECTS[type(entry.command)]
    after, answer = (state, _no(refusal)) if refusal else effect(state, entry, entry.command)
    return replace(after, entries=state.entries + 1), answer


def _no(reason: str) -> Answer:
    return Answer(ok=False, reason=reason)


def _proposer_refusal(state: State, entry: Entry) -> str:
    """Why the proposer may not propose this at all; "" when it may."""
    command = entry.command
    if isinstance(command, c.Found):
        return ""
    if entry.by not in state.members:
        return f"{entry.by} is not a member of the cluster"
    sessionless = isinstance(command, c.Join | c.BeatSeen) or (
        isinstance(command, c.Settle) and command.outcome is Outcome.ACCEPTED
    )
    if not sessionless and (entry.session == 0 or entry.session != state.row(entry.by).session):
        return f"session {entry.session} is not the current one of {entry.by}"
    return ""


def _office_refusal(state: State, entry: Entry, epoch: int) -> str:
    """Why the proposer is not the alerter of `epoch`; "" when it is."""
    lease = state.lease
    if epoch != lease.epoch:
        return f"epoch {epoch} is not the current {lease.epoch}"
    if (lease.holder, lease.session) != (entry.by, entry.session):
        return f"epoch {epoch} is held by {lease.holder}"
    return ""


# ---- the cluster and its peers


def _found(state: State, _entry: Entry, command: c.Found) -> Outgrowth:
    if state.cluster:
        return state, _no(f"already founded as {state.cluster}")
    founded = replace(
        state,
        cluster=command.cluster,
        members=command.members,
        members_gen=1,
        founded_wall=command.at_wall,
    )
    return founded, _DONE


def _join(state: State, entry: Entry, command: c.Join) -> Outgrowth:
    row = state.row(entry.by)
    if row.boot_id == command.boot_id:
        return state, _no("this boot has joined already")
    fresh = PeerRow(
        session=_next_session(state, row),
        boot_id=command.boot_id,
        version=command.version,
        command_version=command.command_version,
        joined_wall=command.at_wall,
        # A confirmed membership outlives the process: its log holds it (decision 0030).
        members_gen=row.members_gen,
    )
    return _with_row(state, entry.by, fresh), _DONE


def _next_session(state: State, row: PeerRow) -> int:
    return max(row.session, state.session_base) + 1


def _gone(state: State, entry: Entry, command: c.Gone) -> Outgrowth:
    row = state.row(command.peer)
    refusal = _office_refusal(state, entry, command.epoch)
    if not refusal and command.peer not in state.members:
        refusal = f"{command.peer} is not a member of the cluster"
    if not refusal and row.session != command.peer_session:
        refusal = f"{command.peer} has session {row.session} by now"
    if refusal:
        return state, _no(refusal)
    void = replace(
        row, session=_next_session(state, row), boot_id="", report_seq=0, config_hash="", doubt="",
        default=Opinion.UNKNOWN, votes={}, checkpoint=None,
    )  # fmt: skip
    return _with_row(state, command.peer, void), _DONE


def _leaving(state: State, entry: Entry, command: c.Leaving) -> Outgrowth:
    until_wall = command.at_wall + command.for_s if command.for_s > 0 else 0.0
    row = replace(state.row(entry.by), leaving_until_wall=until_wall)
    return _with_row(state, entry.by, row), _DONE


def _resize(state: State, _entry: Entry, command: c.Resize) -> Outgrowth:
    refusal = membership.resize_refusal(state, command)
    return (state, _no(refusal)) if refusal else (membership.resized(state, command), _DONE)


def _gate(state: State, entry: Entry, command: c.Gate) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    if not refusal and not state.gate < command.version <= membership.version_of_all(state):
        refusal = f"version {command.version} is in force already, or not every member knows it"
    return (state, _no(refusal)) if refusal else (replace(state, gate=command.version), _DONE)


def _report(state: State, entry: Entry, command: c.Report) -> Outgrowth:
    row = state.row(entry.by)
    if command.seq != row.report_seq:
        return state, _no(f"report {command.seq} is not the expected {row.report_seq}")
    if not command.full and command.config_hash != row.config_hash:
        return state, _no("a difference against another config")
    reported = replace(
        row,
        report_seq=row.report_seq + 1,
        config_hash=command.config_hash,
        doubt=command.doubt[:200],
        reported_wall=command.at_wall,
        default=command.default if command.full else row.default,
        votes=_merged({} if command.full else row.votes, command.votes),
        members_gen=command.members_gen,
        checkpoint=command.checkpoint,
    )
    return _watched(_with_row(state, entry.by, reported), entry.by, command.at_wall), _DONE


def _merged(votes: dict[str, Vote], changes: dict[str, Vote | None]) -> dict[str, Vote]:
    merged = dict(votes)
    for name, vote in changes.items():
        if vote is None:
            merged.pop(name, None)
        else:
            merged[name] = vote
    return merged


def _with_row(state: State, peer: str, row: PeerRow) -> State:
    """The peer's row replaced, and the revision of every service whose eligible votes that changes raised."""
    old = state.row(peer)
    peers = {**state.peers, peer: row}
    turns = bool(row.leaving_until_wall) is not bool(old.leaving_until_wall)
    if turns or old.default is not row.default or old.config_hash != row.config_hash:
        return replace(state, peers=peers, rev_base=state.rev_base + 1)
    changed = [
        name for name in {**old.votes, **row.votes} if old.vote(name).opinion is not row.vote(name).opinion
    ]
    if not changed:
        return replace(state, peers=peers)
    services = dict(state.services)
    for name in changed:
        service = state.service(name)
        services[name] = replace(service, rev=service.rev + 1)
    return replace(state, peers=peers, services=services)


def _watched(state: State, peer: str, at_wall: float) -> State:
    """Note that the cluster is watching, by the alerter's reports: its clock is known to be sane."""
    if peer != state.lease.holder:
        return state
    watch = state.watch
    has_gap = at_wall - watch.last_wall > BLIND_GAP_S
    since_wall = at_wall if has_gap else watch.since_wall
    return replace(state, watch=Watch(last_wall=max(at_wall, watch.last_wall), since_wall=since_wall))


def _activate(state: State, entry: Entry, command: c.Activate) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    if not refusal and command.gen != state.config.gen:
        refusal = f"generation {command.gen} is not the current {state.config.gen}"
    if refusal:
        return state, _no(refusal)
    config = replace(state.config, gen=command.gen + 1, hash=command.config_hash, at_wall=command.at_wall)
    return replace(state, config=config, rev_base=state.rev_base + 1), _DONE


def _beat(state: State, _entry: Entry, command: c.BeatSeen) -> Outgrowth:
    last = state.beats.get(command.service, Beat())
    if command.service not in state.beats and len(state.beats) >= BEATS_MAX:
        return state, _no("too many heartbeats")
    beat = _signalled(last, command)
    if beat == last:
        return state, Answer(ok=True, reason="a later beat is known")
    return replace(state, beats={**state.beats, command.service: beat}), _DONE


def _signalled(last: Beat, command: c.BeatSeen) -> Beat:
    """What is known after one more signal. The order is that of the log: senders wait for each answer."""
    text = command.text[:EVIDENCE_TEXT_MAX]
    match command.signal:
        case Signal.START:
            return replace(last, started_wall=last.started_wall or command.at_wall)
        case Signal.FAIL:
            failed_wall = last.failed_wall or command.at_wall
            return replace(last, started_wall=0.0, failed_wall=failed_wall, exit=command.exit, text=text)
        case Signal.LOG:
            return last if last.failed_wall else replace(last, text=text)
    is_news = command.at_wall > last.at_wall or last.started_wall or last.failed_wall
    if not is_news:
        return last
    # Clocks of two peers differ by seconds: an end that seems to be older than the last is one all the same.
    return Beat(at_wall=max(command.at_wall, last.at_wall), previous_wall=last.at_wall, text=text)


# ---- the alerting lease


def _claim_lease(state: State, entry: Entry, command: c.ClaimLease) -> Outgrowth:
    lease = state.lease
    if (command.epoch, command.renewals) != (lease.epoch, lease.renewals):
        return state, _no("the lease has moved on")
    claimed = Lease(
        epoch=lease.epoch + 1,
        holder=entry.by,
        session=entry.session,
        renewals=0,
        released=False,
        length_ms=command.length_ms,
        entry_id=command.id,
    )
    return replace(state, lease=claimed), _DONE


def _renew(state: State, entry: Entry, command: c.Renew) -> Outgrowth:
    lease = state.lease
    refusal = _office_refusal(state, entry, command.epoch)
    if not refusal and lease.released:
        refusal = "released"
    if not refusal and lease.entry_id == command.id:
        refusal = "this renewal is applied already"
    if refusal:
        return state, _no(refusal)
    renewed = replace(lease, renewals=lease.renewals + 1, length_ms=command.length_ms, entry_id=command.id)
    return replace(state, lease=renewed), _DONE


def _release(state: State, entry: Entry, command: c.Release) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    if refusal:
        return state, _no(refusal)
    return replace(state, lease=replace(state.lease, released=True)), _DONE


# ---- incidents


def _transition_refusal(state: State, entry: Entry, command: c.Transition, *, is_open: bool) -> str:
    refusal = _office_refusal(state, entry, command.epoch)
    row = state.service(command.service)
    if refusal:
        return refusal
    if command.gen != state.config.gen:
        return "the config in force has changed"
    if command.rev != state.rev(command.service):
        return "the votes have changed"
    if command.incident != row.incident or row.open is not is_open:
        return "the incident has changed"
    return ""


def _open(state: State, entry: Entry, command: c.Open) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=False)
    return (state, _no(refusal)) if refusal else (incidents.opened(state, command), _DONE)


def _shift(state: State, entry: Entry, command: c.Shift) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=True)
    incident = state.open_incident(command.service)
    if not refusal and incident is not None and incident.level is command.level:
        refusal = "the incident has that level already"
    if incident is None or refusal:
        return state, _no(refusal or "no open incident")
    return incidents.shifted(state, incident, command), _DONE


def _close(state: State, entry: Entry, command: c.Close) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=True)
    incident = state.open_incident(command.service)
    if incident is None or refusal:
        return state, _no(refusal or "no open incident")
    return incidents.closed(state, incident, command, sender=entry.by), _DONE


def _forget(state: State, entry: Entry, command: c.Forget) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    if not refusal and command.gen != state.config.gen:
        refusal = "the config in force has changed"
    if refusal:
        return state, _no(refusal)
    gone = [name for name in command.services if not state.service(name).open]
    # The base grows by what is dropped, so that no service's revision is ever smaller than it was.
    base = state.rev_base + max((state.service(name).rev for name in gone), default=0)
    services: dict[str, ServiceRow] = {k: v for k, v in state.services.items() if k not in gone}
    beats = {name: beat for name, beat in state.beats.items() if name not in gone}
    return replace(state, services=services, beats=beats, rev_base=base), _DONE


# ---- the outbox


def _enqueue(state: State, entry: Entry, command: c.Enqueue) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    incident = state.incidents.get(command.incident)
    if not refusal and incident is None:
        refusal = "no such incident"
    if not refusal and incident and not incident.is_open and command.draft.kind is not NoticeKind.RESOLVED:
        refusal = "the incident is closed"
    if not refusal and command.draft.id in state.notifications:
        refusal = "already in the outbox"
    if not refusal and outbox.is_full(state):
        refusal = "the outbox is full"
    if incident is None or refusal:
        return state, _no(refusal)
    return outbox.enqueue(state, incident.number, incident.service, (command.draft,), command.at_wall), _DONE


def _assign(state: State, entry: Entry, command: c.Assign) -> Outgrowth:
    refusal = _office_refusal(state, entry, command.epoch)
    return (state, _no(refusal)) if refusal else outbox.assign(state, command)


_EFFECTS: Final[dict[type, Callable[[State, Entry, Any], Outgrowth]]] = {
    c.Found: _found,
    c.Join: _join,
    c.Gone: _gone,
    c.Leaving: _leaving,
    c.Resize: _resize,
    c.Gate: _gate,
    c.Report: _report,
    c.Activate: _activate,
    c.BeatSeen: _beat,
    c.ClaimLease: _claim_lease,
    c.Renew: _renew,
    c.Release: _release,
    c.Open: _open,
    c.Shift: _shift,
    c.Close: _close,
    c.Forget: _forget,
    c.Enqueue: _enqueue,
    c.Assign: _assign,
    c.Claim: outbox.claim,
    c.Settle: outbox.settle,
}
