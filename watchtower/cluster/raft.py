"""The door of the cluster for the application: submit a command, read the applied State, ask how Raft is.

Runs in the application's loop; Raft runs elsewhere (thread.RaftThread), and only immutable values cross. A
submit that times out, meets no leader or loses its leader is answered None: its fate is not known, and
only applied State tells. Whatever can no longer be a faithful replica calls `on_fatal` once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Final

import msgspec

from watchtower.clock import to_beat
from watchtower.cluster import backup
from watchtower.cluster.replica import Replica
from watchtower.cluster.thread import Raft
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, Command, Entry, encode
from watchtower.core.model import Checkpoint, State
from watchtower.core.settings import Settings

_log = logging.getLogger(__name__)

_TRANSFER_S: Final = 2.0
_LOOK_S: Final = 0.5
_STUCK_LOOKS: Final = 10
"""So many looks without one good tick in between, 5 s, and Raft counts as dead."""

Fate = asyncio.Future[Answer | None]


class Cluster:
    """One peer's part in the replicated log.

    `replica` is the one that `raft` applies entries to. `on_applied(state, index)` is called in the
    application's loop after entries were applied, with the latest state only. `on_fatal(reason)` is called
    there at most once; the process must then end.
    """

    def __init__(
        self,
        settings: Settings,
        boot_id: str,
        raft: Raft,
        replica: Replica,
        *,
        on_applied: Callable[[State, int], None],
        on_fatal: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._boot_id = boot_id
        self._on_applied = on_applied
        self._on_fatal = on_fatal
        self._replica = replica
        self._raft = raft
        self._numbers = count(1)
        self._applied = (State(), 0)
        self._told = 0
        self._delivering = False
        self._answered: list[tuple[Fate, Answer | None]] = []
        self._settled: deque[tuple[Fate, Answer | None]] = deque()
        self._fatal = ""
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def state(self) -> State:
        """The latest applied state; immutable."""
        return self._applied[0]

    @property
    def session(self) -> int:
        """This process's session in the applied state; 0 until its join is applied."""
        row = self.state.row(self._settings.me)
        return row.session if row.boot_id == self._boot_id else 0

    def status(self) -> ClusterStatus:
        """What this peer knows of Raft: for display, never for decisions."""
        return msgspec.structs.replace(self._raft.status, tick_gap_s=self._raft.tick_gap_s)

    async def start(self) -> None:
        """Replay what is on disk, then listen. Raises ClusterError when this peer cannot take part."""
        self._loop = asyncio.get_running_loop()
        await asyncio.wrap_future(self._raft.start(self._ticked, self._faulted))
        self._deliver()
        self._watchdog = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Hand leadership over and close everything; what is still waiting runs into its own timeout."""
        if self._watchdog is not None:
            self._watchdog.cancel()
            await asyncio.gather(self._watchdog, return_exceptions=True)
        await self._raft.stop()
        self._deliver()

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """The answer once the entry is applied here and visible in `state`; None when its fate is unknown.

        Raises ValueError for a command longer than commands.ENTRY_BYTES_MAX, and for nothing else.
        """
        entry = Entry(
            v=self.state.gate,
            by=self._settings.me,
            boot=self._boot_id,
            seq=next(self._numbers),
            session=self.session,
            command=command,
        )
        text = encode(entry)
        fate: Fate = self._loop.create_future()
        if not self._raft.propose(text, partial(self._settle, fate)):
            return None
        try:
            async with asyncio.timeout(timeout_s):
                return await fate
        except TimeoutError:
            return None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The latest hash of the state that this peer has made; None before the first."""
        return self._replica.checkpoint

    async def transfer(self, to: str = "") -> str:
        """Hand Raft leadership to `to`, or to whoever is furthest along. "" or why not."""
        answer: asyncio.Future[str] = self._loop.create_future()

        def told(reason: str) -> None:
            self._in_app_loop(lambda: None if answer.done() else answer.set_result(reason))

        if not self._raft.transfer(to, told):
            return "Raft has ended"
        try:
            async with asyncio.timeout(_TRANSFER_S):
                return await answer
        except TimeoutError:
            return "Raft did not answer in time"

    async def backup(self) -> bytes:
        """The applied state, as `watchtower cluster restore` reads it."""
        return backup.encode(self.state)

    def reload(self, settings: Settings) -> None:
        """Take new addresses of the peers; a member that the file no longer names keeps its old one."""
        known, new = self._settings.cluster.peers, settings.cluster.peers
        kept = [peer for peer in known if peer.name not in settings.cluster.peer_names]
        self._settings = settings
        self._raft.relink((*new, *(peer for peer in kept if peer.name in self.state.members)))

    # ---- called in the Raft thread

    def _settle(self, fate: Fate, answer: Answer | None) -> None:
        """Keep an answer until the tick that made its state is over; "not known" needs no state."""
        if answer is not None:
            self._answered.append((fate, answer))
            return
        self._settled.append((fate, None))
        self._call_deliver()

    def _ticked(self, index: int) -> None:
        state = self._replica.state
        if state is not self._applied[0] or index != self._applied[1]:
            self._refuse_foreign(state)
            self._applied = (state, index)
        self._settled.extend(self._answered)
        self._answered.clear()
        if self._settled or index != self._told:
            self._call_deliver()

    def _call_deliver(self) -> None:
        if not self._delivering:
            self._delivering = True
            self._in_app_loop(self._deliver)

    def _refuse_foreign(self, state: State) -> None:
        """Peers of different clusters must never count each other."""
        mine = self._settings.cluster
        if state.members and state.cluster != mine.name:
            self._replica.halt(
                f"the ledger was founded for cluster {state.cluster!r}; this configuration has cluster "
                f"{mine.name!r}: correct the file, or give this peer another `storage.path`"
            )

    def _faulted(self, reason: str) -> None:
        self._in_app_loop(partial(self._end, reason))

    def _in_app_loop(self, call: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            _log.debug("The application's loop has ended before the Raft thread.")

    # ---- called in the application's loop

    def _deliver(self) -> None:
        """Tell of the latest state, then answer those who wait."""
        self._delivering = False
        state, index = self._applied
        try:
            if index != self._told:
                self._told = index
                self._on_applied(state, index)
        finally:  # whoever waits is answered even when a listener fails
            while self._settled:
                fate, answer = self._settled.popleft()
                if not fate.done():
                    fate.set_result(answer)

    def _end(self, reason: str) -> None:
        if not self._fatal:
            self._fatal = reason
            _log.critical("This peer cannot go on: %s.", reason)
            self._on_fatal(reason)

    async def _watch(self) -> None:
        """The watchdog. It counts its own looks, so a machine that slept does not look like a dead thread."""
        ticks, stuck = -1, 0
        while not self._fatal:
            await asyncio.sleep(to_beat(self._loop.time(), _LOOK_S))  # noqa: TID251 - the watchdog paces itself
            stuck = stuck + 1 if self._raft.ticks == ticks else 0
            ticks = self._raft.ticks
            if not self._raft.is_alive:
                self._end("the Raft thread has ended")
            elif stuck >= _STUCK_LOOKS:
                self._end(f"Raft has made no progress for {_STUCK_LOOKS * _LOOK_S:.0f} s")
