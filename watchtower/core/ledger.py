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
from watchtower.core import requests as r
from watchtower.core.applying import digests, incidents, lives, outbox, proving, quieting
from watchtower.core.applying.fences import (
    DONE,
    POLICY_CHANGED,
    Outgrowth,
    no,
    office_refusal,
    proposer_refusal,
)
from watchtower.core.commands import Entry
from watchtower.core.model import (
    Lease,
    NoticeKind,
    ServiceRow,
    State,
)


def apply(state: State, entry: Entry) -> Outgrowth:
    """The state after `entry`, and what it did. A refused entry is counted and changes nothing else."""
    refusal = proposer_refusal(state, entry)
    effect = _EFFECTS[type(entry.command)]
    after, answer = (state, no(refusal)) if refusal else effect(state, entry, entry.command)
    return replace(after, entries=state.entries + 1), answer


# ---- the alerting lease


def _claim_lease(state: State, entry: Entry, command: c.ClaimLease) -> Outgrowth:
    lease = state.lease
    if (command.epoch, command.renewals) != (lease.epoch, lease.renewals):
        return state, no("the lease has moved on")
    claimed = Lease(
        epoch=lease.epoch + 1,
        holder=entry.by,
        session=entry.session,
        renewals=0,
        released=False,
        length_ms=command.length_ms,
        entry_id=command.id,
    )
    return replace(state, lease=claimed), DONE


def _renew(state: State, entry: Entry, command: c.Renew) -> Outgrowth:
    lease = state.lease
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and lease.released:
        refusal = "released"
    if not refusal and lease.entry_id == command.id:
        refusal = "this renewal is applied already"
    if refusal:
        return state, no(refusal)
    renewed = replace(lease, renewals=lease.renewals + 1, length_ms=command.length_ms, entry_id=command.id)
    return replace(state, lease=renewed), DONE


def _release(state: State, entry: Entry, command: c.Release) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    if refusal:
        return state, no(refusal)
    return replace(state, lease=replace(state.lease, released=True)), DONE


# ---- incidents


def _transition_refusal(state: State, entry: Entry, command: c.Transition, *, is_open: bool) -> str:
    refusal = office_refusal(state, entry, command.epoch)
    row = state.service(command.service)
    if refusal:
        return refusal
    if command.gen != state.config.gen:
        return "the config in force has changed"
    if command.rev != state.rev(command.service):
        return "the votes have changed"
    if command.policy_rev != state.policy_rev:
        return POLICY_CHANGED
    if command.incident != row.incident or row.open is not is_open:
        return "the incident has changed"
    return ""


def _open(state: State, entry: Entry, command: c.Open) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=False)
    return (state, no(refusal)) if refusal else (incidents.opened(state, command), DONE)


def _shift(state: State, entry: Entry, command: c.Shift) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=True)
    incident = state.open_incident(command.service)
    if not refusal and incident is not None:
        is_same = (incident.level, incident.is_flapping) == (command.level, command.is_flapping)
        refusal = "the incident has that level already" if is_same else ""
    if incident is None or refusal:
        return state, no(refusal or "no open incident")
    return incidents.shifted(state, incident, command), DONE


def _close(state: State, entry: Entry, command: c.Close) -> Outgrowth:
    refusal = _transition_refusal(state, entry, command, is_open=True)
    incident = state.open_incident(command.service)
    if incident is None or refusal:
        return state, no(refusal or "no open incident")
    return incidents.closed(state, incident, command, sender=entry.by), DONE


def _forget(state: State, entry: Entry, command: c.Forget) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and command.gen != state.config.gen:
        refusal = "the config in force has changed"
    if refusal:
        return state, no(refusal)
    gone = [name for name in command.services if not state.service(name).open]
    # The base grows by what is dropped, so that no service's revision is ever smaller than it was.
    base = state.rev_base + max((state.service(name).rev for name in gone), default=0)
    services: dict[str, ServiceRow] = {k: v for k, v in state.services.items() if k not in gone}
    beats = {name: beat for name, beat in state.beats.items() if name not in gone}
    return replace(state, services=services, beats=beats, rev_base=base), DONE


# ---- the outbox


def _enqueue(state: State, entry: Entry, command: c.Enqueue) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    incident, kind = state.incidents.get(command.incident), command.draft.kind
    if not refusal and command.policy_rev != state.policy_rev:
        refusal = POLICY_CHANGED
    if not refusal and kind.is_of_incident and incident is None:
        refusal = "no such incident"
    if not refusal and incident and not incident.is_open and kind is not NoticeKind.RESOLVED:
        refusal = "the incident is closed"
    if not refusal and command.draft.id in state.notifications:
        refusal = "already in the outbox"
    if not refusal and outbox.is_full(state):
        refusal = "the outbox is full"
    if refusal:
        return state, no(refusal)
    number, subject = (incident.number, incident.service) if incident else (0, "")
    return outbox.enqueue(state, number, subject, (command.draft,), command.at_wall), DONE


def _withhold(state: State, entry: Entry, command: c.Withhold) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    incident = state.incidents.get(command.incident)
    if not refusal and command.policy_rev != state.policy_rev:
        refusal = POLICY_CHANGED
    if not refusal and (incident is None or not incident.is_open):
        refusal = "no such open incident"
    if not refusal and incident is not None and incident.withheld == command.withheld:
        refusal = "it is so already"
    if incident is None or refusal:
        return state, no(refusal)
    return incidents.withheld(state, incident, command), DONE


def _drop(state: State, entry: Entry, command: c.Drop) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    if not refusal and command.policy_rev != state.policy_rev:
        refusal = POLICY_CHANGED
    return (state, no(refusal)) if refusal else digests.drop(state, command)


def _coalesce(state: State, entry: Entry, command: c.Coalesce) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    return (state, no(refusal)) if refusal else digests.coalesce(state, command)


def _sweep(state: State, entry: Entry, command: r.Sweep) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    return (state, no(refusal)) if refusal else quieting.sweep(state, command)


def _assign(state: State, entry: Entry, command: c.Assign) -> Outgrowth:
    refusal = office_refusal(state, entry, command.epoch)
    return (state, no(refusal)) if refusal else outbox.assign(state, command)


def _bare(effect: Callable[[State, Any], Outgrowth]) -> Callable[[State, Entry, Any], Outgrowth]:
    """`effect`, to which it does not matter who proposed."""
    return lambda state, _entry, command: effect(state, command)


_EFFECTS: Final[dict[type, Callable[[State, Entry, Any], Outgrowth]]] = {
    c.Found: lives.found,
    c.Join: lives.join,
    c.Gone: lives.gone,
    c.Leaving: lives.leaving,
    c.Resize: lives.resize,
    c.Gate: lives.gate,
    c.Report: lives.report,
    c.Activate: lives.activate,
    c.BeatSeen: lives.beat,
    c.ClaimLease: _claim_lease,
    c.Renew: _renew,
    c.Release: _release,
    c.Open: _open,
    c.Shift: _shift,
    c.Close: _close,
    c.Forget: _forget,
    c.Enqueue: _enqueue,
    c.Withhold: _withhold,
    c.Drop: _drop,
    c.Coalesce: _coalesce,
    c.Assign: _assign,
    c.Claim: outbox.claim,
    c.Settle: outbox.settle,
    r.SetSilence: _bare(quieting.set_silence),
    r.EndSilence: _bare(quieting.end_silence),
    r.Sweep: _sweep,
    r.Acknowledge: _bare(quieting.acknowledge),
    r.TryChannels: _bare(proving.try_channels),
    r.StartDrill: _bare(proving.start_drill),
}
