"""Planted mutants: rules of lease, ledger, courier and reports, each broken by a small change of the code.

The harness is as good as the share of these that its seeds kill. Each is what a tired hand might write;
score.py finds out which seed and which checker kill it.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Final

from msgspec.structs import replace
from simulation.breaking import Broken, Change

from watchtower.cluster.lease import Lease
from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.applying import fences, lives, outbox
from watchtower.core.commands import Answer
from watchtower.core.judging import eligibility
from watchtower.core.model import Lease as LeaseRow
from watchtower.core.model import NoticeKind, Outcome, Stage
from watchtower.delivery import sender as senders
from watchtower.delivery.courier import Courier
from watchtower.delivery.sender import Sender
from watchtower.delivery.timers import Timers
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending


def _no_fence() -> tuple[Change, ...]:
    return ((Courier, "_may_send", lambda *_: True),)


def _no_claim_fence() -> tuple[Change, ...]:
    return ((Sender, "may_send", lambda *_: True),)


def _lease_by_epoch() -> tuple[Change, ...]:
    def claim(state: Any, entry: Any, command: Any) -> Any:
        lease = state.lease
        if command.epoch != lease.epoch:
            return state, Answer(ok=False, reason="the lease has moved on")
        claimed = LeaseRow(
            epoch=lease.epoch + 1, holder=entry.by, session=entry.session, released=False,
            length_ms=command.length_ms, entry_id=command.id,
        )  # fmt: skip
        return replace(state, lease=claimed), Answer(ok=True)

    return ((ledger._EFFECTS, c.ClaimLease, claim),)


def _claim_by_epoch() -> tuple[Change, ...]:
    def valid_until(self: Any) -> float:
        row = self._row
        own = [one for one in self._proposed.values() if (one.epoch, one.session) == (row.epoch, row.session)]
        is_mine = row.holder == self._me and row.session == self._my_session
        if not own or not is_mine or self._barred or row.released or row.epoch <= self._ended_epoch:
            return 0.0
        return float(max(one.t0 for one in own) + row.length_ms / 1000)

    return ((Lease, "valid_until", property(valid_until)),)


def _trusts_leader() -> tuple[Change, ...]:
    honest = Lease.valid_until.fget  # type: ignore[attr-defined] # a property has it

    def valid_until(self: Any) -> float:
        holds = (self._row.holder, self._row.session) == (self._me, self._my_session)
        if holds and not self._row.released and not self._barred and self.leads():
            return float(self._seen_boot + 1e6)
        return float(honest(self))

    return ((Lease, "valid_until", property(valid_until)),)


def _settles_first() -> tuple[Change, ...]:
    send = Courier._send

    async def hasty(self: Any, order: Any) -> None:
        early = Ending(outcome=Outcome.ACCEPTED, detail="it will be")
        self._sender.ended(order, early, self._clock.now())
        self._changed.set()
        await asyncio.sleep(0.05)  # noqa: TID251 - the settlement is under way
        self._sender._held.setdefault(order.item.id, None)
        held = self._sender._held.pop(order.item.id)
        await send(self, order)
        if held is not None and order.item.id not in self._sender._held:
            self._sender._held[order.item.id] = held

    return ((Courier, "_send", hasty), (Sender, "may_send", lambda *_: True))


def _forgets_resolved() -> tuple[Change, ...]:
    def told(state: Any, incident: int) -> tuple[str, ...]:
        items = (
            item for item in state.notifications.values()
            if item.incident == incident and item.kind is not NoticeKind.RESOLVED
            and item.stage is Stage.DELIVERED
        )  # fmt: skip
        return tuple(dict.fromkeys(item.channel for item in sorted(items, key=lambda item: item.order)))

    return ((outbox, "told_channels", told),)


def _counts_everybody() -> tuple[Change, ...]:
    def ineligible(state: Any, peer: str, _view: Any, _now: Any) -> Any:
        return None if state.row(peer).session else eligibility.Ineligible.NOT_JOINED

    return ((eligibility, "ineligible", ineligible),)


def _takes_stale_reports() -> tuple[Change, ...]:
    refusal, report = fences.proposer_refusal, lives.report

    def lenient(state: Any, entry: Any) -> str:
        return "" if isinstance(entry.command, c.Report) else refusal(state, entry)

    def take(state: Any, entry: Any, command: Any) -> Any:
        row = state.row(entry.by)
        if entry.session != row.session:
            hash_ = command.config_hash if command.full else row.config_hash
            command = replace(command, seq=row.report_seq, config_hash=hash_)
        return report(state, entry, command)

    return ((ledger, "proposer_refusal", lenient), (ledger._EFFECTS, c.Report, take))


def _never_searches() -> tuple[Change, ...]:
    async def blind(self: Any, order: Any) -> None:
        self._sender.searched(order, Found(trace=Trace.UNKNOWN))
        self._changed.set()

    return ((Courier, "_search", blind),)


def _no_lanes() -> tuple[Change, ...]:
    def none(_state: Any) -> dict[str, int]:
        return {}

    return ((outbox, "lane_heads", none), (senders, "lane_heads", none))


def _carries_on() -> tuple[Change, ...]:
    step = Lease.step

    def going_on(self: Any, *arguments: Any, **named: Any) -> Any:
        proposal = step(self, *arguments, **named)
        self._ended_epoch, self._barred = 0, False
        return proposal

    return ((Lease, "step", going_on),)


def _old_timers() -> tuple[Change, ...]:
    observe, look = Lease.observe, Timers.look

    def observed(self: Any, state: Any, now: Any) -> None:
        is_first = self._seen is None
        observe(self, state, now)
        if is_first:
            self._seen_boot = -math.inf

    def looked(self: Any, state: Any, now: Any) -> None:
        is_first = not self._seen
        look(self, state, now)
        for seen in self._seen.values() if is_first else ():
            seen.claim_boot = -math.inf

    return ((Lease, "observe", observed), (Timers, "look", looked))


def _own_retry_after() -> tuple[Change, ...]:
    recorded, learned = outbox._recorded, outbox._with_channel

    def forgetful(item: Any, entry: Any, command: Any) -> Any:
        return recorded(item, entry, replace(command, retry_after_s=0.0))

    def careless(state: Any, name: Any, command: Any) -> Any:
        return learned(state, name, replace(command, retry_after_s=0.0))

    return ((outbox, "_recorded", forgetful), (outbox, "_with_channel", careless))


def _speaks_without_lease() -> tuple[Change, ...]:
    return ((Lease, "has_run_out", lambda *_: False),)


MUTANTS: Final = (
    Broken(name="fence-skipped", says="sends without a last look at its right", changes=_no_fence),
    Broken(name="claim-is-no-fence", says="sends on after its claim ran out", changes=_no_claim_fence),
    Broken(name="lease-is-no-fence", says="sends on after its lease ran out", changes=_speaks_without_lease),
    Broken(name="lease-by-epoch", says="a lease claim compares the epoch only", changes=_lease_by_epoch),
    Broken(
        name="claim-by-epoch", says="its own claim is known by its epoch, not its id", changes=_claim_by_epoch
    ),
    Broken(name="trusts-leader", says="who leads Raft believes to be in office", changes=_trusts_leader),
    Broken(name="settles-first", says="settles as accepted, then sends", changes=_settles_first),
    Broken(name="resolved-forgotten", says="only what was delivered is resolved", changes=_forgets_resolved),
    Broken(
        name="ineligible-counted",
        says="votes of silent, leaving and other-config peers count",
        changes=_counts_everybody,
    ),
    Broken(name="stale-reports", says="a report of an earlier boot is taken", changes=_takes_stale_reports),
    Broken(
        name="no-reconcile",
        says="what may have arrived is sent again without a look",
        changes=_never_searches,
    ),
    Broken(name="no-lanes", says="the order of a lane is ignored", changes=_no_lanes),
    Broken(
        name="release-and-go-on", says="stays in office while its release is under way", changes=_carries_on
    ),
    Broken(
        name="old-timers", says="after a restart everything unseen counts as waited for", changes=_old_timers
    ),
    Broken(
        name="retry-after-kept", says="what a channel asked for is not replicated", changes=_own_retry_after
    ),
)
"""With ack-before-fsync and unclamped-commit of guard_off.py: what a tired hand may do."""
