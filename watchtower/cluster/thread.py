"""The Raft thread: a private event loop that ticks pysyncobj and serves the links, and does nothing else.

A busy or blocked application therefore never costs an election. It ticks on every message and at least
every 50 ms. A tick that raises is logged and counted; a replica that halted is never ticked again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final

from watchtower.cluster.frames import Message
from watchtower.cluster.journal import Storage
from watchtower.cluster.library import Consensus
from watchtower.cluster.links import Links
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import SnapshotFile
from watchtower.cluster.transport import GuardTransport
from watchtower.cluster.trust import Trust
from watchtower.core.commands import Answer
from watchtower.core.model import ClusterStatus
from watchtower.core.ports import Clock
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

TICK_S: Final = 0.05
_GAP_WINDOW_S: Final = 30.0
_HAND_OVER_S: Final = 0.5
_ERRORS_PER_LINE: Final = 100

Done = Callable[[Answer | None], None]


class RaftThread:
    """Runs one peer's Raft. `on_tick` and `on_fault` are called in this thread.

    `status` and `ticks` (the number of good ticks) may be read from any thread.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        replica: Replica,
        *,
        on_tick: Callable[[int], None],
        on_fault: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._replica = replica
        self._on_tick = on_tick
        self._on_fault = on_fault
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="raft", daemon=True)
        self._gaps = _Gaps(clock)
        self._committed = 0
        self._committed_boot = clock.now().boot
        self._kicked = self._closed = False
        self._errors = 0
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

    def start(self) -> Future[None]:
        """Start; the future is done when this peer listens, or holds the ClusterError why it cannot."""
        self._thread.start()
        return self._started

    def propose(self, text: str, done: Done) -> bool:
        """Propose one entry, from any thread. `done` is called in the Raft thread, or never.

        False when the thread has ended.
        """
        try:
            self._loop.call_soon_threadsafe(self._propose, text, done)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """Hand leadership over, close everything and wait for the thread. Blocks; call it in an executor."""
        if self._started.done():
            with suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(timeout_s)

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
        cluster = self._settings.cluster
        storage = Storage(self._settings.storage_path, cluster=cluster.name, peer=self._settings.me)
        try:
            await self._serve(storage)
        finally:
            storage.close()

    async def _serve(self, storage: Storage) -> None:
        settings = self._settings
        partners = tuple(name for name in settings.cluster.peer_names if name != settings.me)
        self._links = self._make_links() if partners else None
        self._consensus = Consensus(
            me=settings.me,
            partners=partners,
            replica=self._replica,
            journal=storage.journal,
            snapshot_file=SnapshotFile(storage.snapshot, settings.cluster.name, self._replica),
            transport_class=partial(GuardTransport, send=self._send, is_halted=self._is_halted),
        )
        try:
            await self._live()
        finally:
            if self._links is not None:
                await self._links.stop()
            self._closed = True
            self._consensus.close()

    def _make_links(self) -> Links:
        cluster, me = self._settings.cluster, self._settings.me
        return Links(me, cluster.peers, Trust(cluster=cluster.name, peer=me, secrets=cluster.secrets))

    async def _live(self) -> None:
        """From the first tick, which replays what is on disk, until stopped or halted."""
        self._tick()
        if self._is_halted():
            raise ClusterError(self._replica.halted)
        if self._links is None:
            # Nobody to wait for.
            self._consensus.deadline.expire()
            self._tick()
        else:
            await self._links.start(_Kicking(self._consensus.transport, self._kick))
        self._started.set_result(None)
        while not self._stopping.is_set() and not self._is_halted():
            self._tick()
            await self._pause(TICK_S)
        if self._is_halted():
            self._on_fault(self._replica.halted)
            return
        await self._hand_over()

    async def _pause(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._stopping.wait()
        except TimeoutError:
            return

    async def _hand_over(self) -> None:
        """Before a leader leaves, the next one begins; bounded, since nobody may be there to take over."""
        if self._consensus.role != "leader" or not any(self.status.links.values()):
            return
        deadline = self._loop.time() + _HAND_OVER_S
        self._consensus.hand_over()
        while self._consensus.role == "leader" and self._loop.time() < deadline:
            self._tick()
            await asyncio.sleep(TICK_S / 5)  # noqa: TID251 - ticks on while the successor is elected

    def _is_halted(self) -> bool:
        return bool(self._replica.halted)

    def _send(self, peer: str, message: Message) -> bool:
        return self._links is not None and self._links.send(peer, message)

    def _propose(self, text: str, done: Done) -> None:
        self._consensus.propose(text, done)
        self._kick()
        if self._links is None:
            # Nobody's acknowledgement will bring the tick that commits what the first one appends.
            self._loop.call_soon(self._tick)

    def _kick(self) -> None:
        """Tick soon: something arrived."""
        if not self._kicked:
            self._kicked = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._kicked = False
        self._gaps.note()
        if self._is_halted() or self._closed:
            return
        try:
            self._consensus.tick()
        except Exception:  # noqa: BLE001 - the root of a tick: pysyncobj goes on with the next one
            if self._is_halted():
                return
            self._errors += 1
            if self._errors % _ERRORS_PER_LINE == 1:
                _log.exception("A Raft tick failed (%d so far).", self._errors)
            return
        self.ticks += 1
        self.status = self._look()
        self._on_tick(self.status.applied_index)

    def _look(self) -> ClusterStatus:
        consensus, links = self._consensus, self._links
        commit_index = consensus.commit_index
        if commit_index != self._committed:
            self._committed, self._committed_boot = commit_index, self._clock.now().boot
        return ClusterStatus(
            role=consensus.role,
            leader=consensus.leader,
            term=consensus.term,
            commit_index=commit_index,
            applied_index=consensus.applied_index,
            links=links.up if links is not None else {},
            tick_errors=self._errors + self._replica.failures,
            rejected_connections=links.rejected if links is not None else 0,
            last_commit_age_s=self._clock.now().boot - self._committed_boot,
            # The first entry is written by every peer alone; a second one only a leader commits.
            had_quorum=commit_index > 1 or consensus.applied_index > 1,
        )


class _Kicking:
    """Passes what the links do to the transport, and has pysyncobj ticked after it."""

    def __init__(self, transport: GuardTransport, kick: Callable[[], None]) -> None:
        self._transport = transport
        self._kick = kick

    def connected(self, peer: str) -> None:
        self._transport.connected(peer)
        self._kick()

    def disconnected(self, peer: str) -> None:
        self._transport.disconnected(peer)
        self._kick()

    def received(self, peer: str, message: Message) -> None:
        self._transport.received(peer, message)
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
