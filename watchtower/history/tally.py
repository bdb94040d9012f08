"""One service as its samples come in: the open chunk, the open five minutes, and what each look stands for.

Pure: time comes with the samples. A look stands until the next one, at most for `hold_s`; after that
nobody knows, and no time is counted. A clock that steps back begins a new chunk, and time counts from there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from watchtower.core.model import Opinion
from watchtower.history.packing import TICKS_MAX, TICKS_PER_S, pack, ticks
from watchtower.history.rollup import Rollup

BUCKET_S: Final = 300


class Chunk(NamedTuple):
    """Packed samples of one service from tick `start` on."""

    service: int
    start: int
    data: bytes


class Bucket(NamedTuple):
    """What five minutes of one service come to, from Unix second `start` on."""

    service: int
    start: int
    rollup: Rollup


class Tally:
    """What is open of one service. Every call hands back what it closed."""

    def __init__(self, service: int, *, hold_s: float, chunk_s: float) -> None:
        self.service = service
        self.hold_s = hold_s
        self._chunk_ticks = min(TICKS_MAX, int(chunk_s * TICKS_PER_S))
        self._chunk_start = 0
        self._chunk = bytearray()
        self._bucket_start = 0
        self._bucket = Rollup()
        self._last_wall = 0.0
        self._last_opinion: str = Opinion.UNKNOWN
        self._counted_ms = 0

    def add(
        self, at_wall: float, opinion: str, kind: str, latency_ms: float
    ) -> tuple[list[Chunk], list[Bucket]]:
        """Take a sample."""
        chunks = self._pack(at_wall, opinion, kind, latency_ms)
        buckets: list[Bucket] = []
        at_ms = round(at_wall * 1000)
        if at_wall < self._last_wall:
            self._counted_ms = at_ms
        else:
            self._count(at_ms, buckets)
            self._counted_ms = max(self._counted_ms, at_ms)
        self._turn(at_ms, buckets)
        self._bucket.add(opinion, latency_ms)
        self._last_wall, self._last_opinion = at_wall, opinion
        return chunks, buckets

    def advance(self, to_wall: float) -> list[Bucket]:
        """Close whole five minutes that ended by `to_wall`: what comes for them later is late."""
        closed: list[Bucket] = []
        end_ms = int(to_wall) // BUCKET_S * BUCKET_S * 1000
        self._count(end_ms, closed)
        if self._bucket_start * 1000 < end_ms:
            self._turn(end_ms, closed)
        return closed

    def close(self, now_wall: float) -> tuple[list[Chunk], list[Bucket]]:
        """Close everything: the peer stops, or the service is watched no more."""
        buckets: list[Bucket] = []
        self._count(round(now_wall * 1000), buckets)
        self._let_go(buckets)
        return self.overdue(float("inf")), buckets

    def overdue(self, now_wall: float) -> list[Chunk]:
        """Close the chunk when it is old enough."""
        if not self._chunk or now_wall * TICKS_PER_S < self._chunk_start + self._chunk_ticks:
            return []
        closed = Chunk(self.service, self._chunk_start, bytes(self._chunk))
        self._chunk = bytearray()
        return [closed]

    def open_chunk(self) -> Chunk:
        """A copy of what is not written yet."""
        return Chunk(self.service, self._chunk_start, bytes(self._chunk))

    def open_bucket(self, now_wall: float) -> list[Bucket]:
        """What the open five minutes, and the time since, come to by now; changes nothing."""
        kept = (self._bucket_start, self._bucket, self._counted_ms)
        self._bucket = Rollup()
        self._bucket.merge(kept[1])
        seen: list[Bucket] = []
        self._count(round(now_wall * 1000), seen)
        self._let_go(seen)
        self._bucket_start, self._bucket, self._counted_ms = kept
        return seen

    def _pack(self, at_wall: float, opinion: str, kind: str, latency_ms: float) -> list[Chunk]:
        at, closed = ticks(at_wall), []
        if self._chunk and not 0 <= at - self._chunk_start < self._chunk_ticks:
            closed = self.overdue(float("inf"))
        if not self._chunk:
            self._chunk_start = at
        self._chunk += pack(at - self._chunk_start, opinion, kind, latency_ms)
        return closed

    def _count(self, to_ms: int, closed: list[Bucket]) -> None:
        """Let the latest look stand until `to_ms`, five minutes at a time."""
        end_ms = min(to_ms, round((self._last_wall + self.hold_s) * 1000))
        if self._last_opinion == Opinion.UNKNOWN:
            return
        while self._counted_ms < end_ms:
            self._turn(self._counted_ms, closed)
            until_ms = min(end_ms, (self._bucket_start + BUCKET_S) * 1000)
            self._bucket.stand(self._last_opinion, until_ms - self._counted_ms)
            self._counted_ms = until_ms

    def _turn(self, at_ms: int, closed: list[Bucket]) -> None:
        """Make the five minutes around `at_ms` the open ones."""
        start = at_ms // 1000 // BUCKET_S * BUCKET_S
        if start != self._bucket_start:
            self._let_go(closed)
            self._bucket_start = start

    def _let_go(self, closed: list[Bucket]) -> None:
        if not self._bucket.is_empty:
            closed.append(Bucket(self.service, self._bucket_start, self._bucket))
        self._bucket = Rollup()
