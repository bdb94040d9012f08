"""How the journal's bytes are cut into records, and how a torn end is told from damage.

A record is checksum, length, kind, payload; the checksum also covers the place of the record and the file
it is in, so that neither old nor moved bytes pass. A MARK begins every batch and is true by being there:
the batch was written only after everything before it had been synced. So a bad record with a MARK behind
it was once whole: damage. Without one it is a batch that a crash tore, and nobody was told of it.
(Alagappan et al., Protocol-Aware Recovery for Consensus-Based Storage, FAST 2018, section 3.3.)
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from msgspec import Struct

_FRAME: Final = struct.Struct("<IIB")
_PLACE: Final = struct.Struct("<QIB")
_MARK_PAYLOAD: Final = b"\xf5synced\xf5"


class Kind(IntEnum):
    """What a record says."""

    HEAD = 1
    ENTRY = 2
    CUT = 3
    VOTE = 4
    COMMIT = 5
    QUARANTINE = 6
    MARK = 7


class Record(Struct, frozen=True):
    """One record that checked out; `end` is the offset after it."""

    kind: int
    payload: bytes
    end: int


def frame(kind: Kind, payload: bytes, at: int, salt: int = 0) -> bytes:
    """The bytes of one record at offset `at` of the file that `salt` stands for."""
    checksum = _checksum(kind, payload, at, salt)
    return _FRAME.pack(checksum, len(payload), kind) + payload


def mark(at: int, salt: int) -> bytes:
    """The record that says: everything before offset `at` is on the disk."""
    return frame(Kind.MARK, _MARK_PAYLOAD, at, salt)


def checksum_of(record: bytes) -> int:
    """The checksum that `record` begins with."""
    return int(_FRAME.unpack_from(record)[0])


def record_at(raw: bytes, at: int, salt: int = 0) -> Record | None:
    """The record at offset `at`; None when there is no whole and right one."""
    if at + _FRAME.size > len(raw):
        return None
    checksum, length, kind = _FRAME.unpack_from(raw, at)
    begin = at + _FRAME.size
    if length > len(raw) - begin:
        return None
    payload = raw[begin : begin + length]
    if checksum != _checksum(kind, payload, at, salt):
        return None
    return Record(kind, payload, begin + length)


def scan(raw: bytes, at: int, salt: int) -> Iterator[Record]:
    """The records from offset `at` on, up to the first that is not right."""
    while (record := record_at(raw, at, salt)) is not None:
        yield record
        at = record.end


def is_synced(raw: bytes, at: int, salt: int) -> bool:
    """True when a MARK behind offset `at` says that what stood there had been synced."""
    place = raw.find(_MARK_PAYLOAD, at)
    while place >= 0:
        record = record_at(raw, place - _FRAME.size, salt)
        if record is not None and record.kind == Kind.MARK:
            return True
        place = raw.find(_MARK_PAYLOAD, place + 1)
    return False


def _checksum(kind: int, payload: bytes, at: int, salt: int) -> int:
    return zlib.crc32(payload, zlib.crc32(_PLACE.pack(at, len(payload), kind), salt))
