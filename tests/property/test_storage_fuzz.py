"""Journal, snapshot and whole folders under random bytes and random damage: refused in words, or right.

Never another exception, never a hang, never memory beyond the size of the file, never anything run that
stands in a file. And never a journal that reads well and says something else than what was written.
"""

from __future__ import annotations

import pickle
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_disk import SimDisk
from support.storage_support import CLUSTER, Memory, open_storage, snapshot_of, state_after, used_disk

from watchtower.cluster import journal_file, records
from watchtower.cluster.journal_file import DamageError, Mark, Reading
from watchtower.cluster.snapshot import Content, decode
from watchtower.errors import ClusterError

EXAMPLES: Final = settings(max_examples=300, deadline=1000)
REFUSED: Final = (DamageError, ClusterError)

DISK, ENTRIES = used_disk()
FILES: Final = {name: DISK.content(name) for name in DISK.names()}
MARK: Final = journal_file.read_mark(FILES["journal.mark"])

Edit = tuple[str, float, bytes]
EDITS: Final = st.lists(
    st.tuples(
        st.sampled_from(["put", "insert", "drop", "zero", "cut", "double", "flip"]),
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=40),
    ),
    min_size=1,
    max_size=4,
)
_RAN: list[str] = []


def edited(raw: bytes, edits: list[Edit]) -> bytes:
    """`raw` after some damage."""
    for kind, where, data in edits:
        at = int(where * len(raw))
        head, rest, size = raw[:at], raw[at:], len(data)
        raw = {
            "put": head + data + rest[size:],
            "insert": head + data + rest,
            "drop": head + rest[size:],
            "zero": head + bytes(min(8 * size, len(rest))) + rest[8 * size :],
            "cut": head,
            "double": head + rest + rest,
            "flip": head + bytes(byte ^ data[0] for byte in rest[:1]) + rest[1:],
        }[kind]
    return raw


def read_or_refuse(raw: bytes, mark: Mark) -> Reading | None:
    """What a journal says; None when it is refused."""
    try:
        return journal_file.read(raw, mark)
    except REFUSED:
        return None


def decoded_or_refused(raw: bytes) -> Content | None:
    """What a snapshot says; None when it is refused."""
    try:
        return decode(raw, CLUSTER)
    except REFUSED:
        return None


@EXAMPLES
@given(st.binary(max_size=2000), st.sampled_from([b"", *(raw[:25] for raw in FILES.values())]))
def test_random_bytes_are_refused(noise: bytes, beginning: bytes) -> None:
    """With the beginning of a real file too."""
    read_or_refuse(beginning + noise, Mark())
    journal_file.read_mark(beginning + noise)
    decoded_or_refused(beginning + noise)


@EXAMPLES
@given(EDITS)
def test_a_damaged_journal_is_refused_or_says_what_was_written(edits: list[Edit]) -> None:
    """Bytes behind the end may be a torn batch; nothing before it may differ."""
    raw = edited(FILES["journal"], edits)
    found = read_or_refuse(raw, MARK)
    if found is not None:
        assert raw.startswith(FILES["journal"])
        assert found.entries == journal_file.read(FILES["journal"], MARK).entries


@EXAMPLES
@given(EDITS)
def test_without_the_mark_beside_it_only_the_end_may_be_missing(edits: list[Edit]) -> None:
    """And what is said is still what was written."""
    found = read_or_refuse(edited(FILES["journal"], edits), Mark())
    if found is not None:
        whole = journal_file.read(FILES["journal"], MARK)
        assert found.entries == whole.entries[: len(found.entries)]
        assert found.head == whole.head


@EXAMPLES
@given(EDITS)
def test_a_damaged_snapshot_is_refused(edits: list[Edit]) -> None:
    """Or it was not damaged."""
    raw = edited(FILES["snapshot"], edits)
    found = decoded_or_refused(raw)
    if found is not None:
        assert raw == FILES["snapshot"]
        assert found.state == state_after(ENTRIES[: found.last[1]])


@EXAMPLES
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=60)), max_size=8))
def test_records_that_check_out_but_make_no_sense_are_refused(notes: list[tuple[int, bytes]]) -> None:
    """A right checksum is no reason to believe."""
    head = journal_file.read(FILES["journal"], MARK).head
    raw, _, salt = journal_file.image(Reading(head=head), 1)
    for kind, payload in notes:
        raw += framed(kind, payload, len(raw), salt)
    found = read_or_refuse(raw, Mark())
    if found is not None:
        assert all(journal_file.is_ours(entry) for entry in found.entries)


def framed(kind: int, payload: bytes, at: int, salt: int) -> bytes:
    """A record of any kind, known or not."""
    checksum = zlib.crc32(payload, zlib.crc32(records._PLACE.pack(at, len(payload), kind), salt))
    return records._FRAME.pack(checksum, len(payload), kind) + payload


@settings(max_examples=200, deadline=2000)
@given(st.dictionaries(st.sampled_from(sorted(FILES)), EDITS, min_size=1), st.booleans())
def test_a_damaged_folder_starts_right_or_in_quarantine_or_is_refused(
    damage: dict[str, list[Edit]], alone: bool
) -> None:
    """Whatever is damaged together; a peer that votes holds everything it acknowledged."""
    disk = SimDisk()
    for name, raw in FILES.items():
        disk.put(name, edited(raw, damage[name]) if name in damage else raw)
    try:
        memory = Memory(disk, alone=alone)
    except ClusterError:
        return
    if not memory.storage.amnesia:
        found = memory.replay()
        # The mark beside the journal is never synced: with it damaged too, the last batch may count as torn.
        # The wiped folder of a peer that is alone is a new one.
        lost = len(ENTRIES) - memory.last[1]
        assert found == state_after(ENTRIES[: memory.last[1]])
        assert lost == 0 or ("journal.mark" in damage and lost <= 3)
    memory.journal.flush()
    assert open_storage(disk, alone=alone).journal[:] == memory.journal[:]


def ran(word: str) -> None:
    """What a hostile pickle would call."""
    _RAN.append(word)


class _Hostile:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return ran, ("ran",)


def test_nothing_that_stands_in_a_file_is_run() -> None:
    """A pickle in the place of each file, and as an entry, stays what it is: bytes."""
    hostile = pickle.dumps(_Hostile())
    for name in FILES:
        disk = DISK.copy()
        disk.put(name, hostile)
        Memory(disk).journal.flush()
    disk = DISK.copy()
    memory = Memory(disk)
    memory.journal.add(b"\0" + hostile, memory.last[1] + 1, 1)
    memory.journal.flush()
    assert Memory(disk).last[0] == b"\0" + hostile
    assert _RAN == []
    pickle.loads(hostile)  # noqa: S301 - shows that it would have been seen
    assert _RAN == ["ran"]
    _RAN.clear()


def test_claimed_sizes_take_no_memory() -> None:
    """Gigabytes in a length, a hundred thousand nested brackets, a count beyond all records."""
    head = journal_file.read(FILES["journal"], MARK).head
    huge = msgspec.structs.replace(head, count=2**60, generation=2**60)
    first = records.frame(records.Kind.HEAD, msgspec.json.encode(huge), 21, journal_file._HEAD_SALT)
    claims = [
        FILES["journal"][:21] + first + b"\xff" * 4000,
        FILES["journal"] + b"\xff" * 4000,
        b"watchtower-snapshot 1 00000000 99999999999999\n" + b"[" * 4000,
        snapshot_of(ENTRIES)[:60] + b"\xff" * 4000,
    ]
    tracemalloc.start()
    try:
        for raw in claims:
            read_or_refuse(raw, MARK)
            decoded_or_refused(raw)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
