"""The rows of the peers: founding, joining, reporting, leaving, being declared gone; the config they run.

The cluster half of `ledger.apply`: each function checks its preconditions and gives the state after the
command. Raises revisions of votes, which is all that it knows of verdicts.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core import commands as c
from watchtower.core.applying import membership
from watchtower.core.applying.fences import DONE, Outgrowth, no, office_refusal
from watchtower.core.beats import Beat, Signal, Watch
from watchtower.core.commands import Answer, Entry
from watchtower.core.model import EVIDENCE_TEXT_MAX, Opinion, PeerRow, State, Vote

BEATS_MAX: Final = 5_000
PATHS_MAX: Final = 100
BLIND_GAP_S: Final = 30.0


def found(state: State, _entry: Entry, command: c.Found) -> Outgrowth:
    """The name and the peers, into an empty ledger."""
    if state.cluster:
        return state, no(f"already founded as {state.cluster}")
    founded = replace(
        state,
        cluster=command.cluster,
        members=command.members,
        members_gen=1,
        founded_wall=command.at_wall,
    )
    return founded, DONE


def join(state: State, entry: Entry, command: c.Join) -> Outgrowth:
    """A fresh row, every vote of the earlier life void."""
    row = state.row(entry.by)
    if row.boot_id == command.boot_id:
        return state, no("this boot has joined already")
    fresh = PeerRow(
        session=_next_session(state, row),
        boot_id=command.boot_id,
        version=command.version,
        command_version=command.command_version,
        joined_wall=command.at_wall,
        # A confirmed membership outlives the process: its log holds it (decision 0030).
        members_gen=row.members_gen,
    )
    return _with_row(state, entry.by, fresh), DONE


def _next_session(state: State, row: PeerRow) -> int:
    return max(row.session, state.session_base) + 1


def gone(state: State, entry: Entry, command: c.Gone) -> Outgrowth:
    """The session of a silent peer is over."""
    row = state.row(command.peer)
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and command.peer not in state.members:
        refusal = f"{command.peer} is not a member of the cluster"
    if not refusal and row.session != command.peer_session:
        refusal = f"{command.peer} has session {row.session} by now"
    if refusal:
        return state, no(refusal)
    void = replace(
        row, session=_next_session(state, row), boot_id="", report_seq=0, config_hash="", doubt="",
        default=Opinion.UNKNOWN, votes={}, checkpoint=None, paths={},
    )  # fmt: skip
    return _with_row(state, command.peer, void), DONE


def leaving(state: State, entry: Entry, command: c.Leaving) -> Outgrowth:
    """A planned absence, or its end."""
    until_wall = command.at_wall + command.for_s if command.for_s > 0 else 0.0
    row = replace(state.row(entry.by), leaving_until_wall=until_wall)
    return _with_row(state, entry.by, row), DONE


def resize(state: State, _entry: Entry, command: c.Resize) -> Outgrowth:
    """Other members, one more or one less."""
    refusal = membership.resize_refusal(state, command)
    return (state, no(refusal)) if refusal else (membership.resized(state, command), DONE)


def gate(state: State, entry: Entry, command: c.Gate) -> Outgrowth:
    """A newer command version is in force."""
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and not state.gate < command.version <= membership.version_of_all(state):
        refusal = f"version {command.version} is in force already, or not every member knows it"
    return (state, no(refusal)) if refusal else (replace(state, gate=command.version), DONE)


def report(state: State, entry: Entry, command: c.Report) -> Outgrowth:
    """A peer's truth: the whole row or the difference."""
    row = state.row(entry.by)
    if command.seq != row.report_seq:
        return state, no(f"report {command.seq} is not the expected {row.report_seq}")
    if not command.full and command.config_hash != row.config_hash:
        return state, no("a difference against another config")
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
        paths=dict(list(command.paths.items())[:PATHS_MAX]),
    )
    return _watched(_with_row(state, entry.by, reported), entry.by, command.at_wall), DONE


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


def activate(state: State, entry: Entry, command: c.Activate) -> Outgrowth:
    """Another config is in force."""
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and command.gen != state.config.gen:
        refusal = f"generation {command.gen} is not the current {state.config.gen}"
    if refusal:
        return state, no(refusal)
    config = replace(state.config, gen=command.gen + 1, hash=command.config_hash, at_wall=command.at_wall)
    return replace(state, config=config, rev_base=state.rev_base + 1), DONE


def beat(state: State, _entry: Entry, command: c.BeatSeen) -> Outgrowth:
    """A heartbeat service has called."""
    last = state.beats.get(command.service, Beat())
    if command.service not in state.beats and len(state.beats) >= BEATS_MAX:
        return state, no("too many heartbeats")
    beat = _signalled(last, command)
    if beat == last:
        return state, Answer(ok=True, reason="a later beat is known")
    return replace(state, beats={**state.beats, command.service: beat}), DONE


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
