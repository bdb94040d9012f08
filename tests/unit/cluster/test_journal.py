"""The journal behind pysyncobj's interface: what a flush promises, and what trouble with the disk changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.sim_disk import SimDisk
from support.storage_support import Memory, command, history, open_storage, used_disk

from watchtower.cluster import journal_file
from watchtower.cluster.journal import Journal
from watchtower.cluster.journal_file import DamageError, Mark, Reading
from watchtower.errors import ClusterError


@pytest.fixture
def disk() -> SimDisk:
    """An empty one."""
    return SimDisk()


@pytest.fixture
def journal(disk: SimDisk) -> Journal:
    """A new journal with three entries, on the disk."""
    journal = open_storage(disk, alone=True).journal
    for entry in history(3):
        journal.add(*entry)
    journal.setCurrentTerm(1, "a")
    journal.flush()
    return journal


def on_disk(disk: SimDisk) -> Reading:
    """What a start would read."""
    return journal_file.read(disk.content("journal"), journal_file.read_mark(disk.content("journal.mark")))


def test_nothing_is_written_before_a_flush_and_all_of_it_by_one(disk: SimDisk, journal: Journal) -> None:
    """Entries, cuts, votes and the commit index leave as one batch with one sync."""
    before, syncs = disk.operations, disk.syncs
    journal.setCurrentTerm(2, None)
    journal.deleteEntriesFrom(2)
    journal.add(command(3, 2), 3, 2)
    journal.setCurrentTerm(2, "b")
    journal.set_quarantine("why")
    assert disk.operations == before
    assert journal.is_dirty
    journal.flush()
    assert (journal.is_dirty, disk.syncs) == (False, syncs + 1)
    found = on_disk(disk)
    assert found.entries == [*history(2), (command(3, 2), 3, 2)]
    assert (found.term, found.voted_for, found.quarantine) == (2, "b", "why")
    journal.flush()
    assert disk.syncs == syncs + 1


def test_it_is_a_sequence_as_pysyncobj_expects(journal: Journal) -> None:
    """Places, slices and the last one; entries are tuples of bytes, index and term."""
    assert (len(journal), journal[0], journal[-1]) == (3, history(1)[0], history(3)[-1])
    assert journal[1:3] == history(3)[1:]
    assert journal[7:] == []
    with pytest.raises(ValueError, match="entry 7 does not follow entry 3"):
        journal.add(b"\0", 7, 1)


def test_the_commit_index_waits_for_what_it_may_rest_on(disk: SimDisk, journal: Journal) -> None:
    """A leader counts itself: its own entry is on the disk before it is committed."""
    journal.add(command(4, 1), 4, 1)
    disk.full = True
    with pytest.raises(OSError, match="No space left"):
        journal.setRaftCommitIndex(4)
    assert journal.getRaftCommitIndex() == 1
    disk.full = False
    assert journal.heal()
    syncs = disk.syncs
    journal.setRaftCommitIndex(4)
    assert (journal.getRaftCommitIndex(), disk.syncs) == (4, syncs)


def test_the_commit_index_goes_with_the_next_batch_or_the_end(disk: SimDisk, journal: Journal) -> None:
    """It is a hint and costs no sync of its own."""
    journal.setRaftCommitIndex(2)
    assert not journal.is_dirty
    journal.add(command(4, 1), 4, 1)
    journal.flush()
    assert on_disk(disk).commit_index == 2
    journal.setRaftCommitIndex(4)
    journal.onOneSecondTimer()
    journal._destroy()
    assert on_disk(disk).commit_index == 4


@pytest.mark.parametrize("fault", ["full", "sync_error"])
def test_in_trouble_it_keeps_everything_and_touches_the_file_no_more(
    disk: SimDisk, journal: Journal, fault: str
) -> None:
    """A failed sync is never tried again on the same file: a new one is written from memory."""
    journal.add(command(4, 1), 4, 1)
    setattr(disk, fault, True)
    with pytest.raises(OSError, match=r".+"):
        journal.flush()
    words = {"full": "no space left on device", "sync_error": "input/output error"}[fault]
    assert (journal.trouble, journal.is_dirty, len(journal)) == (words, True, 4)
    content, operations = disk.content("journal"), disk.operations
    with pytest.raises(OSError, match=words):
        journal.flush()
    assert (disk.content("journal"), disk.operations) == (content, operations)
    assert not journal.heal()
    assert disk.names() == ("identity.json", "journal", "journal.mark"), "a part takes no room"
    setattr(disk, fault, False)
    journal.add(command(5, 1), 5, 1)
    assert journal.heal()
    assert (journal.trouble, journal.is_dirty) == ("", False)
    assert on_disk(disk).entries == history(5)


def test_a_batch_that_was_torn_by_a_full_disk_is_no_damage(disk: SimDisk, journal: Journal) -> None:
    """What was acknowledged before it is found."""
    journal.add(command(4, 1), 4, 1)
    disk.full = True
    with pytest.raises(OSError, match=r".+"):
        journal.flush()
    found = on_disk(disk)
    assert (found.entries, found.is_torn) == (history(3), True)


def test_shortening_writes_a_new_file_and_keeps_the_old_one(disk: SimDisk, journal: Journal) -> None:
    """Only a log that begins later moves the old file; one that heals takes its place."""
    old = disk.content("journal")
    journal.deleteEntriesTo(1)
    journal.flush()
    assert disk.content("journal.previous") == old
    assert on_disk(disk).entries == history(3)[1:]
    assert journal.size_bytes == len(disk.content("journal"))
    disk.sync_error = True
    journal.add(command(4, 1), 4, 1)
    with pytest.raises(OSError, match=r".+"):
        journal.flush()
    disk.sync_error = False
    assert journal.heal()
    assert disk.content("journal.previous") == old


def test_its_size_is_told_before_the_flush_too(disk: SimDisk, journal: Journal) -> None:
    """Whoever shortens it by its size need not wait for the disk."""
    size = journal.size_bytes
    assert size == len(disk.content("journal"))
    journal.add(b"\0" + b"x" * 1000, 4, 1)
    assert journal.size_bytes > size + 1000
    journal.deleteEntriesTo(3)
    assert journal.size_bytes > 1000


# ---- reading


def test_every_flipped_bit_of_what_was_synced_is_found(disk: SimDisk, journal: Journal) -> None:
    """In a file with several batches, the last one covered by the mark beside it."""
    journal.add(command(4, 1), 4, 1)
    journal.flush()
    raw, mark = disk.content("journal"), journal_file.read_mark(disk.content("journal.mark"))
    assert journal_file.read(raw, mark).entries == history(4)
    for place in range(len(raw)):
        for bit in (0, 7):
            damaged = bytearray(raw)
            damaged[place] ^= 1 << bit
            with pytest.raises((DamageError, ClusterError)):
                journal_file.read(bytes(damaged), mark)


def test_every_shortened_file_is_found(disk: SimDisk, journal: Journal) -> None:
    """At the ends of records and batches too, where the file alone looks whole."""
    journal.add(command(4, 1), 4, 1)
    journal.flush()
    raw, mark = disk.content("journal"), journal_file.read_mark(disk.content("journal.mark"))
    for size in range(len(raw)):
        with pytest.raises(DamageError, match=r"is empty|no journal|cut off|damaged"):
            journal_file.read(raw[:size], mark)


def test_without_the_mark_beside_it_only_the_last_batch_may_count_as_torn(
    disk: SimDisk, journal: Journal
) -> None:
    """The batch behind it says that a batch had been synced; nothing says it of the last."""
    ends = [len(disk.content("journal"))]
    for index in (4, 5):
        journal.add(command(index, 1), index, 1)
        journal.flush()
        ends.append(len(disk.content("journal")))
    raw = disk.content("journal")
    for place in range(ends[0], ends[1]):
        with pytest.raises(DamageError):
            journal_file.read(flipped(raw, place), Mark())
    for place in range(ends[1], ends[2]):
        found = journal_file.read(flipped(raw, place), Mark())
        assert (found.entries, found.is_torn) == (history(4), True)


def test_a_file_that_was_written_anew_counts_what_it_held(disk: SimDisk, journal: Journal) -> None:
    """Before its first batch, and without the mark beside it, nothing else tells."""
    journal.deleteEntriesTo(1)
    journal.flush()
    raw = disk.content("journal")
    assert journal_file.read(raw, Mark()).entries == history(3)[1:]
    for place in range(len(raw)):
        for damaged in (flipped(raw, place), raw[:place]):
            with pytest.raises((DamageError, ClusterError)):
                journal_file.read(damaged, Mark())


def flipped(raw: bytes, place: int) -> bytes:
    """With one bit flipped."""
    return raw[:place] + bytes([raw[place] ^ 4]) + raw[place + 1 :]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda _: b"", DamageError, "is empty"),
        (lambda _: b"x" * 200, DamageError, "is no journal of watchtower"),
        (lambda raw: bytes(len(raw)), DamageError, "is no journal of watchtower"),
        (lambda raw: raw.replace(b"journal 1", b"journal 2", 1), DamageError, "damaged in its first line"),
        (lambda _: b"watchtower-journal 2\n" + bytes(90), ClusterError, "has format 2.*knows format 1"),
        (lambda raw: raw.replace(b"journal 1", b"journal x", 1), DamageError, "is no journal"),
        (lambda raw: raw[:40], DamageError, "damaged in its first record"),
        (
            lambda _: b"PYSYNCOBJ\0" + bytes(90),
            ClusterError,
            "before its first release: move the folder away",
        ),
    ],
)
def test_what_is_wrong_is_said(
    disk: SimDisk,
    journal: Journal,
    change: Callable[[bytes], bytes],
    error: type[Exception],
    words: str,
) -> None:
    """A sentence that goes on after the file's name."""
    with pytest.raises(error, match=words):
        journal_file.read(change(disk.content("journal")), Mark())


def test_an_older_copy_of_the_journal_is_found(disk: SimDisk, journal: Journal) -> None:
    """Somebody put one back: it has forgotten what was acknowledged since."""
    older = disk.content("journal")
    journal.deleteEntriesTo(1)
    journal.flush()
    with pytest.raises(DamageError, match="older than the one that was last written"):
        journal_file.read(older, journal_file.read_mark(disk.content("journal.mark")))


@pytest.mark.parametrize(
    "entries",
    [
        [(b"\0x", 1, 0), (b"\0x", 3, 0)],
        [(b"\0x", 1, 5), (b"\0x", 2, 4)],
        [(b"\2membership", 1, 0)],
        [(b"", 1, 0)],
        [(b"\0x", 0, 0)],
        [(b"\0x", 2**60, 0)],
    ],
)
def test_entries_that_would_stop_pysyncobj_are_damage(
    disk: SimDisk, journal: Journal, entries: list[journal_file.LogEntry]
) -> None:
    """Also in a file whose checksums are right."""
    raw, _, _ = journal_file.image(Reading(head=on_disk(disk).head, entries=entries), 1)
    with pytest.raises(DamageError, match="that cannot be there"):
        journal_file.read(raw, Mark())


def test_restoring_equals_replaying() -> None:
    """State from snapshot and tail, byte for byte that of the whole history."""
    disk, entries = used_disk()
    memory = Memory(disk)
    whole = Memory(SimDisk())
    for entry in entries[1:]:
        whole.journal.add(*entry)
    assert memory.storage.snapshots.exists
    assert not whole.storage.snapshots.exists
    assert memory.replay() == whole.replay()
