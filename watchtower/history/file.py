"""The SQLite file of one peer: its tables, what is written in one go, rolling up, and letting go of the old.

Used by the one thread that writes; readers have connections of their own (reading.py). Everything here may
raise sqlite3.Error, after which the transaction is as if it had not begun. It decides neither when to write
nor what to do about a disk that is full or a file that is damaged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from msgspec import Struct

from watchtower.core.samples import Transition
from watchtower.history.packing import TICKS_MAX, TICKS_PER_S
from watchtower.history.rollup import Rollup, decode, encode
from watchtower.history.tally import BUCKET_S, Bucket, Chunk

FORMAT: Final = 1
PAGE_BYTES: Final = 8192
BYTES_MAX: Final = 4 * 2**30
"""Beyond it the oldest samples go, however young they are."""
HOUR_S: Final = 3600
DAY_S: Final = 86_400
R5M_KEPT_S: Final = 7 * DAY_S
R1H_KEPT_S: Final = 90 * DAY_S
R1D_KEPT_S: Final = 731 * DAY_S
TRANSITIONS_KEPT_S: Final = 90 * DAY_S
TRANSITIONS_MAX: Final = 1_000_000
SETTLED_S: Final = 60
"""An hour or a day is rolled up so long after its end; what comes later is added to every table by itself."""
SLICE: Final = 250
"""Services rolled up at once: the peer's own loop waits for none of them longer than for a few."""
DELETED_MAX: Final = 4_000
"""Rows that a table loses in one sweep; a clock that jumps ahead does not empty it at once."""

_ROLLUP_COLUMNS: Final = """
    start INTEGER NOT NULL, service INTEGER NOT NULL, n INTEGER NOT NULL, ok INTEGER NOT NULL,
    unknown INTEGER NOT NULL, up_ms INTEGER NOT NULL, down_ms INTEGER NOT NULL, sum_us INTEGER NOT NULL,
    max_us INTEGER NOT NULL, histogram BLOB NOT NULL, PRIMARY KEY (start, service)
"""
_SCHEMA: Final = f"""
    CREATE TABLE service (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, opinion TEXT NOT NULL);
    CREATE TABLE chunk (
        id INTEGER PRIMARY KEY, service INTEGER NOT NULL, start INTEGER NOT NULL, data BLOB NOT NULL
    );
    CREATE INDEX chunk_by_service ON chunk (service, start);
    CREATE TABLE r5m ({_ROLLUP_COLUMNS}) WITHOUT ROWID;
    CREATE TABLE r1h ({_ROLLUP_COLUMNS}) WITHOUT ROWID;
    CREATE TABLE r1d ({_ROLLUP_COLUMNS}) WITHOUT ROWID;
    CREATE TABLE transition (
        id INTEGER PRIMARY KEY, service INTEGER NOT NULL, at INTEGER NOT NULL, before TEXT NOT NULL,
        after TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL
    );
    CREATE INDEX transition_by_service ON transition (service, at);
    CREATE TABLE progress (level TEXT PRIMARY KEY, start INTEGER NOT NULL, service INTEGER NOT NULL);
    PRAGMA user_version = {FORMAT};
"""


class Level(NamedTuple):
    """A table of rollups: what it is made from, and how much time a row stands for."""

    table: str
    source: str
    source_s: int
    span_s: int


HOURS: Final = Level("r1h", "r5m", BUCKET_S, HOUR_S)
DAYS: Final = Level("r1d", "r1h", HOUR_S, DAY_S)
COLUMNS: Final = "n, ok, unknown, up_ms, down_ms, sum_us, max_us, histogram"


class Unusable(Exception):  # noqa: N818 - a fact about the file, handled where it is opened
    """The file is no good: damaged, or written by another version of watchtower."""


class Known(NamedTuple):
    """A service that history has a number for, and what the latest look found."""

    number: int
    name: str
    opinion: str


class Work(Struct):
    """What is written in one transaction."""

    known: list[Known] = []
    chunks: list[Chunk] = []
    buckets: list[Bucket] = []
    transitions: list[tuple[int, Transition]] = []

    def __bool__(self) -> bool:
        return bool(self.known or self.chunks or self.buckets or self.transitions)


class HistoryFile:
    """The open file. Raises sqlite3.Error or OSError when it cannot be had, Unusable when foreign."""

    def __init__(self, path: Path, *, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self._pages_max = bytes_max // PAGE_BYTES
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except BaseException:  # whatever ends it, no open file is left behind
            self._db.close()
            raise
        self._progress: dict[str, tuple[int, int]] = {
            level: (start, service)
            for level, start, service in self._db.execute("SELECT level, start, service FROM progress")
        }

    def _prepare(self) -> None:
        for setting in (f"page_size = {PAGE_BYTES}", "journal_mode = WAL", "synchronous = NORMAL"):
            self._db.execute(f"PRAGMA {setting}")
        self._db.execute("PRAGMA journal_size_limit = 16777216")
        self._db.execute("PRAGMA busy_timeout = 2000")
        self._db.execute(f"PRAGMA max_page_count = {self._pages_max}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        elif version != FORMAT:
            raise Unusable(f"its format is {version}, this version writes {FORMAT}")
        self.path.chmod(0o600)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def known(self) -> list[Known]:
        """Every service there is a number for."""
        return [Known(*row) for row in self._db.execute("SELECT id, name, opinion FROM service")]

    @property
    def file_bytes(self) -> int:
        """How large the file is, without what is still in its write-ahead log."""
        return (self._one("PRAGMA page_count") or 0) * PAGE_BYTES

    # ---- writing

    def write(self, work: Work) -> None:
        """All of it or nothing."""
        with self._transaction():
            self._db.executemany(
                "INSERT INTO service VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET opinion = excluded.opinion",
                work.known,
            )
            self._db.executemany("INSERT INTO chunk (service, start, data) VALUES (?, ?, ?)", work.chunks)
            for bucket in work.buckets:
                self._add("r5m", bucket)
                self._add_late(bucket)
            self._db.executemany(
                "INSERT INTO transition (service, at, before, after, kind, text) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (number, round(one.at_wall * 1000), one.before, one.after, one.kind, one.text)
                    for number, one in work.transitions
                ],
            )

    def _add(self, table: str, bucket: Bucket) -> None:
        """Add a rollup to whatever is there for its service and time."""
        values = (bucket.start, bucket.service, *_row(bucket.rollup))
        marks = ", ".join("?" * len(values))
        if self._db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values).rowcount:
            return
        key = (bucket.start, bucket.service)
        found = self._db.execute(f"SELECT {COLUMNS} FROM {table} WHERE start = ? AND service = ?", key)
        total = rollup_of(found.fetchone())
        total.merge(bucket.rollup)
        values = (*key, *_row(total))
        self._db.execute(f"REPLACE INTO {table} VALUES ({marks})", values)

    def _add_late(self, bucket: Bucket) -> None:
        """What comes for an hour or a day that is rolled up already is added there, too."""
        for level in (HOURS, DAYS):
            start = bucket.start // level.span_s * level.span_s
            if (start, bucket.service) < self._progress.get(level.table, (0, 0)):
                self._add(level.table, bucket._replace(start=start))

    # ---- rolling up

    def roll(self, level: Level, now_wall: float) -> bool:
        """Roll up one slice of services for the oldest hour or day that is over; False when there is none."""
        start, first = self._progress.get(level.table, (0, 0))
        if first == 0:
            oldest = self._one(f"SELECT min(start) FROM {level.source} WHERE start >= ?", start)
            if oldest is None:
                return False
            start = max(start, oldest // level.span_s * level.span_s)
        end = start + level.span_s
        sources_end = self._progress.get(level.source, (end, 0))[0]
        if end + SETTLED_S > now_wall or sources_end < end:
            return False
        with self._transaction():
            totals = self._slice(level, start, first)
            marks = ", ".join("?" * 10)
            rows = [(start, service, *_row(total)) for service, total in totals.items()]
            self._db.executemany(f"REPLACE INTO {level.table} VALUES ({marks})", rows)
            is_last = first + SLICE > (self._one("SELECT max(id) FROM service") or 0)
            reached = (end, 0) if is_last else (start, first + SLICE)
            self._db.execute("REPLACE INTO progress VALUES (?, ?, ?)", (level.table, *reached))
        self._progress[level.table] = reached
        return True

    def _slice(self, level: Level, start: int, first: int) -> dict[int, Rollup]:
        totals: dict[int, Rollup] = {}
        for at in range(start, start + level.span_s, level.source_s):
            rows = self._db.execute(
                f"SELECT service, {COLUMNS} FROM {level.source} "
                "WHERE start = ? AND service >= ? AND service < ?",
                (at, first, first + SLICE),
            )
            for service, *values in rows:
                totals.setdefault(service, Rollup()).merge(rollup_of(values))
        return totals

    # ---- letting go

    def sweep(self, now_wall: float, samples_kept_s: float) -> None:
        """Delete what is older than it is kept for, a few rows at a time; samples also when room is short."""
        with self._transaction():
            # a chunk goes when its last sample is too old, and that is not long after its first
            self._sweep_head("chunk", "start", int((now_wall - samples_kept_s) * TICKS_PER_S) - TICKS_MAX)
            self._sweep_head("transition", "at", int((now_wall - TRANSITIONS_KEPT_S) * 1000))
            first, last = self._db.execute("SELECT min(id), max(id) FROM transition").fetchone()
            if first is not None and last - first >= TRANSITIONS_MAX:
                self._db.execute("DELETE FROM transition WHERE id < ?", (last - TRANSITIONS_MAX + 1,))
            for table, kept_s, rolled in (
                ("r5m", R5M_KEPT_S, "r1h"),
                ("r1h", R1H_KEPT_S, "r1d"),
                ("r1d", R1D_KEPT_S, ""),
            ):
                horizon = int(now_wall - kept_s)
                if rolled:  # what is not rolled up yet stays
                    horizon = min(horizon, self._progress.get(rolled, (0, 0))[0])
                self._sweep_rollups(table, horizon)
            if self._used_pages() > self._pages_max * 9 // 10:
                self._make_room()

    def _sweep_head(self, table: str, column: str, horizon: int) -> None:
        """Of the rows written first: everything up to the last that is too old."""
        self._db.execute(
            f"DELETE FROM {table} WHERE id <= (SELECT max(id) FROM "
            f"(SELECT id, {column} AS at FROM {table} ORDER BY id LIMIT ?) WHERE at < ?)",
            (DELETED_MAX, horizon),
        )

    def _sweep_rollups(self, table: str, horizon: int) -> None:
        self._db.execute(
            f"DELETE FROM {table} WHERE (start, service) IN "
            f"(SELECT start, service FROM {table} WHERE start < ? ORDER BY start LIMIT ?)",
            (horizon, DELETED_MAX),
        )

    def _make_room(self) -> None:
        """A tenth of the samples goes, the oldest first."""
        first, last = self._db.execute("SELECT min(id), max(id) FROM chunk").fetchone()
        if first is not None:
            self._db.execute(
                "DELETE FROM chunk WHERE id <= ?", (first + min(DELETED_MAX, (last - first) // 10),)
            )

    def _used_pages(self) -> int:
        return (self._one("PRAGMA page_count") or 0) - (self._one("PRAGMA freelist_count") or 0)

    def _one(self, sql: str, *values: int) -> int | None:
        value: int | None = self._db.execute(sql, values).fetchone()[0]
        return value

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:  # whatever ends it, nothing of it is written
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


def _row(rollup: Rollup) -> tuple[int | bytes, ...]:
    """The values of `COLUMNS`."""
    return (
        rollup.n,
        rollup.ok,
        rollup.unknown,
        rollup.up_ms,
        rollup.down_ms,
        rollup.sum_us,
        rollup.max_us,
        encode(rollup.histogram),
    )


def rollup_of(row: tuple[int | bytes, ...] | list[int | bytes]) -> Rollup:
    """The rollup that a row of `COLUMNS` holds."""
    *counts, histogram = row
    n, ok, unknown, up_ms, down_ms, sum_us, max_us = (int(value) for value in counts)
    return Rollup(
        n=n,
        ok=ok,
        unknown=unknown,
        up_ms=up_ms,
        down_ms=down_ms,
        sum_us=sum_us,
        max_us=max_us,
        histogram=decode(bytes(histogram)),
    )
