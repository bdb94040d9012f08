"""The lease: one row per rule, and random schedules in which never two peers are in office at one instant."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.lease_walk import World, at

from watchtower.cluster.lease import Lease, Proposal
from watchtower.core import ledger
from watchtower.core.commands import ClaimLease, Command, Entry, Found, Join, Release, Renew
from watchtower.core.model import State
from watchtower.core.settings import Timing


class Ideal:
    """An ideal log: what is appended is applied by everybody who looks."""

    def __init__(self, *peers: str) -> None:
        self.state = State()
        self.boots = 0
        self.append("a", Found(cluster="t", members=peers, at_wall=0.0))
        for peer in peers:
            self.join(peer)

    def append(self, by: str, command: Command) -> bool:
        """Apply one command of `by`; whether it did anything."""
        entry = Entry(v=1, by=by, boot="x", seq=1, session=self.state.row(by).session, command=command)
        self.state, answer = ledger.apply(self.state, entry)
        return answer.ok

    def join(self, peer: str) -> None:
        """A new boot of `peer`."""
        self.boots += 1
        self.append(peer, Join(boot_id=f"boot{self.boots}", version="0", command_version=1, at_wall=0.0))


class Bench:
    """Leases of peers a and b over one ideal log."""

    def __init__(self) -> None:
        self.log = Ideal("a", "b")
        self.numbers = count(1)
        self.leases = {peer: Lease(peer) for peer in "ab"}

    def step(self, peer: str, now: float, may_claim: str = "") -> Proposal | None:
        """One step of `peer`."""
        return self.leases[peer].step(
            self.log.state,
            self.log.state.row(peer).session,
            at(now),
            may_claim=may_claim,
            new_id=lambda: f"id{next(self.numbers)}",
        )

    def hold(self, peer: str, now: float) -> None:
        """`peer` claims and the claim is applied and seen at once."""
        command = self.step(peer, now)
        assert isinstance(command, ClaimLease)
        assert self.log.append(peer, command)
        self.see(peer, now)

    def see(self, peer: str, now: float) -> None:
        """`peer` applies what is in the log."""
        self.leases[peer].observe(self.log.state, at(now))

    def in_office(self, peer: str, now: float) -> bool:
        """Whether `peer` believes to be alerter."""
        return self.leases[peer].in_office(at(now))


def test_a_lease_has_run_out_until_it_is_given_up_or_another_is_known_to_have_it() -> None:
    """Before it was claimed there was none; then it is a matter of time, and of what this peer knows."""
    bench = Bench()
    a = bench.leases["a"]
    assert not a.has_run_out(at(9.0))
    bench.hold("a", 10.0)
    assert [a.has_run_out(at(now)) for now in (10.0, 12.9, 13.0, 99.0)] == [False, False, True, True]
    assert not bench.leases["b"].has_run_out(at(99.0))
    bench.see("b", 10.0)
    bench.hold("b", 30.0)
    assert a.has_run_out(at(30.0)), "a has not heard of it"
    bench.see("a", 30.0)
    assert not a.has_run_out(at(30.0))
    assert bench.log.append("b", Release(epoch=2))
    bench.see("b", 31.0)
    assert not bench.leases["b"].has_run_out(at(99.0)), "given up is not run out"


def test_a_free_lease_is_claimed_and_gives_office_from_before_the_proposal() -> None:
    """Office lasts from the applied claim until its start, taken before proposing, plus its length."""
    bench = Bench()
    command = bench.step("a", 10.0)
    assert command == ClaimLease(epoch=0, renewals=0, length_ms=3000, id="id1")
    assert not bench.in_office("a", 10.0), "a proposal is no office"
    bench.log.append("a", command)
    bench.see("a", 12.0)
    assert bench.leases["a"].valid_until == 13.0
    assert bench.in_office("a", 12.999)
    assert not bench.in_office("a", 13.0)


def test_without_a_session_nothing_is_proposed() -> None:
    """A process whose join is not applied yet proposes nothing."""
    bench = Bench()
    assert bench.leases["a"].step(bench.log.state, 0, at(1.0), may_claim="", new_id=str) is None


def test_a_peer_that_may_not_claim_leaves_a_free_lease_alone() -> None:
    """A reason against claiming keeps a peer from proposing."""
    assert Bench().step("a", 10.0, may_claim="clock is off") is None


def test_a_renewal_is_proposed_every_interval_and_prolongs_from_its_own_start() -> None:
    """Renewals come 0.75 s after the start of the applied proposal, each with its own id and start."""
    bench = Bench()
    bench.hold("a", 10.0)
    assert bench.step("a", 10.7) is None
    command = bench.step("a", 10.8)
    assert command == Renew(epoch=1, length_ms=3000, id="id2")
    bench.log.append("a", command)
    bench.see("a", 11.5)
    assert bench.leases["a"].valid_until == pytest.approx(13.8)


def test_only_one_proposal_is_in_flight_and_a_retry_is_new() -> None:
    """Nothing is proposed while one is in flight; after its patience a new id with a new start is."""
    bench = Bench()
    assert bench.step("a", 10.0) == ClaimLease(epoch=0, renewals=0, length_ms=3000, id="id1")
    assert bench.step("a", 10.9) is None
    assert bench.step("a", 11.0) == ClaimLease(epoch=0, renewals=0, length_ms=3000, id="id2")


def test_a_late_first_try_counts_from_its_own_start() -> None:
    """Hole 2: when the given-up copy is applied after all, office counts from its start, not the retry's."""
    bench = Bench()
    first = bench.step("a", 10.0)
    bench.step("a", 12.5)
    assert isinstance(first, ClaimLease)
    bench.log.append("a", first)
    bench.see("a", 12.6)
    assert bench.leases["a"].valid_until == 13.0


def test_an_applied_entry_of_unknown_id_gives_no_office() -> None:
    """Office is never counted from an entry that this object did not propose."""
    bench = Bench()
    bench.log.append("a", ClaimLease(epoch=0, renewals=0, length_ms=3000, id="somebody"))
    bench.see("a", 10.0)
    assert not bench.in_office("a", 10.0)


@pytest.mark.parametrize("change", [{"holder": "b"}, {"epoch": 2}, {"session": 9}, {"released": True}])
def test_an_entry_with_our_id_but_another_office_gives_none(change: dict[str, Any]) -> None:
    """The id alone is not enough: holder, epoch and session must be those of the proposal."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.log.state = replace(bench.log.state, lease=replace(bench.log.state.lease, **change))
    bench.see("a", 10.1)
    assert not bench.in_office("a", 10.1)


def test_a_lost_session_ends_the_office() -> None:
    """When the ledger gives the peer another session, office under the old one is over."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.log.join("a")
    bench.see("a", 10.1)
    assert not bench.in_office("a", 10.1)


def test_an_earlier_boot_of_the_same_peer_is_followed_at_once() -> None:
    """The lease of the own earlier boot is claimed without waiting: the folder's lock proves it dead."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.log.join("a")
    bench.leases["a"] = Lease("a")
    assert bench.step("a", 10.1) == ClaimLease(epoch=1, renewals=0, length_ms=3000, id="id2")


def test_a_rival_waits_by_the_length_in_the_entry_stretched_by_drift_plus_margin() -> None:
    """Hole 3: the wait goes by the holder's length and starts when the rival first saw the entry."""
    bench = Bench()
    bench.leases["a"] = Lease("a", Timing(lease_s=6.0))
    bench.hold("a", 10.0)
    bench.see("b", 20.0)
    wait = 6.0 * 1.001 / 0.999 + 1.0
    assert bench.step("b", 20.0 + wait - 0.001) is None
    assert isinstance(bench.step("b", 20.0 + wait + 0.001), ClaimLease)


def test_each_renewal_starts_the_rivals_wait_anew() -> None:
    """A renewal has a new id, so the rival waits again from when it saw that one."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.see("b", 10.0)
    renewal = bench.step("a", 12.0)
    assert isinstance(renewal, Renew)
    bench.log.append("a", renewal)
    bench.see("b", 12.1)
    assert bench.step("b", 16.0) is None
    assert isinstance(bench.step("b", 16.2), ClaimLease)


def test_a_late_copy_of_an_old_renewal_starts_the_rivals_wait_anew() -> None:
    """A rival that applies a renewal and a copy of an older one at once sees an id that it knows already."""
    bench = Bench()
    bench.hold("a", 10.0)
    older = bench.step("a", 11.0)
    assert isinstance(older, Renew)
    bench.log.append("a", older)
    bench.see("b", 11.0)
    bench.see("a", 11.0)
    newer = bench.step("a", 13.0)
    assert isinstance(newer, Renew)
    bench.log.append("a", newer)
    bench.see("a", 13.0)
    assert bench.log.append("a", older), "the copy counts as one more renewal"
    assert bench.step("b", 15.1) is None, "a is in office by the newer one until 16"
    assert isinstance(bench.step("b", 19.2), ClaimLease)


def test_a_restarted_rival_waits_in_full() -> None:
    """Hole 5: what a process never saw before counts as seen now, not as long ago."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.leases["b"] = Lease("b")
    assert bench.step("b", 100.0) is None
    assert bench.step("b", 104.0) is None
    assert isinstance(bench.step("b", 104.1), ClaimLease)


def test_a_claim_that_lost_to_a_renewal_does_nothing() -> None:
    """Hole 1: a renewal that commits before the rival's claim makes the claim void."""
    bench = Bench()
    bench.hold("a", 10.0)
    bench.see("b", 10.0)
    claim = bench.step("b", 14.1)
    renewal = bench.step("a", 14.0)
    assert isinstance(renewal, Renew)
    assert isinstance(claim, ClaimLease)
    assert bench.log.append("a", renewal)
    assert not bench.log.append("b", claim)


def test_an_incumbent_that_may_not_alert_is_out_before_it_proposes_its_release() -> None:
    """Hole 4: office ends before the release is proposed, and nothing is renewed in that epoch again."""
    bench = Bench()
    bench.hold("a", 10.0)
    assert bench.step("a", 10.1, may_claim="leaving") == Release(epoch=1)
    assert not bench.in_office("a", 10.1)
    assert bench.step("a", 10.2) is None, "the release is in flight"
    assert bench.step("a", 11.2) == Release(epoch=1), "still out, although it may claim again"
    bench.see("a", 11.3)
    assert not bench.in_office("a", 11.3)


def test_a_released_lease_is_claimed_at_once_by_anybody() -> None:
    """After the release is applied, the rival claims without waiting, and so may the former holder."""
    bench = Bench()
    bench.hold("a", 10.0)
    release = bench.step("a", 10.1, may_claim="leaving")
    assert isinstance(release, Release)
    bench.log.append("a", release)
    for peer in "ab":
        assert isinstance(bench.step(peer, 10.2), ClaimLease)
        assert bench.step(peer, 10.3) is None, "one proposal at a time"


def test_a_claim_that_lands_after_the_peer_may_no_longer_alert_gives_no_office() -> None:
    """A claim in flight when the reason appears is released as soon as it is applied, without office."""
    bench = Bench()
    claim = bench.step("a", 10.0)
    assert isinstance(claim, ClaimLease)
    assert bench.step("a", 10.1, may_claim="clock is off") is None
    bench.log.append("a", claim)
    bench.see("a", 10.2)
    assert not bench.in_office("a", 10.2)
    assert bench.step("a", 10.2, may_claim="clock is off") == Release(epoch=1)


def test_a_holder_that_ran_out_renews_in_its_epoch() -> None:
    """A lease that ran out unclaimed is renewed: the ledger decides between it and a rival's claim."""
    bench = Bench()
    bench.hold("a", 10.0)
    assert not bench.in_office("a", 60.0)
    assert bench.step("a", 60.0) == Renew(epoch=1, length_ms=3000, id="id2")


# ---- random schedules


def holders_at_once(seed: int, drift: float) -> int:
    """The largest number of peers in office at one instant in one random schedule."""
    world = World(seed, drift)
    return max(world.turn() for _ in range(400))


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0, max_value=2**32))
def test_never_two_in_office_while_clocks_drift_as_allowed(seed: int) -> None:
    """With clocks as wrong as the lease allows for, no schedule puts two peers in office at one instant."""
    assert holders_at_once(seed, drift=0.2) <= 1


def test_somebody_gets_into_office() -> None:
    """The schedules above do put peers in office, so they can find two."""
    assert all(holders_at_once(seed, drift=0.2) == 1 for seed in range(20))


def test_a_lease_that_ignores_drift_is_caught() -> None:
    """The same schedules find two holders when rivals do not wait for the drift of the clocks."""
    assert any(holders_at_once(seed, drift=0.0) > 1 for seed in range(300))


def test_forgotten_proposals_cost_office_only() -> None:
    """A proposal older than the 64 that are remembered gives no office when it is applied at last."""
    bench = Bench()
    first = bench.step("a", 10.0)
    assert isinstance(first, ClaimLease)
    for number in range(70):
        bench.step("a", 12.0 + 2 * number)
    bench.log.append("a", first)
    bench.see("a", 10.5)
    assert not bench.in_office("a", 10.5)
