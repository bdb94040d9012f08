"""Records: what is whole, what was torn, and what a MARK proves."""

from __future__ import annotations

import tracemalloc

import pytest

from watchtower.cluster import records
from watchtower.cluster.records import Kind

SALT = 77


def batch(*payloads: bytes, at: int = 0, is_marked: bool = True) -> bytes:
    """A batch as the journal writes it."""
    raw = records.mark(at, SALT) if is_marked else b""
    for payload in payloads:
        raw += records.frame(Kind.ENTRY, payload, at + len(raw), SALT)
    return raw


def payloads(raw: bytes) -> list[bytes]:
    """Payloads of the entries that check out."""
    return [record.payload for record in records.scan(raw, 0, SALT) if record.kind == Kind.ENTRY]


def test_what_is_written_is_read() -> None:
    """Any bytes, none included."""
    raw = batch(b"one", b"", b"\0" * 100)
    assert payloads(raw) == [b"one", b"", b"\0" * 100]


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_ends_the_scan_there(bit: int) -> None:
    """Wherever it is: checksum, length, kind or payload."""
    raw = batch(b"one", b"two", is_marked=False)
    for place in range(len(raw)):
        damaged = bytearray(raw)
        damaged[place] ^= 1 << bit
        expected = [] if place < len(raw) // 2 else [b"one"]
        assert payloads(bytes(damaged)) == expected


def test_a_record_counts_only_at_its_place_and_in_its_file() -> None:
    """Old bytes that show through after a crash are not taken for new ones."""
    raw = batch(b"one", is_marked=False)
    assert records.record_at(b"x" + raw, 1, SALT) is None
    assert records.record_at(raw, 0, SALT + 1) is None
    assert records.record_at(bytes(100), 0, SALT) is None


def test_a_mark_behind_a_bad_record_proves_that_it_was_whole() -> None:
    """Without one it may have been torn; a MARK that is not at its place proves nothing."""
    first = batch(b"one", b"two")
    second = batch(b"three", at=len(first))
    assert records.is_synced(first + second, len(first) - 5, SALT)
    assert not records.is_synced(first, len(first) - 5, SALT)
    assert not records.is_synced(first + b"x" + second, len(first) - 5, SALT)


def test_a_length_of_gigabytes_takes_no_memory() -> None:
    """Lengths are looked at before anything is made of them."""
    raw = b"\xff" * 64
    tracemalloc.start()
    try:
        assert records.record_at(raw, 0, SALT) is None
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
