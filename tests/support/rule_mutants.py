"""Every rule of the protocol's model, switched off in the real code, and the hunt that must notice.

`RULES` is the list: each mutant names the rule of the model it stands for, patches the code that runs in
production (ledger, outbox, eligibility, Lease, Sender, timers), and hunts for a broken invariant in random
walks that are repeated by their seed. A mutant that survives means that the walks cannot see the rule.
What belongs to silences and digests is in policy_mutants.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace
from support import lease_walk, protocol_walk, sender_walk
from support.protocol_peers import FAULTS

from watchtower.cluster.lease import Lease
from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.alerting.attempts import ChannelState
from watchtower.core.applying import lives, outbox
from watchtower.core.commands import Answer, ClaimLease, Entry, Release
from watchtower.core.judging import eligibility
from watchtower.core.judging.eligibility import Ineligible
from watchtower.core.model import Doubt, Instant, NoticeKind, Notification, Outcome, PeerRow, Stage, State
from watchtower.core.view import View
from watchtower.delivery.orders import Sending
from watchtower.delivery.sender import Sender
from watchtower.delivery.timers import Timers

STORMY = {**FAULTS, "flip": 12, "double": 30, "expire": 30, "fault": 20, "lease": 15, "crash": 2}
"""Few crashes, many entries that come twice, claims that run out and answers that are lost."""

Patch = pytest.MonkeyPatch
Outgrowth = tuple[State, Answer]


class RuleMutant(Struct, frozen=True):
    """A rule switched off: `apply` patches it away, `hunt` returns the violation found, or None."""

    name: str
    model_rule: str
    apply: Callable[[Patch], None]
    hunt: Callable[[], str | None]


# ---- the hunts


def hunt_lease() -> str | None:
    """Two in office at one instant."""
    found = lease_walk.search(1500)
    return found and f"seed {found[0]}: {found[1]}"


def hunt_sender() -> str | None:
    """A message that should not have arrived, or not then."""
    found = sender_walk.search(300)
    return found and f"seed {found[0]}: {found[1]}"


def hunt_protocol() -> str | None:
    """Any invariant of the ledger, in walks with all faults and in stormy ones."""
    for faults, walks in ((FAULTS, 250), (STORMY, 900)):
        found = protocol_walk.search(walks, faults=faults)
        if found is not None:
            return f"seed {found[0]}: {found[1]}"
    return None


# ---- the lease (protocol.md, holes 1 to 5)


def margin(patch: Patch) -> None:
    """A rival does not allow for clocks of another rate."""

    def is_free(self: Lease, now: Instant) -> bool:
        row = self._row
        is_over = now.boot >= self._seen_boot + row.length_ms / 1000
        return not row.holder or row.released or row.holder == self._me or is_over

    patch.setattr(Lease, "_is_free", is_free)


def lease_seq(patch: Patch) -> None:
    """A claim is compared with the epoch only, not with the renewals."""

    def claim(state: State, entry: Entry, command: ClaimLease) -> Outgrowth:
        return ledger._claim_lease(state, entry, replace(command, renewals=state.lease.renewals))

    patch.setitem(ledger._EFFECTS, ClaimLease, claim)


def late_t0(patch: Patch) -> None:
    """Office counts from when the entry was applied, not from before it was proposed."""
    real = Lease.observe

    def observe(self: Lease, state: State, now: Instant) -> None:
        is_new = self._row.entry_id != state.lease.entry_id
        real(self, state, now)
        mine = self._proposed.get(state.lease.entry_id)
        if is_new and mine is not None:
            self._proposed[state.lease.entry_id] = replace(mine, t0=now.boot)

    patch.setattr(Lease, "observe", observe)


def match_epoch(patch: Patch) -> None:
    """One's own claim or renewal is known by its epoch: the latest one counts, whichever was applied."""
    real = Lease.observe

    def observe(self: Lease, state: State, now: Instant) -> None:
        real(self, state, now)
        lease = state.lease
        mine = [
            one for one in self._proposed.values() if (one.epoch, one.session) == (lease.epoch, lease.session)
        ]
        if mine and lease.holder == self._me:
            self._proposed[lease.entry_id] = max(mine, key=lambda one: one.t0)

    patch.setattr(Lease, "observe", observe)


def retry_t0(patch: Patch) -> None:
    """A retry is the same command again, with a new start."""
    real = Lease.step

    def step(self: Lease, state: State, session: int, now: Instant, **given: Any) -> Any:
        lease = state.lease
        same = f"{self._me} {session} {lease.epoch} {lease.renewals} {lease.holder == self._me}"
        return real(self, state, session, now, **{**given, "new_id": lambda: same})

    patch.setattr(Lease, "step", step)


def lease_len(patch: Patch) -> None:
    """A rival waits by the length in its own configuration."""
    real = Lease._is_free

    def is_free(self: Lease, now: Instant) -> bool:
        row = self._row
        self._row = replace(row, length_ms=self._length_ms)
        try:
            return real(self, now)
        finally:
            self._row = row

    patch.setattr(Lease, "_is_free", is_free)


def seen_reset(patch: Patch) -> None:
    """After a restart, what was never seen counts as waited for long enough."""
    real = Lease.observe

    def observe(self: Lease, state: State, now: Instant) -> None:
        is_first = self._seen is None
        real(self, state, now)
        if is_first:
            self._seen_boot = -1e9

    patch.setattr(Lease, "observe", observe)


def release_final(patch: Patch) -> None:
    """Whoever proposes its release carries on until that is applied."""
    real = Lease.step

    def step(self: Lease, state: State, session: int, now: Instant, **given: Any) -> Any:
        proposal = real(self, state, session, now, **given)
        if isinstance(proposal, Release):
            self._ended_epoch, self._barred = 0, False
        return proposal

    patch.setattr(Lease, "step", step)


# ---- the sender


def fence(patch: Patch) -> None:
    """Nobody looks at the clock before the first byte."""

    def may_send(self: Sender, state: State, session: int, order: Sending, _boot: float) -> bool:
        return self._is_mine(state.notifications.get(order.item.id), order.claim_id, session)

    patch.setattr(Sender, "may_send", may_send)


def wait(patch: Patch) -> None:
    """A rival does not wait until the claim it sees has run out."""
    real = Timers.due_boot

    def due_boot(self: Timers, item: Notification, channel: ChannelState, now: Instant) -> float:
        return real(self, replace(item, stage=Stage.PENDING), channel, now)

    patch.setattr(Timers, "due_boot", due_boot)


def match_claim(patch: Patch) -> None:
    """One's own claim is known by owner and session, not by its id."""

    def is_mine(self: Sender, item: Notification | None, _claim_id: str, session: int) -> bool:
        is_claimed = item is not None and item.stage is Stage.CLAIMED
        return item is not None and is_claimed and (item.owner, item.session) == (self._me, session)

    patch.setattr(Sender, "_is_mine", is_mine)


# ---- the outbox


def lane(patch: Patch) -> None:
    """Hole 7: an item may be claimed before an older one of its lane is finished."""
    patch.setattr(outbox, "lane_heads", lambda _state: {})


def sticky(patch: Patch) -> None:
    """Hole 10: a negative answer clears the doubt of an earlier attempt."""
    real = outbox._not_accepted

    def faded(item: Notification, outcome: Outcome) -> Notification:
        settled = real(item, outcome)
        return replace(settled, doubt=Doubt.NO) if settled.stage is Stage.PENDING else settled

    patch.setattr(outbox, "_not_accepted", faded)


def neg_current(patch: Patch) -> None:
    """Row 12: a negative outcome counts whoever says so, also from a claim that is over."""

    def settle(state: State, entry: Entry, command: c.Settle) -> Outgrowth:
        item = state.notifications.get(command.id)
        if item is not None and item.stage is Stage.CLAIMED and command.outcome is not Outcome.ACCEPTED:
            entry = replace(entry, by=item.owner, session=item.session)
            command = replace(command, attempt=item.attempt)
        return outbox.settle(state, entry, command)

    patch.setitem(ledger._EFFECTS, c.Settle, settle)


def apply_close(patch: Patch) -> None:
    """Hole 11: closing tells the end only where the beginning is known to be delivered."""

    def has_left(_state: State, item: Notification) -> bool:
        return item.kind is not NoticeKind.RESOLVED and item.stage is Stage.DELIVERED

    patch.setattr(outbox, "has_left", has_left)


def looking_again(patch: Patch) -> None:
    """Hole 11: what a close left behind is not looked at again when an attempt is settled."""
    patch.setattr(outbox, "tidy", lambda state: state)


# ---- reports, votes, transitions


def session(patch: Patch) -> None:
    """Hole 9: what an earlier life of a peer proposed still counts."""
    patch.setattr(ledger, "proposer_refusal", lambda _state, _entry: "")


def clear_on_join(patch: Patch) -> None:
    """Hole 9: a join leaves the votes of the earlier life."""

    def join(state: State, entry: Entry, command: c.Join) -> Outgrowth:
        old: PeerRow = state.row(entry.by)
        after, answer = lives.join(state, entry, command)
        row = replace(after.row(entry.by), votes=old.votes, config_hash=old.config_hash)
        return (replace(after, peers={**after.peers, entry.by: row}) if answer.ok else after), answer

    patch.setitem(ledger._EFFECTS, c.Join, join)


def report_cas(patch: Patch) -> None:
    """Hole 9: a report counts whatever its sequence number says."""

    def report(state: State, entry: Entry, command: c.Report) -> Outgrowth:
        before = state.row(entry.by)
        current = replace(command, seq=before.report_seq, full=True)
        after, answer = lives.report(state, entry, current)
        # Applying it twice must stay once, or that alone would be found.
        is_same = replace(after.row(entry.by), report_seq=0) == replace(before, report_seq=0)
        return (state, Answer(ok=False, reason="the same again")) if is_same else (after, answer)

    patch.setitem(ledger._EFFECTS, c.Report, report)


def votes_cfg(patch: Patch) -> None:
    """A vote counts under whatever configuration it was cast."""
    real = eligibility.ineligible

    def ineligible(state: State, peer: str, view: View, now: Instant) -> Ineligible | None:
        reason = real(state, peer, view, now)
        return None if reason is Ineligible.CONFIG else reason

    patch.setattr(eligibility, "ineligible", ineligible)


def rev(patch: Patch) -> None:
    """Hole 6: a transition is not compared with the votes it was decided on."""
    real = ledger._transition_refusal

    def refusal(state: State, entry: Entry, command: c.Transition, *, is_open: bool) -> str:
        same = replace(command, rev=state.rev(command.service))
        return real(state, entry, same, is_open=is_open)

    patch.setattr(ledger, "_transition_refusal", refusal)


def ver(patch: Patch) -> None:
    """Hole 6: a transition is not compared with the incident it was decided on."""
    real = ledger._transition_refusal

    def refusal(state: State, entry: Entry, command: c.Transition, *, is_open: bool) -> str:
        row = state.service(command.service)
        # Closing nothing is refused elsewhere; what is left of the rule is what opens.
        is_open = row.open if isinstance(command, c.Open) else is_open
        return real(state, entry, replace(command, incident=row.incident), is_open=is_open)

    patch.setattr(ledger, "_transition_refusal", refusal)


RULES: list[RuleMutant] = [
    RuleMutant("rivals ignore the drift of clocks", "margin", margin, hunt_lease),
    RuleMutant("lease compared by epoch only", "lease_seq", lease_seq, hunt_lease),
    RuleMutant("office counts from the applying", "late_t0", late_t0, hunt_lease),
    RuleMutant("own lease entry matched by epoch", "match_epoch", match_epoch, hunt_lease),
    RuleMutant("a retry refreshes the start", "retry_t0", retry_t0, hunt_lease),
    RuleMutant("rivals wait by their own length", "lease_len", lease_len, hunt_lease),
    RuleMutant("timers not reset on restart", "seen_reset", seen_reset, hunt_lease),
    RuleMutant("release, then carry on", "release_final", release_final, hunt_lease),
    RuleMutant("fence skipped", "fence", fence, hunt_sender),
    RuleMutant("rivals do not wait for a claim", "wait", wait, hunt_sender),
    RuleMutant("own claim matched without its id", "match_epoch (claims)", match_claim, hunt_sender),
    RuleMutant("lane order ignored", "lane", lane, hunt_protocol),
    RuleMutant("a refusal clears doubt", "sticky", sticky, hunt_protocol),
    RuleMutant("negatives count from anybody", "neg_current", neg_current, hunt_sender),
    RuleMutant("closing does not look at the outbox", "apply_close", apply_close, hunt_protocol),
    RuleMutant("settling does not look again", "apply_close", looking_again, hunt_protocol),
    RuleMutant("an earlier life still counts", "session", session, hunt_protocol),
    RuleMutant("votes survive a restart", "clear_on_join", clear_on_join, hunt_protocol),
    RuleMutant("reports in any order", "report_cas", report_cas, hunt_protocol),
    RuleMutant("votes count under any config", "votes_cfg", votes_cfg, hunt_protocol),
    RuleMutant("transitions ignore votes that changed", "rev", rev, hunt_protocol),
    RuleMutant("transitions ignore the incident", "ver", ver, hunt_protocol),
]
