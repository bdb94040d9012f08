"""The second level: the same world on an ideal log instead of Raft, many times faster.

Peer, lease, courier, decide, faults and checkers are the same; only Raft is replaced by one total order
that every peer applies a prefix of, at its own pace. What is proposed may be late, lost or doubled, and its
answer may never come. Loops look less often than in life, which only makes more of every race.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Final

import msgspec
from simulation import outcome
from simulation.faults import IDEAL_FAULTS_S, Plan, draw_plan
from simulation.outcome import Outcome
from simulation.process import Life
from simulation.replay import Replay
from simulation.world import World

from watchtower import peer, speaking
from watchtower.cluster.engine import Done
from watchtower.cluster.thread import Told
from watchtower.core import ledger
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, decode
from watchtower.core.model import State
from watchtower.core.settings import PeerSettings
from watchtower.probes.pace import schedule, scheduler

PACE: Final = (
    (peer, "PASS_EVERY_S", 1.5),
    (peer, "REPORT_LOOK_EVERY_S", 2.0),
    (peer, "GROUP_COMMIT_S", 0.3),
    (speaking, "BLIND_LOOK_EVERY_S", 3.0),
    (peer, "LAG_LOOK_EVERY_S", 3.0),
    (scheduler, "WAKE_AT_LEAST_S", 3.0),
    (schedule, "SLOT_S_MIN", 0.2),
    (schedule, "SLOT_S_MAX", 0.2),
)
"""Whose pace is slower here, and what it is."""

SLOWER_S: Final = 4.0
LOST: Final = 0.03
DOUBLED: Final = 0.03
LATE: Final = 0.05
UNANSWERED: Final = 0.03


class Record(msgspec.Struct, frozen=True):
    """One place of the log: the entry, the state after it, what it answered."""

    text: str
    state: State
    answer: Answer


class IdealLog:
    """The one log of the cluster. A peer takes part while it reaches a majority."""

    def __init__(self, world: IdealWorld, random: Random) -> None:
        self._world = world
        self._random = random
        self.records: list[Record] = []
        self.rafts: dict[str, IdealRaft] = {}

    def propose(self, raft: IdealRaft, text: str, done: Done) -> None:
        """On its way into the log, or not."""
        dice = self._random.random()
        if dice < LOST and self._world.is_troubled:
            return
        wait_s = self._random.uniform(0.0005, 0.01) + raft.lag_s
        if dice > 1.0 - LATE and self._world.is_troubled:
            wait_s += self._random.uniform(0.1, 4.0)
        self._world.time.after(wait_s, self._append, raft, text, done)
        if LOST < dice < LOST + DOUBLED and self._world.is_troubled:
            self._world.time.after(wait_s + self._random.uniform(0.0, 3.0), self._append, raft, text, None)

    def _append(self, raft: IdealRaft, text: str, done: Done | None) -> None:
        if not raft.has_quorum:
            return
        before = self.records[-1].state if self.records else State()
        entry = decode(text)
        after, answer = ledger.apply(before, entry)
        self.records.append(Record(text, after, answer))
        self._world.history.applied(raft.life.id, after.entries, entry, ok=answer.ok)
        if done is not None and (self._random.random() >= UNANSWERED or not self._world.is_troubled):
            raft.waiting[len(self.records)] = done, text
        for other in self.rafts.values():
            other.follow(self._random.uniform(0.0005, 0.02))


class IdealRaft:
    """One peer's view of the ideal log; stands in for SimRaft."""

    def __init__(self, life: Life, world: IdealWorld) -> None:
        self.life = life
        self._world = world
        self._log = world.log
        self._random = world.log_random
        self._is_started = self._is_following = False
        self._on_tick: Callable[[int], None] = lambda _index: None
        self.index = 0
        self.lag_s = 0.0
        self.waiting: dict[int, tuple[Done, str]] = {}
        self.status = ClusterStatus()
        self.ticks = 0
        self.inbox_max = 0

    # ---- what Cluster and Life call

    @property
    def is_started(self) -> bool:
        """True while it runs."""
        return self._is_started

    is_alive = is_started
    tick_gap_s = 0.0

    def start(self, on_tick: Callable[[int], None], on_fault: Told) -> Future[None]:
        """Begin with what this host held, or a little less: the rest is replayed."""
        self._on_tick = on_tick
        host = self.life.host
        self.index = 0 if host.is_without_memory else max(0, host.index - self._random.choice((0, 0, 1, 5)))
        self._is_started = True
        self._log.rafts[self.life.name] = self
        self._show()
        self.look()
        started: Future[None] = Future()
        started.set_result(None)
        return started

    def propose(self, text: str, done: Done) -> bool:
        """Propose one entry."""
        if not self._is_started or self.life.is_dead:
            return False
        self.life.proposed(text)
        self._log.propose(self, text, done)
        return True

    def transfer(self, to: str, told: Told) -> bool:
        """There is no leader to hand over."""
        self.life.loop.call_soon(told, "")
        return True

    def relink(self, peers: tuple[PeerSettings, ...]) -> None:
        """Names are addresses here."""

    async def stop(self) -> None:
        """Take part no more."""
        self.kill()

    def kill(self) -> None:
        """The process is gone."""
        self._is_started = False
        if self._log.rafts.get(self.life.name) is self:
            del self._log.rafts[self.life.name]

    def compact(self) -> None:
        """There is nothing to compact."""

    def call(self) -> None:
        """The process goes on after a pause."""
        self.follow(0.0)

    # ---- following the log

    @property
    def has_quorum(self) -> bool:
        """Whether this peer reaches a majority of living peers, both ways, and its disk takes anything."""
        if (
            not self._is_started
            or self.life.is_paused
            or self.life.host.disk.full
            or self.life.host.disk.sync_error
        ):
            return False
        return 2 * (1 + sum(self._links().values())) > len(self._world.peers)

    def _links(self) -> dict[str, bool]:
        return {
            other: self._world.is_linked(self.life.name, other)
            for other in self._world.peers
            if other != self.life.name
        }

    def look(self) -> None:
        """Once a second: the status, and whatever was missed."""
        if not self._is_started:
            return
        self._world.time.after(1.0, self.look)
        if self.life.is_paused:
            return
        links = self._links()
        leader = min([self.life.name, *(name for name, is_up in links.items() if is_up)])
        has_quorum = self.has_quorum
        self.status = ClusterStatus(
            role="leader" if has_quorum and leader == self.life.name else "follower",
            leader=leader if has_quorum else "",
            term=1,
            commit_index=self.index + 1,
            applied_index=self.index + 1,
            links=links,
            had_quorum=True,
        )
        self.lag_s = self.life.host.slow_s + self._world.delay_of(self.life.name)
        self.life.quorum(has_quorum=self.status.has_quorum)
        self.ticks += 6
        self.follow(0.0)

    def follow(self, in_s: float) -> None:
        """Apply what is new, in a moment."""
        if not self._is_following:
            self._is_following = True
            lag_s = self.lag_s + (self._random.random() < LATE) * self._random.uniform(0.0, 1.5)
            self._world.time.after(in_s + lag_s, self._apply)

    def _apply(self) -> None:
        self._is_following = False
        if not self.has_quorum:
            return
        newest = len(self._log.records)
        is_new = newest > self.index
        while self.index < newest:
            self.index += 1
            waiting = self.waiting.pop(self.index, None)
            if waiting is not None:
                done, text = waiting
                self.life.acked(text, self._log.records[self.index - 1].answer)
                done(self._log.records[self.index - 1].answer)
        self.life.host.index = self.index
        if is_new:
            self._show()
        self.ticks += 1
        self._on_tick(self.index)

    def _show(self) -> None:
        if self.index:
            self.life.replica.state = self._log.records[self.index - 1].state


class IdealWorld(World):
    """The world on an ideal log: half a minute of faults, and three quarters of one to come to rest."""

    faults_s = IDEAL_FAULTS_S
    healing_s = 46.0
    calm_s = 22.0
    calm_lasts_s = 10.0

    def __init__(self, plan: Plan, *, keeps_trace: bool = False) -> None:
        super().__init__(plan, keeps_trace=keeps_trace)
        self.history.slower_s = SLOWER_S
        self.log_random = self._random("log")
        self.log = IdealLog(self, self.log_random)

    def make_raft(self, life: Life) -> Any:
        """No Raft."""
        return IdealRaft(life, self)

    @property
    def is_troubled(self) -> bool:
        """Until the healing."""
        return not self.history.healed_at

    def is_linked(self, me: str, other: str) -> bool:
        """Whether they reach one another, both ways."""
        raft = self.log.rafts.get(other)
        is_cut = self.network.is_cut(me, other) or self.network.is_cut(other, me)
        return raft is not None and not raft.life.is_paused and not is_cut and not raft.life.host.disk.full

    def delay_of(self, name: str) -> float:
        """How late what this peer says and hears is."""
        return max(self.network.delay(name, other) for other in self.peers if other != name)


@contextmanager
def paced() -> Iterator[None]:
    """The loops of the peers look less often within the block."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in PACE]
    for owner, name, value in PACE:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def run(plan: Plan, *, keeps_trace: bool = False) -> Outcome:
    """Run a plan on the ideal log and judge it."""
    began = time.process_time()
    with ExitStack() as stack:
        stack.enter_context(paced())
        for name in plan.without:
            stack.enter_context(outcome.RULES[name].applied())
        history = IdealWorld(plan, keeps_trace=keeps_trace).run()
        result = outcome.told(plan, "ideal", history, Replay(history))
    result.cpu_s = time.process_time() - began
    return result


def run_seed(seed: int) -> Outcome:
    """One seed of three peers. Called in a worker process."""
    return run(draw_plan(seed, 3, "ideal"))
