"""The parts of the simulation by themselves: time, wires, plans and the shrinking of plans."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from msgspec.structs import replace
from simulation.clocks import HostClock
from simulation.faults import KINDS, Draw, Fault, Plan, draw_plan, names, parse
from simulation.loop import PeerLoop, Timeline
from simulation.network import Network
from simulation.outcome import Outcome
from simulation.shrink import smallest
from simulation.verdict import Objection


def loop_of(time: Timeline, rate: float = 1.0) -> PeerLoop:
    """A loop on a clock of its own, stepped by `time`."""
    loop = PeerLoop(HostClock(time, 100.0, rate))  # type: ignore[abstract] # whatever has to do with sockets
    time.loops.append(loop)
    return loop


def test_time_jumps_to_what_is_next() -> None:
    """An hour of waiting takes no time, and nothing is left to do at its end."""
    time, woke = Timeline(), []

    async def wait() -> None:
        await asyncio.sleep(3600.0)  # noqa: TID251 - virtual seconds
        woke.append(time.now)

    loop_of(time).create_task(wait())
    time.run(10_000.0)
    assert woke == [pytest.approx(3600.0)]
    assert time.is_idle


def test_a_fast_clock_wakes_early_and_a_paused_loop_late() -> None:
    """Timers go by their host's clock; a paused process wakes when it goes on."""
    time, woke = Timeline(), []
    fast, paused = loop_of(time, 2.0), loop_of(time)
    fast.call_later(10.0, lambda: woke.append(("fast", time.now)))
    paused.call_later(10.0, lambda: woke.append(("paused", time.now)))
    paused.is_paused = True
    time.at(20.0, lambda: setattr(paused, "is_paused", False))
    time.run(30.0)
    assert [who for who, _ in woke] == ["fast", "paused"]
    assert [when for _, when in woke] == pytest.approx([5.0, 20.0])


def test_a_buried_loop_leaves_nothing() -> None:
    """A crash ends every task, also one that waits while it cleans up."""
    time = Timeline()
    loop, ended = loop_of(time), []

    async def stubborn() -> None:
        try:
            await asyncio.sleep(10.0)  # noqa: TID251 - virtual seconds
        finally:
            ended.append(time.now)
            await asyncio.sleep(10.0)  # noqa: TID251 - virtual seconds

    loop.create_task(stubborn())
    time.run(1.0)
    loop.bury()
    assert ended == [1.0]
    assert loop.load == (0, 0)


class Ear:
    """A process that notes what its links do."""

    answers = True

    def __init__(self) -> None:
        self.heard: list[str] = []

    def opened(self, peer: str) -> None:
        """Note it."""
        self.heard.append(f"up {peer}")

    def closed(self, peer: str) -> None:
        """Note it."""
        self.heard.append(f"down {peer}")

    def arrived(self, peer: str, frame: bytes) -> None:
        """Note it."""
        self.heard.append(frame.decode())


def linked() -> tuple[Timeline, Network, Ear, Ear]:
    """Two processes with a link between them."""
    time = Timeline()
    network = Network(time, Random(1), ("a", "b"))  # noqa: S311 - repeatable luck
    one, other = Ear(), Ear()
    network.attach("a", one)
    network.attach("b", other)
    time.run(1.0)
    assert (one.heard, other.heard) == (["up b"], ["up a"])
    return time, network, one, other


def test_a_short_cut_only_delays() -> None:
    """What is sent while a way is cut arrives in order once it is open again, over the same link."""
    time, network, _, other = linked()
    network.cut("a", "b")
    for word in (b"one", b"two"):
        network.send("a", "b", word, time.now)
    time.run(time.now + 0.5)
    assert other.heard == ["up a"]
    network.mend("a", "b")
    time.run(time.now + 0.5)
    assert other.heard == ["up a", "one", "two"]


def test_a_long_cut_ends_the_link_and_loses_what_was_held() -> None:
    """After two seconds of silence the link is given up; a new one comes without the old bytes."""
    time, network, one, other = linked()
    for way in (("a", "b"), ("b", "a")):
        network.cut(*way)
    network.send("a", "b", b"lost", time.now)
    time.run(time.now + 3.0)
    assert other.heard == ["up a", "down a"]
    for way in (("a", "b"), ("b", "a")):
        network.mend(*way)
    time.run(time.now + 4.0)
    assert other.heard == ["up a", "down a", "up a"]
    assert one.heard == ["up b", "down b", "up b"]


def test_a_dead_process_is_noticed_after_its_last_words() -> None:
    """What a process sent before it died arrives, then its link is down."""
    time, network, _, other = linked()
    network.send("a", "b", b"last words", time.now)
    network.detach("a")
    time.run(time.now + 1.0)
    assert other.heard == ["up a", "last words", "down a"]


def test_a_plan_is_read_as_it_was_written() -> None:
    """Every kind of fault survives its line of text."""
    draw = Draw(Random(5), names(3))  # noqa: S311 - repeatable luck
    faults = tuple(draw.kind(kind, 10.0) for kind in sorted(KINDS))
    plan = Plan(seed=5, peers=3, faults=faults, expects="voice", without=("no-lanes",))
    read = parse(plan.text())
    assert read == replace(plan, faults=tuple(rounded(fault) for fault in faults))


def rounded(fault: Fault) -> Fault:
    """The fault as its line shows it."""
    return replace(fault, for_s=float(f"{fault.for_s:.2f}"), much=float(f"{fault.much:g}"))


def test_a_plan_is_drawn_alike_each_time() -> None:
    """The plan of a seed is the same, and that of another is not."""
    assert draw_plan(7, 3) == draw_plan(7, 3)
    assert draw_plan(7, 3) != draw_plan(8, 3)


def test_shrinking_keeps_what_the_failure_needs() -> None:
    """Of eight faults the two that matter are left, and no longer than they must be."""
    kinds = ("pause", "crash", "reset", "wipe", "ring", "deaf", "mute", "fail")
    faults = tuple(Fault(at=float(at), kind=kind, for_s=8.0) for at, kind in enumerate(kinds))

    def run(plan: Plan) -> Outcome:
        long = {fault.kind for fault in plan.faults if fault.for_s >= 4.0}
        found = [Objection("lease", "two")] if {"wipe", "mute"} <= long else []
        return Outcome(plan=plan, level="raft", objections=found, trace_hash="", cpu_s=0.0)

    plan = smallest(Plan(seed=1, peers=3, faults=faults), "lease", run)
    assert [(fault.kind, fault.for_s) for fault in plan.faults] == [("wipe", 4.0), ("mute", 4.0)]
    assert plan.expects == "lease"
