"""What many samples come to: counts, time up and down, and a sparse histogram of latencies.

Pure. A Rollup is filled sample by sample and merged with others of the same service, in any order, to the
same end. The histogram's buckets grow by a tenth, so a percentile read from it is within 5 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchtower.core.model import Opinion
from watchtower.core.samples import Figures

RATIO: Final = 1.1
BUCKET_MAX: Final = 255
_LOWEST_MS: Final = 0.01
_LOG_RATIO: Final = math.log(RATIO)
_LONGEST_MS: Final = 1e9


class Rollup(Struct):
    """What the samples of a stretch of time come to.

    `n` counts looks with a verdict, `ok` those that found the service up or degraded, `unknown` looks that
    proved nothing. Sum, maximum and histogram are of the `ok` looks alone: how long it takes to fail is
    no latency.
    """

    n: int = 0
    ok: int = 0
    unknown: int = 0
    up_ms: int = 0
    down_ms: int = 0
    sum_us: int = 0
    max_us: int = 0
    histogram: dict[int, int] = {}

    def add(self, opinion: str, latency_ms: float) -> None:
        """Count one sample."""
        if opinion == Opinion.UNKNOWN:
            self.unknown += 1
            return
        self.n += 1
        if opinion == Opinion.DOWN:
            return
        self.ok += 1
        micros = round(min(max(latency_ms, 0.0), _LONGEST_MS) * 1000)
        self.sum_us += micros
        self.max_us = max(self.max_us, micros)
        bucket = bucket_of(micros / 1000)
        self.histogram[bucket] = self.histogram.get(bucket, 0) + 1

    def stand(self, opinion: str, lasted_ms: int) -> None:
        """Count time that the latest look stands for; an opinion of unknown stands for none."""
        if opinion == Opinion.DOWN:
            self.down_ms += lasted_ms
        elif opinion != Opinion.UNKNOWN:
            self.up_ms += lasted_ms

    def merge(self, other: Rollup) -> None:
        """Add what another stretch comes to."""
        self.n += other.n
        self.ok += other.ok
        self.unknown += other.unknown
        self.up_ms += other.up_ms
        self.down_ms += other.down_ms
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)
        for bucket, count in other.histogram.items():
            self.histogram[bucket] = self.histogram.get(bucket, 0) + count

    @property
    def is_empty(self) -> bool:
        """True when nothing was counted."""
        return not (self.n or self.unknown or self.up_ms or self.down_ms)


def merged(rollups: Iterable[Rollup]) -> Rollup:
    """What all of them come to."""
    total = Rollup()
    for rollup in rollups:
        total.merge(rollup)
    return total


def bucket_of(latency_ms: float) -> int:
    """The histogram's bucket of a latency."""
    if latency_ms <= _LOWEST_MS:
        return 0
    return min(BUCKET_MAX, int(math.log(latency_ms / _LOWEST_MS) / _LOG_RATIO))


def percentile_ms(rollup: Rollup, share: float) -> float | None:
    """The latency that `share` of the good looks do not exceed, within 5 %; None without good looks."""
    if not rollup.ok:
        return None
    left = max(1, math.ceil(share * rollup.ok))
    for bucket in sorted(rollup.histogram):
        left -= rollup.histogram[bucket]
        if left <= 0:
            middle_ms = _LOWEST_MS * math.pow(RATIO, bucket + 0.5)
            return min(middle_ms, rollup.max_us / 1000)
    return rollup.max_us / 1000


def figures(rollup: Rollup, from_wall: float, to_wall: float) -> Figures:
    """What people read. Time counted twice by a clock that was set back is brought back to what there was."""
    window_s = max(0.0, to_wall - from_wall)
    known_s = (rollup.up_ms + rollup.down_ms) / 1000
    scale = min(1.0, window_s / known_s) / 1000 if known_s else 0.0
    return Figures(
        from_wall=from_wall,
        to_wall=to_wall,
        up_s=rollup.up_ms * scale,
        down_s=rollup.down_ms * scale,
        samples=rollup.n,
        failed=rollup.n - rollup.ok,
        unknown=rollup.unknown,
        mean_ms=rollup.sum_us / rollup.ok / 1000 if rollup.ok else None,
        p50_ms=percentile_ms(rollup, 0.5),
        p95_ms=percentile_ms(rollup, 0.95),
        p99_ms=percentile_ms(rollup, 0.99),
        max_ms=rollup.max_us / 1000 if rollup.ok else None,
    )


def encode(histogram: dict[int, int]) -> bytes:
    """The histogram as bytes: bucket, then its count, seven bits a byte."""
    out = bytearray()
    for bucket in sorted(histogram):
        out.append(bucket)
        count = histogram[bucket]
        while count > 0x7F:
            out.append(count & 0x7F | 0x80)
            count >>= 7
        out.append(count)
    return bytes(out)


def decode(data: bytes) -> dict[int, int]:
    """The histogram that `encode` made; what a torn end leaves is dropped."""
    histogram: dict[int, int] = {}
    place = 0
    while place < len(data):
        bucket, count, shift, place = data[place], 0, 0, place + 1
        while place < len(data):
            byte = data[place]
            count |= (byte & 0x7F) << shift
            shift, place = shift + 7, place + 1
            if byte < 0x80:
                histogram[bucket] = count
                break
    return histogram
