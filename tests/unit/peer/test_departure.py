"""Stepping aside: the order of the steps, what is waited for, and that it never waits for ever.

A clock that only the test moves, a log that applies at once or not at all, the real Lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import cast

import pytest
from support.core_support import Book, instant

from watchtower.cluster.lease import Lease
from watchtower.core import commands as c
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, Command
from watchtower.core.model import Instant, State
from watchtower.core.ports import ClusterPort, CourierPort
from watchtower.departure import Departure


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is the test's: between two looks nobody waits."""
    monkeypatch.setattr("watchtower.departure.LOOK_AGAIN_S", 0.0001)


class Clock:
    """Stands still, except that each look takes ten milliseconds."""

    def __init__(self) -> None:
        self.boot = 100.0

    def now(self) -> Instant:
        """A little later than before."""
        self.boot += 0.01
        return instant(self.boot)


class Stage:
    """Peer a, in office, with its log, its courier and a rival that takes a free lease at once."""

    def __init__(self, *, is_cut: bool = False, has_rival: bool = True, refusals: int = 0) -> None:
        self.book = Book()
        self.clock = Clock()
        self.told: list[str] = []
        self.is_cut, self.has_rival, self.refusals = is_cut, has_rival, refusals
        self.role, self.links = "leader", {"b": not is_cut, "c": not is_cut}
        self.numbers = count(1)
        self.lease = Lease("a")
        self.departure = Departure(
            "a",
            self.clock,
            cast("ClusterPort", self),
            cast("CourierPort", self),
            step_lease=self.step_lease,
            session=lambda state: state.row("a").session if state.row("a").boot_id == "a-1" else 0,
        )

    @property
    def state(self) -> State:
        """What is applied."""
        return self.book.state

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Applied at once; cut off, never."""
        self.told.append(type(command).__name__)
        if self.is_cut:
            self.clock.boot += timeout_s
            return None
        answer = self.book.do("a", command)
        lease = self.state.lease
        if lease.released and self.has_rival:
            self.book.lease("b")
            self.told.append("b takes over")
        self.departure.on_applied()
        return answer

    async def step_lease(self) -> None:
        """As the peer does it."""
        proposal = self.lease.step(
            self.state, 1, self.clock.now(), may_claim=self.departure.aside, new_id=lambda: str(self.numbers)
        )
        if proposal is not None:
            await self.submit(proposal, timeout_s=1.0)

    async def transfer(self, to: str = "") -> str:
        """Raft leadership goes on, unless nobody is caught up just now."""
        self.told.append(f"transfer{to}")
        if self.is_cut or self.refusals:
            self.refusals -= 1
            return "nobody is linked and caught up"
        self.role = "follower"
        return ""

    def status(self) -> ClusterStatus:
        """This peer leads, and knows two others."""
        return ClusterStatus(role=self.role, links=self.links)

    async def drain(self, timeout_s: float) -> None:
        """The courier's."""
        self.told.append("courier drains")
        self.clock.boot += min(timeout_s, 0.0)


def run(stage: Stage, act: Callable[[Departure], Coroutine[None, None, str | None]]) -> str:
    """What stepping aside answers."""
    return asyncio.run(act(stage.departure)) or ""


def test_a_planned_stop_in_its_order() -> None:
    """The courier claims no more; lease and goodbye go; Raft leadership last, under a successor."""
    stage = Stage()
    run(stage, lambda departure: departure.leave())
    assert sorted(stage.told[:4]) == ["Leaving", "Release", "b takes over", "courier drains"]
    assert stage.told[4:] == ["transfer"]
    assert stage.state.lease.holder == "b"
    assert stage.state.row("a").leaving_until_wall == pytest.approx(instant(160.0).wall, abs=1.0)
    assert stage.departure.aside == "leaving"


def test_cut_off_it_leaves_all_the_same() -> None:
    """Without a majority nothing is confirmed; it tries for two seconds and goes."""
    stage = Stage(is_cut=True)
    run(stage, lambda departure: departure.leave())
    assert stage.clock.boot < 109.0
    assert stage.told[-1] == "transfer"


def test_without_a_successor_it_waits_a_second_only() -> None:
    """The others may all be unfit; the stop does not hang on them."""
    stage = Stage(has_rival=False)
    run(stage, lambda departure: departure.leave())
    assert stage.state.lease.released
    assert 101.0 < stage.clock.boot < 103.0


def test_a_drain_is_confirmed_and_ends_by_itself() -> None:
    """Answered once applied; over when its time is."""
    stage = Stage()
    assert run(stage, lambda departure: departure.drain(30.0)) == ""
    assert (stage.departure.aside, "courier drains" in stage.told) == ("draining", False)
    assert stage.departure.until_wall == pytest.approx(instant(130.0).wall, abs=0.5)
    stage.clock.boot += 31.0
    assert (stage.departure.aside, stage.departure.until_wall) == ("", 0.0)


def test_a_drain_that_nobody_confirms_says_so() -> None:
    """It is aside all the same: it decides nothing more."""
    stage = Stage(is_cut=True)
    assert "has not confirmed" in run(stage, lambda departure: departure.drain(30.0))
    assert stage.departure.aside == "draining"


@pytest.mark.parametrize("for_s", [0.0, -1.0, 86_401.0, float("nan")])
def test_a_drain_has_bounds(for_s: float) -> None:
    """Nobody steps aside for ever, or for no time."""
    stage = Stage()
    assert "a drain lasts up to" in run(stage, lambda departure: departure.drain(for_s))
    assert (stage.departure.aside, stage.told) == ("", [])


def test_a_drain_may_be_shortened_and_lengthened() -> None:
    """The latest wish counts, also in the ledger."""
    stage = Stage()
    for for_s in (600.0, 30.0, 90.0):
        assert run(stage, lambda departure, for_s=for_s: departure.drain(for_s)) == ""  # type: ignore[misc] # bound now
        excused_s = stage.state.row("a").leaving_until_wall - instant(stage.clock.boot).wall
        assert excused_s == pytest.approx(for_s, abs=0.5)


def test_a_stop_during_a_drain_keeps_the_longer_excuse() -> None:
    """Ten minutes were asked for; the stop does not cut them to one. A drain about to end is prolonged."""
    stage = Stage()
    run(stage, lambda departure: departure.drain(600.0))
    until_wall = stage.state.row("a").leaving_until_wall
    run(stage, lambda departure: departure.leave())
    assert stage.state.row("a").leaving_until_wall == pytest.approx(until_wall, abs=0.1)
    stage = Stage()
    run(stage, lambda departure: departure.drain(5.0))
    run(stage, lambda departure: departure.leave())
    assert stage.state.row("a").leaving_until_wall == pytest.approx(instant(160.0).wall, abs=1.0)


def test_who_is_stopping_cannot_be_drained_or_called_back() -> None:
    """It is too late for both."""
    stage = Stage()
    run(stage, lambda departure: departure.leave())
    assert run(stage, lambda departure: departure.drain(60.0)) == "this peer is stopping"
    assert run(stage, lambda departure: departure.undrain()) == "this peer is stopping"


def test_back_before_the_time_is_up() -> None:
    """The reporter takes the goodbye back; undrain answers when that is applied."""
    stage = Stage()
    run(stage, lambda departure: departure.drain(600.0))

    async def back(departure: Departure) -> str:
        waiting = asyncio.create_task(departure.undrain())
        await asyncio.sleep(0)  # noqa: TID251 - lets the task begin
        assert departure.aside == ""
        await stage.submit(c.Leaving(for_s=0.0, at_wall=instant(101.0).wall))
        return await waiting

    assert run(stage, back) == ""
    stage = Stage(is_cut=True)
    run(stage, lambda departure: departure.drain(600.0))
    assert run(stage, lambda departure: departure.undrain()) == ""


def test_leadership_is_offered_until_somebody_can_take_it() -> None:
    """With entries on their way nobody may be caught up at the first try; a follower offers nothing."""
    stage = Stage(refusals=3)
    run(stage, lambda departure: departure.leave())
    assert stage.told.count("transfer") == 4
    stage = Stage()
    stage.role = "follower"
    run(stage, lambda departure: departure.leave())
    assert "transfer" not in stage.told
    stage = Stage()
    stage.links = {}
    run(stage, lambda departure: departure.leave())
    assert "transfer" not in stage.told, "a peer that is alone"


def test_a_transfer_that_never_answers_does_not_hold_the_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seconds at most."""
    monkeypatch.setattr("watchtower.departure.TRANSFER_S", 0.01)
    stage = Stage()

    async def stuck(to: str = "") -> str:
        await asyncio.Event().wait()
        return to

    stage.transfer = stuck  # type: ignore[method-assign] # that very one hangs
    run(stage, lambda departure: departure.leave())
    assert stage.departure.aside == "leaving"
