"""The Raft of one simulated process: the real engine, ticked by the world instead of by a thread.

Stands in for cluster.thread.RaftThread. What arrives waits in an inbox while the process is paused or its
disk is slow, and is taken in order, with one tick after it; without anything to take it ticks every 50 ms.
Time spent on the disk passes for this peer's Raft alone: what it says meanwhile leaves later.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, Protocol

from simulation.clocks import HostClock
from simulation.loop import Timeline
from simulation.network import Network
from support.sim_disk import SimCrash

from watchtower.cluster import frames
from watchtower.cluster.engine import Done, Engine
from watchtower.cluster.frames import FrameError, Message
from watchtower.cluster.thread import TICK_S, Told
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer
from watchtower.core.model import Instant
from watchtower.core.settings import PeerSettings
from watchtower.errors import ClusterError

HAND_OVER_S: Final = 0.5

MakeEngine = Callable[["RaftTime", Callable[[str, Message], bool]], Engine]


class Life(Protocol):
    """What the Raft of a process needs of that process."""

    name: str
    is_dead: bool
    is_paused: bool

    def note(self, what: str) -> None:
        """A line for the trace."""

    def proposed(self, text: str) -> None:
        """An entry goes to Raft."""

    def acked(self, text: str, answer: Answer) -> None:
        """A proposal was answered."""

    def quorum(self, *, has_quorum: bool) -> None:
        """Whether it sees a leader and a majority."""

    @property
    def has_power(self) -> bool:
        """False when its disk says that the machine is off."""
        ...

    def crashed_in_write(self) -> None:
        """The disk says that the process was killed."""


class RaftTime:
    """The host's clocks as its Raft sees them: `lag_s` ahead of the world while its disk keeps it waiting."""

    def __init__(self, time: Timeline, clock: HostClock) -> None:
        self._time = time
        self._clock = clock
        self.busy_until = 0.0

    @property
    def true(self) -> float:
        """The true time that it is for this Raft."""
        return max(self._time.now, self.busy_until)

    def pass_time(self, seconds: float) -> None:
        """The disk has kept this Raft waiting."""
        self.busy_until = self.true + seconds

    def now(self) -> Instant:
        """Both clocks."""
        return self._clock.at(self.true)

    def boot(self) -> float:
        """Boot seconds, which is what pysyncobj runs on."""
        return self._clock.boot_at(self.true)


class Running:
    """Whose code is running just now: pysyncobj asks one clock per process, and here are many peers."""

    time: RaftTime | None = None

    @classmethod
    def now_s(cls) -> float:
        """The clock of the Raft that is running."""
        assert cls.time is not None
        return cls.time.boot()


class SimRaft:
    """One peer's running Raft. `start` opens the disk, `stop` hands over; `kill` just ends it."""

    def __init__(
        self, life: Life, time: Timeline, clock: HostClock, network: Network, make_engine: MakeEngine
    ) -> None:
        self._life = life
        self._time = time
        self._network = network
        self._make_engine = make_engine
        self.clock = RaftTime(time, clock)
        self._host_clock = clock
        self._inbox: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._answers: list[tuple[Done, Answer | None]] = []
        self._is_called = False
        self._ticked_at = 0.0
        self._engine: Engine | None = None
        self._on_tick: Callable[[int], None] = lambda _index: None
        self._on_fault: Told = lambda _reason: None
        self.status = ClusterStatus()
        self.ticks = 0
        self.inbox_max = 0

    @property
    def engine(self) -> Engine:
        """The engine, once started."""
        assert self._engine is not None
        return self._engine

    @property
    def is_started(self) -> bool:
        """True while the engine runs."""
        return self._engine is not None

    # ---- what Cluster calls

    @property
    def is_alive(self) -> bool:
        """False when it has ended."""
        return self._engine is not None

    @property
    def tick_gap_s(self) -> float:
        """Of no use to anybody here."""
        return 0.0

    def start(self, on_tick: Callable[[int], None], on_fault: Told) -> Future[None]:
        """Replay what is on the disk, then listen."""
        self._on_tick, self._on_fault = on_tick, on_fault
        started: Future[None] = Future()
        Running.time = self.clock
        try:
            engine = self._make_engine(self.clock, self._send)
        except ClusterError as error:
            started.set_exception(error)
            return started
        self._engine = engine
        self._tick()
        if engine.replica.halted:
            self._engine = None
            started.set_exception(ClusterError(engine.replica.halted))
            return started
        self._network.attach(self._life.name, self)
        self._time.after(TICK_S, self._timer)
        started.set_result(None)
        return started

    def propose(self, text: str, done: Done) -> bool:
        """Propose one entry."""
        if self._engine is None or self._life.is_dead:
            return False
        self._life.proposed(text)
        self._put(self._propose, text, done)
        return True

    def transfer(self, to: str, told: Told) -> bool:
        """Hand leadership over."""
        if self._engine is None or self._life.is_dead:
            return False
        self._put(lambda: told(self.engine.transfer(to)))
        return True

    def relink(self, peers: tuple[PeerSettings, ...]) -> None:
        """Names are addresses here."""

    async def stop(self) -> None:
        """Hand leadership over, then close everything."""
        if self._engine is None or self._life.is_dead:
            return
        deadline = self._time.now + HAND_OVER_S
        while self.status.role == "leader" and any(self.status.links.values()) and self._time.now < deadline:
            self._put(self.engine.transfer)
            await asyncio.sleep(TICK_S / 5)  # noqa: TID251 - ticks on while the successor is elected
        # Meanwhile it may have been killed.
        engine = self._engine
        if engine is not None:
            self._network.detach(self._life.name)
            Running.time = self.clock
            engine.close()
            self._engine = None

    def compact(self) -> None:
        """Write a snapshot and shorten the log."""
        self._put(self.engine.compact)

    def kill(self) -> None:
        """The process is gone."""
        if self._network.ports.get(self._life.name) is self:
            self._network.detach(self._life.name)
        self._engine = None
        self._inbox.clear()

    # ---- what the network calls

    @property
    def answers(self) -> bool:
        """False while paused."""
        return not self._life.is_paused

    def opened(self, peer: str) -> None:
        """A link to `peer` is up."""
        self._life.note(f"link to {peer} up")
        self._put(self.engine.connected, peer)

    def closed(self, peer: str) -> None:
        """The link to `peer` is gone."""
        self._life.note(f"link to {peer} down")
        self._put(self.engine.disconnected, peer)

    def arrived(self, peer: str, frame: bytes) -> None:
        """`peer` sent `frame`."""
        self._put(self._take, peer, frame)

    # ---- the turns

    def _put(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._inbox.append((call, arguments))
        self.inbox_max = max(self.inbox_max, len(self._inbox))
        self.call()

    def call(self) -> None:
        """Take a turn as soon as it can be taken."""
        if not self._is_called and not self._life.is_paused:
            self._is_called = True
            self._time.at(self.clock.busy_until, self._turn)

    def _timer(self) -> None:
        if self._engine is None:
            return
        due = self._ticked_at + TICK_S / self._host_clock.rate
        if self._time.now + 1e-6 >= due:
            self.call()
            due = self._time.now + TICK_S
        self._time.at(due, self._timer)

    def _turn(self) -> None:
        """Take everything that has arrived, then tick once."""
        self._is_called = False
        if self._engine is None or self._life.is_paused:
            return
        if self.clock.busy_until > self._time.now:
            self.call()
            return
        Running.time = self.clock
        try:
            while self._inbox:
                call, arguments = self._inbox.popleft()
                call(*arguments)
            self._tick()
        except SimCrash:
            pass
        if not self._life.has_power:
            self._life.crashed_in_write()

    def _tick(self) -> None:
        engine = self.engine
        is_good = engine.tick()
        self._ticked_at = self.clock.true
        answers, self._answers = self._answers, []
        if self.clock.busy_until > self._time.now:
            # Nobody sees what this tick did before the disk has let it go on.
            self._time.at(self.clock.busy_until, self._tell, is_good, answers)
        else:
            self._tell(is_good, answers)

    def _tell(self, is_good: bool, answers: list[tuple[Done, Answer | None]]) -> None:
        engine = self._engine
        if engine is None or self._life.is_dead:
            return
        self.status = engine.status
        self._life.quorum(has_quorum=self.status.has_quorum)
        for done, answer in answers:
            done(answer)
        if is_good or self.status.trouble:
            self.ticks += 1
        if is_good:
            self._on_tick(self.status.applied_index)
        if engine.replica.halted:
            self._on_fault(engine.replica.halted)

    def _propose(self, text: str, done: Done) -> None:
        def answered(answer: Answer | None) -> None:
            if answer is not None:
                self._life.acked(text, answer)
            self._answers.append((done, answer))

        self.engine.propose(text, answered)

    def _take(self, peer: str, frame: bytes) -> None:
        try:
            message = frames.decode(frame)
        except FrameError as error:
            raise AssertionError(f"{peer} sent a frame that {self._life.name} refuses: {error}") from error
        self.engine.received(peer, message)

    def _send(self, peer: str, message: Message) -> bool:
        if not self._network.is_open(self._life.name, peer):
            return False
        return self._network.send(self._life.name, peer, frames.encode(message), self.clock.true)
