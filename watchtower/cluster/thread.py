"""The Raft thread: a private event loop that ticks the engine and serves the links, and does nothing else.

A busy or blocked application therefore never costs an election. It ticks on every message and at least
every 50 ms (every 250 ms without others). All of Raft is the engine's; here are only time, thread and wires.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

from watchtower.cluster.engine import Done, Engine
from watchtower.cluster.frames import Message
from watchtower.cluster.identity import disk_name
from watchtower.cluster.links import Links
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage, open_folder
from watchtower.cluster.trust import Trust
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.ports import Clock
from watchtower.core.settings import PeerSettings, Settings
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

TICK_S: Final = 0.05
TICK_ALONE_S: Final = 0.25
"""Without others there is no heartbeat and no election to be in time for; what is proposed ticks at once."""
_GAP_WINDOW_S: Final = 30.0
_HAND_OVER_S: Final = 0.5
_STOP_S: Final = 5.0

Told = Callable[[str], None]


class Raft(Protocol):
    """One peer's running Raft, as the door of the cluster uses it; `ticks` counts good ones."""

    ticks: int

    @property
    def status(self) -> ClusterStatus:
        """How Raft is, for display."""
        ...

    @property
    def is_alive(self) -> bool:
        """False when it has ended."""
        ...

    @property
    def tick_gap_s(self) -> float:
        """The longest time between two ticks of late."""
        ...

    def start(self, on_tick: Callable[[int], None], on_fault: Told) -> Future[None]:
        """Begin; done when this peer listens, or holds the ClusterError why it cannot."""
        ...

    def propose(self, text: str, done: Done) -> bool:
        """Propose one entry; False when Raft has ended."""
        ...

    def transfer(self, to: str, told: Told) -> bool:
        """Hand leadership over; `told` gets "" or why not. False when Raft has ended."""
        ...

    def relink(self, peers: tuple[PeerSettings, ...]) -> None:
        """Use these addresses from now on."""
        ...

    async def stop(self) -> None:
        """Hand leadership over, close everything and wait for the end."""
        ...


class RaftThread:
    """Runs one peer's engine. `on_tick` and `on_fault` are called in this thread.

    `status` and `ticks` (the number of good ticks) may be read from any thread.
    """

    def __init__(self, settings: Settings, clock: Clock, replica: Replica, new_id: Callable[[], str]) -> None:
        self._settings = settings
        self._clock = clock
        self._replica = replica
        self._new_id = new_id
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)
        self._gaps = _Gaps(clock)
        self._kicked = self._closed = False
        self._links: Links | None = None
        self.status = ClusterStatus()
        self.ticks = 0

    @property
    def is_alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    @property
    def tick_gap_s(self) -> float:
        """The longest time between two ticks of late, counting the one under way."""
        return self._gaps.worst_s

    def start(self, on_tick: Callable[[int], None], on_fault: Told) -> Future[None]:
        """Start; the future is done when this peer listens, or holds the ClusterError why it cannot."""
        self._on_tick, self._on_fault = on_tick, on_fault
        self._thread.start()
        return self._started

    def propose(self, text: str, done: Done) -> bool:
        """Propose one entry, from any thread. `done` is called in the Raft thread, or never.

        False when the thread has ended.
        """
        return self._in_loop(self._propose, text, done)

    def transfer(self, to: str, told: Told) -> bool:
        """Hand leadership to `to` (or whoever is furthest along); `told` gets "" or why not."""
        return self._in_loop(self._transfer, to, told)

    def relink(self, peers: tuple[PeerSettings, ...]) -> None:
        """Peers may have moved, come or gone: dial and accept by these addresses from now on."""
        if self._links is not None:
            self._in_loop(self._links.relink, peers)

    async def stop(self) -> None:
        """Hand leadership over, close everything and wait for the thread."""
        if self._started.done():
            self._in_loop(self._stopping.set)
        await asyncio.to_thread(self._thread.join, _STOP_S)

    def _in_loop(self, call: Callable[..., object], *arguments: object) -> bool:
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:  # the loop is closed
            return False
        return True

    # ---- in the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except ClusterError as error:
            self._report(error)
        except Exception as error:  # noqa: BLE001 - the root of the thread: its end must be told
            _log.exception("The Raft thread failed.")
            self._report(ClusterError(f"the Raft thread failed: {error}"))

    def _report(self, error: ClusterError) -> None:
        if self._started.done():
            self._on_fault(str(error))
        else:
            self._started.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        settings = self._settings
        folder = open_folder(settings.storage_path, settings.me)
        try:
            storage = Storage(
                folder.disk,
                cluster=settings.cluster.name,
                peer=settings.me,
                alone=len(settings.cluster.peers) == 1,
                new_id=self._new_disk_id,
            )
            await self._serve(storage)
        finally:
            folder.close()

    def _new_disk_id(self) -> str:
        return disk_name(self._clock.now().wall, self._new_id())

    async def _serve(self, storage: Storage) -> None:
        settings = self._settings
        if len(settings.cluster.peers) > 1:
            cluster, me = settings.cluster, settings.me
            trust = Trust(cluster=cluster.name, peer=me, secrets=cluster.secrets)
            self._links = Links(me, cluster.peers, trust, cluster.timing.connection_s)
        self._engine = Engine(settings, storage, self._replica, self._clock, self._send)
        try:
            await self._live()
        finally:
            if self._links is not None:
                await self._links.stop()
            self._closed = True
            self._engine.close()

    async def _live(self) -> None:
        """From the first tick, which replays what is on disk, until stopped or halted."""
        self._tick()
        if self._is_halted():
            raise ClusterError(self._replica.halted)
        if self._links is not None:
            await self._links.start(_Kicking(self._engine, self._kick))
        self._started.set_result(None)
        tick_s = TICK_S if self._links is not None else TICK_ALONE_S
        while not self._stopping.is_set() and not self._is_halted():
            self._tick()
            await self._pause(tick_s)
        if self._is_halted():
            self._on_fault(self._replica.halted)
            return
        await self._hand_over()

    def _is_halted(self) -> bool:
        return bool(self._replica.halted)

    async def _pause(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _hand_over(self) -> None:
        """Before a leader leaves, the next one begins; bounded, since nobody may be there to take over."""
        deadline = self._loop.time() + _HAND_OVER_S
        while self.status.role == "leader" and any(self.status.links.values()):
            if self._loop.time() > deadline:
                return
            self._engine.transfer()
            self._tick()
            await asyncio.sleep(TICK_S / 5)  # noqa: TID251 - ticks on while the successor is elected

    def _send(self, peer: str, message: Message) -> bool:
        return self._links is not None and self._links.send(peer, message)

    def _propose(self, text: str, done: Done) -> None:
        self._engine.propose(text, done)
        self._kick()
        if self._links is None:
            # Nobody's acknowledgement will bring the tick that commits what the first one appends.
            self._loop.call_soon(self._tick)

    def _transfer(self, to: str, told: Told) -> None:
        told(self._engine.transfer(to))
        self._kick()

    def _kick(self) -> None:
        """Tick soon: something arrived."""
        if not self._kicked:
            self._kicked = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._kicked = False
        self._gaps.note()
        if self._closed:
            return
        if self._links is not None:
            self._engine.rejected = self._links.rejected
        is_good = self._engine.tick()
        self.status = self._engine.status
        # A disk that takes nothing is a trouble of its own; the thread is alive all the same.
        if is_good or self.status.trouble:
            self.ticks += 1
        if is_good:
            self._on_tick(self.status.applied_index)


class _Kicking:
    """Passes what the links do to the engine, and has it ticked after it."""

    def __init__(self, engine: Engine, kick: Callable[[], None]) -> None:
        self._engine = engine
        self._kick = kick

    def connected(self, peer: str) -> None:
        self._engine.connected(peer)
        self._kick()

    def disconnected(self, peer: str) -> None:
        self._engine.disconnected(peer)
        self._kick()

    def received(self, peer: str, message: Message) -> None:
        self._engine.received(peer, message)
        self._kick()


class _Gaps:
    """The longest time between ticks in the current and the previous half minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = self._window = clock.now().boot
        self._current = self._previous = 0.0

    def note(self) -> None:
        """A tick begins."""
        now = self._clock.now().boot
        if now - self._window > _GAP_WINDOW_S:
            self._window, self._previous, self._current = now, self._current, 0.0
        self._current = max(self._current, now - self._last)
        self._last = now

    @property
    def worst_s(self) -> float:
        """Seconds; safe to read from any thread."""
        return max(self._current, self._previous, self._clock.now().boot - self._last)
