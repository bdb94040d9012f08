"""History as the peer holds it: results in, answers out; one thread between them and the file.

The loop only appends to a bounded queue; when that is full, samples are dropped and counted. The thread
packs, rolls up and writes about once a second, and at once when a service is found otherwise than before.
A disk that takes nothing pauses it, a damaged file is set aside and begun anew; either is said, neither
is raised.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

from msgspec.structs import replace

from watchtower.core.model import Result
from watchtower.core.ports import Clock
from watchtower.core.samples import Figures, HistoryStats, SamplePage, Transition
from watchtower.core.settings import Service, Settings
from watchtower.errors import HistoryError
from watchtower.history import reading
from watchtower.history.file import BYTES_MAX, DAYS, HOURS, HistoryFile, Known, Unusable, Work
from watchtower.history.packing import SAMPLE_BYTES
from watchtower.history.rollup import figures
from watchtower.history.tally import Bucket, Chunk, Tally

log = logging.getLogger(__name__)

FILE: Final = Path("history") / "samples.sqlite3"
"""Below the peer's folder, in a folder of its own: nothing that Raft must not find among its files."""
ASIDE: Final = "samples.damaged.sqlite3"
QUEUE_MAX: Final = 20_000
PENDING_MAX: Final = 10_000
"""Rows of each table that wait for a disk to take them."""
NAMES_MAX: Final = 50_000
TURN_S: Final = 1.0
LATE_S: Final = 15.0
"""Five minutes are closed so long after their end, because a look counts from when it began."""
CHUNK_S: Final = (300, 600)
"""A service's samples are written after a time of its own between these: not all at the same moment."""
ADVANCE_EVERY_S: Final = 5.0
SWEEP_EVERY_S: Final = 60.0
RETRY_S: Final = 10.0
STOP_S: Final = 5.0
READERS_MAX: Final = 4
READ_S: Final = 5.0
_DAMAGE: Final = (11, 26)
"""SQLITE_CORRUPT and SQLITE_NOTADB."""
_T = TypeVar("_T")


class _Seen(NamedTuple):
    """What the thread needs of a result."""

    service: str
    at_wall: float
    opinion: str
    kind: str
    latency_ms: float
    text: str


class History:
    """What app.py holds: `take`, `reload`, `start` and `stop` for the peer, the rest for who asks."""

    def __init__(self, settings: Settings, clock: Clock, *, bytes_max: int = BYTES_MAX) -> None:
        self._path = Path(settings.storage_path) / settings.me / FILE
        self._clock = clock
        self._bytes_max = bytes_max
        self._settings = settings
        # the loop's
        self._queue: deque[_Seen] = deque()
        self._opinions: dict[str, str] = {}
        self._overflow = 0
        self._readers = ThreadPoolExecutor(READERS_MAX, thread_name_prefix="history-reader")
        # the thread's; readers look at it under the lock
        self._lock = threading.Lock()
        self._tallies: dict[str, Tally] = {}
        self._known: dict[str, Known] = {}
        self._next_number = 1
        self._pending = Work()
        self._file: HistoryFile | None = None
        self._was_open = False
        self._stats = HistoryStats()
        self._doubted = False
        self._due = {"advance": 0.0, "sweep": 0.0, "retry": 0.0}
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    # ---- on the loop

    @property
    def stats(self) -> HistoryStats:
        """Counters and trouble as of now."""
        return replace(self._stats, dropped_total=self._stats.dropped_total + self._overflow)

    def take(self, result: Result) -> None:
        """Keep a result. Never waits and never raises."""
        if len(self._queue) >= QUEUE_MAX:
            self._overflow += 1
            return
        self._queue.append(
            _Seen(
                result.service, result.at_wall, result.opinion, result.kind, result.duration_ms, result.text
            )
        )
        if self._opinions.get(result.service, result.opinion) != result.opinion:
            self._wake.set()
        self._opinions[result.service] = result.opinion

    def reload(self, settings: Settings) -> None:
        """Take new services and how long samples are kept."""
        self._settings = settings
        self._opinions = {name: one for name, one in self._opinions.items() if name in settings.services}

    async def start(self) -> None:
        """Begin to write; the file is opened by the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Write what is open. What a hanging disk does not take in five seconds is lost."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        if not self._thread.is_alive():
            return
        self._stopping = True
        self._wake.set()
        await asyncio.to_thread(self._thread.join, STOP_S)
        if self._thread.is_alive():
            log.warning("history was not written to its end: the disk takes too long")

    async def results(self, service: str, *, before: int | None, limit: int) -> SamplePage:
        """The newest samples before tick `before`. Raises HistoryError."""

        def read() -> SamplePage:
            db, number, chunk, _ = self._view(service)
            with closing(db):
                last = reading.NEVER if before is None else before
                return reading.sample_page(db, number, chunk, before=last, limit=limit)

        return await self._read(read)

    async def transitions(self, service: str, *, limit: int) -> tuple[Transition, ...]:
        """The latest transitions, newest first. Raises HistoryError."""

        def read() -> tuple[Transition, ...]:
            db, number, _, _ = self._view(service)
            with closing(db):
                return reading.transitions(db, number, limit=limit)

        return await self._read(read)

    async def uptime(self, service: str, windows_s: tuple[float, ...]) -> tuple[Figures, ...]:
        """Figures for windows that end now. Raises HistoryError."""

        def read() -> tuple[Figures, ...]:
            now_wall = self._clock.now().wall
            db, number, _, buckets = self._view(service)
            with closing(db):
                starts = [reading.window_start(now_wall, window_s) for window_s in windows_s]
                return tuple(
                    figures(reading.total(db, number, buckets, start, int(now_wall) + 1), start, now_wall)
                    for start in starts
                )

        return await self._read(read)

    async def _read(self, read: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(READ_S):
                return await asyncio.get_running_loop().run_in_executor(self._readers, read)
        except TimeoutError as error:
            raise HistoryError("history cannot be read: its disk takes too long") from error
        except sqlite3.Error as error:
            self._doubted = self._doubted or _is_damage(error)
            raise HistoryError(f"history cannot be read: {self._stats.trouble or error}") from error

    # ---- in a reader's thread

    def _view(self, service: str) -> tuple[sqlite3.Connection, int, Chunk, list[Bucket]]:
        """The file and what is not in it yet, as of one moment."""
        if not self._lock.acquire(timeout=READ_S):
            raise HistoryError("history cannot be read: its disk takes too long")
        try:
            db = reading.connect(self._path)
            known, tally = self._known.get(service), self._tallies.get(service)
            number = known.number if known is not None else 0
            if tally is None:
                return db, number, Chunk(number, 0, b""), []
            return db, number, tally.open_chunk(), tally.open_bucket(self._clock.now().wall)
        finally:
            self._lock.release()

    # ---- in the thread that writes

    def _run(self) -> None:
        while not self._stopping:
            self._guarded(self._turn)
            self._wake.wait(TURN_S)
            self._wake.clear()
        self._guarded(self._finish)
        if self._file is not None:
            self._file.close()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (sqlite3.Error, OSError, Unusable) as error:
            self._on_trouble(error)
        except Exception as error:  # the root of a thread that must outlive one bad turn
            log.exception("a turn of history failed")
            self._on_trouble(error)

    def _turn(self) -> None:
        now = self._clock.now()
        if self._doubted:
            self._doubted = False
            raise Unusable("a reader found it damaged")
        with self._lock:
            self._collect()
            if now.boot >= self._due["advance"]:
                self._due["advance"] = now.boot + ADVANCE_EVERY_S
                self._advance(now.wall)
            if now.boot < self._due["retry"]:
                self._bound_pending()
                return
            file = self._opened()
            if self._stats.trouble or now.boot >= self._due["sweep"]:
                self._due["sweep"] = now.boot + SWEEP_EVERY_S
                file.sweep(now.wall, self._settings.history.samples_kept_s)
            self._flush(file)
        if not file.roll(HOURS, now.wall):
            file.roll(DAYS, now.wall)
        self._on_success(file)

    def _finish(self) -> None:
        """The last turn: everything that is open, too."""
        now_wall = self._clock.now().wall
        with self._lock:
            self._collect()
            for tally in self._tallies.values():
                self._closed(*tally.close(now_wall))
            self._tallies = {}
            self._flush(self._opened())

    def _opened(self) -> HistoryFile:
        if self._file is None:
            self._file = HistoryFile(self._path, bytes_max=self._bytes_max)
            if not self._was_open:
                self._known = {known.name: known for known in self._file.known()}
                self._next_number = 1 + max((known.number for known in self._known.values()), default=0)
                self._was_open = True
                self._collect()
            elif not self._file.known():  # a new file in place of a damaged one
                self._pending.known = list(self._known.values())
        return self._file

    def _collect(self) -> None:
        """Everything that was queued, into tallies; before the file was ever open nobody has a number."""
        if not self._was_open:
            return
        services = self._settings.services
        for _ in range(len(self._queue)):
            seen = self._queue.popleft()
            service = services.get(seen.service)
            if service is None or not self._keep(seen, service):
                self._stats.dropped_total += service is not None

    def _keep(self, seen: _Seen, service: Service) -> bool:
        known = self._known.get(seen.service)
        if known is None:
            if self._next_number > NAMES_MAX:
                return False
            known = Known(self._next_number, seen.service, "")
            self._next_number += 1
        tally = self._tallies.get(seen.service)
        if tally is None:
            shortest, longest = CHUNK_S
            chunk_s = shortest + crc32(seen.service.encode()) % (longest - shortest)
            tally = self._tallies[seen.service] = Tally(known.number, hold_s=0.0, chunk_s=chunk_s)
        tally.hold_s = 2 * service.interval_s + service.timeout_s
        self._closed(*tally.add(seen.at_wall, seen.opinion, seen.kind, seen.latency_ms))
        self._stats.samples_total += 1
        if seen.opinion != known.opinion:
            change = Transition(seen.at_wall, known.opinion, seen.opinion, seen.kind, seen.text)
            self._pending.transitions.append((known.number, change))
            known = known._replace(opinion=seen.opinion)
            self._known[seen.service] = known
            self._pending.known.append(known)
        return True

    def _advance(self, now_wall: float) -> None:
        """Close what time has ended, and whatever belongs to services that are watched no more."""
        for name in [name for name in self._tallies if name not in self._settings.services]:
            self._closed(*self._tallies.pop(name).close(now_wall))
        for tally in self._tallies.values():
            self._closed(tally.overdue(now_wall), tally.advance(now_wall - LATE_S))

    def _closed(self, chunks: list[Chunk], buckets: list[Bucket]) -> None:
        self._pending.chunks += chunks
        self._pending.buckets += buckets

    def _flush(self, file: HistoryFile) -> None:
        if self._pending:
            file.write(self._pending)
            self._stats.transitions_total += len(self._pending.transitions)
            self._pending = Work()

    def _bound_pending(self) -> None:
        """What waits for the disk stays bounded: the oldest goes."""
        lost = self._pending.chunks[:-PENDING_MAX]
        self._stats.dropped_total += sum(len(chunk.data) // SAMPLE_BYTES for chunk in lost)
        for rows in (self._pending.chunks, self._pending.buckets, self._pending.transitions):
            del rows[:-PENDING_MAX]
        if len(self._pending.known) > PENDING_MAX:
            latest = {known.number: known for known in self._pending.known}
            self._pending.known = list(latest.values())

    def _on_success(self, file: HistoryFile) -> None:
        if self._stats.trouble:
            log.warning("history is written again")
        self._stats.trouble = ""
        self._stats.file_bytes = file.file_bytes

    def _on_trouble(self, error: Exception) -> None:
        """Say it once, let go of the file, and try again later."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if _is_damage(error):
            self._set_aside(error)
            return
        reason = f"{self._path}: {error}"
        if not self._stats.trouble:
            log.error("history is paused, everything else goes on: %s", reason)
        self._stats.trouble = reason
        self._due["retry"] = self._clock.now().boot + RETRY_S

    def _set_aside(self, error: Exception) -> None:
        """Keep a damaged file for who wants to look at it, in place of an earlier one, and begin anew."""
        aside = self._path.with_name(ASIDE)
        log.error("history begins anew: %s is set aside as %s (%s)", self._path, aside.name, error)
        self._stats.damaged_total += 1
        self._stats.trouble = f"{self._path} was damaged"
        self._due["retry"] = self._clock.now().boot + TURN_S
        for suffix in ("", "-wal", "-shm"):
            try:
                self._path.with_name(self._path.name + suffix).replace(aside.with_name(ASIDE + suffix))
            except FileNotFoundError:
                aside.with_name(ASIDE + suffix).unlink(missing_ok=True)
            except OSError as fault:
                log.error("history cannot be set aside: %s", fault)  # noqa: TRY400 - no bug, no traceback


def _is_damage(error: Exception) -> bool:
    """True when the file itself is no good, rather than the disk or the moment."""
    if isinstance(error, Unusable):
        return True
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE
