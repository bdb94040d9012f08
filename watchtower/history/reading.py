"""Questions to the file, over a connection of their own that cannot write.

Uptime is put together from the coarsest rows that fit: days, hours, five minutes. Nothing here waits for
the writer or holds it up. Raises sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from watchtower.core.samples import Sample, SamplePage, Transition
from watchtower.history.file import COLUMNS, DAY_S, HOUR_S, rollup_of
from watchtower.history.packing import TICKS_MAX, ticks, unpack
from watchtower.history.rollup import Rollup
from watchtower.history.tally import BUCKET_S, Bucket, Chunk

FINE_WINDOW_S: Final = 2 * DAY_S
"""Windows up to here begin on full five minutes, longer ones on a full hour."""
NEVER: Final = 2**62


def connect(path: Path) -> sqlite3.Connection:
    """A connection that only reads, with a view of the file that stands still from here on."""
    db = sqlite3.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        db.execute("PRAGMA busy_timeout = 2000")
        db.execute("BEGIN")
        db.execute("SELECT id FROM service LIMIT 1").fetchone()
    except BaseException:  # whatever ends it, no open file is left behind
        db.close()
        raise
    return db


def sample_page(
    db: sqlite3.Connection, service: int, opened: Chunk, *, before: int, limit: int
) -> SamplePage:
    """The newest `limit` samples before tick `before`, and the few more of that very tick.

    `opened` is what is not in the file yet.
    """
    found = [sample for sample in unpack(opened.start, opened.data) if ticks(sample.at_wall) < before]
    chunks = db.execute(
        "SELECT start, data FROM chunk WHERE service = ? AND start < ? ORDER BY start DESC", (service, before)
    )
    for start, data in chunks:
        if len(found) > limit:
            found.sort(key=_newest_first)
            if ticks(found[limit].at_wall) > start + TICKS_MAX:
                break  # whatever is in this chunk, and in all before it, is older
        found.extend(sample for sample in unpack(start, data) if ticks(sample.at_wall) < before)
    found.sort(key=_newest_first)
    page = found[:limit]
    rest = found[limit:]
    while rest and rest[0].at_wall == page[-1].at_wall:
        page.append(rest.pop(0))
    return SamplePage(tuple(page), ticks(page[-1].at_wall) if rest else None)


def transitions(db: sqlite3.Connection, service: int, *, limit: int) -> tuple[Transition, ...]:
    """The latest transitions, newest first."""
    rows = db.execute(
        "SELECT at, before, after, kind, text FROM transition WHERE service = ? ORDER BY id DESC LIMIT ?",
        (service, limit),
    )
    return tuple(Transition(at / 1000, *words) for at, *words in rows)


def window_start(now_wall: float, window_s: float) -> int:
    """Where a window that ends now begins: on a row's edge, at most an hour later than asked for."""
    edge_s = BUCKET_S if window_s <= FINE_WINDOW_S else HOUR_S
    return -(-int(now_wall - window_s) // edge_s) * edge_s


def total(db: sqlite3.Connection, service: int, opened: list[Bucket], start: int, end: int) -> Rollup:
    """What [start, end) of a service comes to; `opened` is what is not in the file yet."""
    whole = Rollup()
    for bucket in opened:
        if start <= bucket.start < end:
            whole.merge(bucket.rollup)
    oldest = {table: _oldest(db, table) for table in ("r5m", "r1h", "r1d")}
    at = start
    while at < end:
        for table, span_s in (("r1d", DAY_S), ("r1h", HOUR_S), ("r5m", BUCKET_S)):
            fits = at % span_s == 0 and at + span_s <= max(end, at + BUCKET_S)
            row = _row(db, table, service, at) if fits and at >= oldest[table] else None
            if row is not None:
                whole.merge(row)
                at += span_s
                break
        else:
            at = _next(at, oldest)
    return whole


def _next(at: int, oldest: dict[str, int]) -> int:
    """Where the next row may begin after five minutes without one."""
    span_s = HOUR_S if at + HOUR_S <= oldest["r5m"] else BUCKET_S
    return (at // span_s + 1) * span_s


def _row(db: sqlite3.Connection, table: str, service: int, start: int) -> Rollup | None:
    found = db.execute(
        f"SELECT {COLUMNS} FROM {table} WHERE start = ? AND service = ?", (start, service)
    ).fetchone()
    return None if found is None else rollup_of(found)


def _oldest(db: sqlite3.Connection, table: str) -> int:
    (start,) = db.execute(f"SELECT min(start) FROM {table}").fetchone()
    return NEVER if start is None else int(start)


def _newest_first(sample: Sample) -> float:
    return -sample.at_wall
