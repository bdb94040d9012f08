"""A sample in four bytes: when within its chunk, what was found, why, and how long it took.

    bits 31..19  time since the chunk began, in 0.1 s    bits 18..17  opinion
    bits 16..13  kind                                    bits 12..0   latency, logarithmic

Pure arithmetic; the codes are a file format, so they never change their meaning. Latencies from 1 us to
1,000 s come back within 0.13 %; what is shorter or longer comes back as that.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Final

from watchtower.core.model import Kind, Opinion
from watchtower.core.samples import Sample

SAMPLE_BYTES: Final = 4
TICKS_PER_S: Final = 10
TICKS_MAX: Final = 2**13 - 1
"""The longest chunk: 819 s."""
OPINIONS: Final = (Opinion.UP, Opinion.DEGRADED, Opinion.DOWN, Opinion.UNKNOWN)
KINDS: Final = (
    Kind.OK,
    Kind.CONDITION,
    Kind.STATUS,
    Kind.REFUSED,
    Kind.TIMEOUT,
    Kind.RESET,
    Kind.UNREACHABLE,
    Kind.DNS,
    Kind.TLS,
    Kind.PROTOCOL,
    Kind.INCONCLUSIVE,
    Kind.PENDING,
)
"""Position is the code; a new kind goes to the end, at most 15 of them."""
OTHER: Final = "other"

_OTHER_CODE: Final = 15
_OPINION_CODES: Final = {str(opinion): code for code, opinion in enumerate(OPINIONS)}
_KIND_CODES: Final = {str(kind): code for code, kind in enumerate(KINDS)}
_KIND_WORDS: Final = {code: word for word, code in _KIND_CODES.items()}
_SHORTEST_MS: Final = 0.001
_LONGEST_MS: Final = 1_000_000.0
_LATENCY_MAX: Final = 2**13 - 1
_STEP: Final = math.log(_LONGEST_MS / _SHORTEST_MS) / (_LATENCY_MAX - 1)


def ticks(wall: float) -> int:
    """Unix seconds as tenths of a second."""
    return round(wall * TICKS_PER_S)


def pack(offset: int, opinion: str, kind: str, latency_ms: float) -> bytes:
    """One sample, `offset` ticks (0 to TICKS_MAX) after the beginning of its chunk."""
    code = _OPINION_CODES[opinion] << 4 | _KIND_CODES.get(kind, _OTHER_CODE)
    return struct.pack("<I", offset << 19 | code << 13 | _latency_code(latency_ms))


def unpack(start: int, data: bytes) -> Iterator[Sample]:
    """The samples of a chunk that began at tick `start`, in the order they came."""
    whole = len(data) // SAMPLE_BYTES * SAMPLE_BYTES
    for (word,) in struct.iter_unpack("<I", memoryview(data)[:whole]):
        yield Sample(
            (start + (word >> 19)) / TICKS_PER_S,
            OPINIONS[word >> 17 & 0b11],
            _KIND_WORDS.get(word >> 13 & 0b1111, OTHER),
            _latency_ms(word & _LATENCY_MAX),
        )


def _latency_code(latency_ms: float) -> int:
    """0 stands for nothing at all; the others are equal steps of the logarithm."""
    if not latency_ms > 0:
        return 0
    bounded = min(max(latency_ms, _SHORTEST_MS), _LONGEST_MS)
    return 1 + round(math.log(bounded / _SHORTEST_MS) / _STEP)


def _latency_ms(code: int) -> float:
    return _SHORTEST_MS * math.exp((code - 1) * _STEP) if code else 0.0
