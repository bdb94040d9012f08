"""What a start makes of a peer's folder: whose it is, what is damaged in it, and with which words."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest
from support.sim_disk import SimDisk
from support.storage_support import (
    CLUSTER,
    Memory,
    history,
    open_storage,
    snapshot_of,
    state_after,
    used_disk,
)

from watchtower.cluster import identity, journal_file, snapshot
from watchtower.cluster.storage import Storage, open_folder
from watchtower.errors import ClusterError

# ---- the folder


def test_the_folder_is_made_and_private(tmp_path: Path) -> None:
    """It holds everything the peer promised: for this user alone, also when it was there before."""
    (tmp_path / "data" / "a").mkdir(parents=True)
    folder = open_folder(str(tmp_path / "data"), "a")
    assert (tmp_path / "data" / "a").stat().st_mode & 0o777 == 0o700
    Storage(folder.disk, cluster=CLUSTER, peer="a", alone=True, new_id=lambda: "d")
    folder.close()
    assert (tmp_path / "data" / "a" / "journal").stat().st_mode & 0o777 == 0o600


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    """Two processes must not write one journal; the message names who holds it."""
    first = open_folder(str(tmp_path), "a")
    with pytest.raises(ClusterError, match=rf"in use by another watchtower \(process {os.getpid()}\)"):
        open_folder(str(tmp_path), "a")
    first.close()
    open_folder(str(tmp_path), "a").close()


def test_an_unusable_path_is_told(tmp_path: Path) -> None:
    """A path that cannot be a folder is a ClusterError with the setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match=r"cannot be used: not a directory.*storage\.path"):
        open_folder(str(tmp_path / "file"), "a")


def test_a_real_folder_is_found_again(tmp_path: Path) -> None:
    """The same as on the simulated disk, with real files."""
    for count in (3, 5):
        folder = open_folder(str(tmp_path), "a")
        storage = Storage(folder.disk, cluster=CLUSTER, peer="a", alone=True, new_id=lambda: "d")
        journal = storage.journal
        for entry in history(count)[len(journal) :]:
            journal.add(*entry)
        journal.flush()
        folder.close()
    assert storage.findings == ()
    assert journal[:] == history(5)


# ---- whose folder it is


def test_an_empty_folder_is_a_new_disk_without_memory() -> None:
    """It is kept in the journal until somebody clears it there."""
    disk = SimDisk()
    storage = open_storage(disk)
    assert storage.amnesia == "its data folder is empty"
    again = open_storage(disk)
    assert (again.amnesia, again.disk_id) == (storage.amnesia, storage.disk_id)
    again.journal.set_quarantine("")
    again.journal.flush()
    assert open_storage(disk).amnesia == ""
    disk.wipe()
    assert open_storage(disk).disk_id != storage.disk_id


def test_a_peer_that_is_alone_has_nobody_to_ask() -> None:
    """An empty folder is a new cluster of one."""
    assert open_storage(SimDisk(), alone=True).amnesia == ""


def test_a_folder_of_another_peer_or_cluster_is_refused() -> None:
    """A folder says whose it is, and what to do about it; nothing in it is touched."""
    disk, _ = used_disk()
    operations = disk.operations
    with pytest.raises(ClusterError, match=r"peer 'a' of cluster 'prod'.*'staging'.*storage\.path"):
        open_storage(disk, cluster="staging")
    with pytest.raises(ClusterError, match=r"belongs to peer 'a'.*this is peer 'b'"):
        open_storage(disk, peer="b")
    disk.lose("identity.json")
    with pytest.raises(ClusterError, match=r"journal belongs to peer 'a'"):
        open_storage(disk, peer="b")
    assert disk.operations == operations


def test_a_folder_from_before_the_first_release_is_refused() -> None:
    """Both files of it say so."""
    disk = SimDisk()
    disk.put("journal", b"PYSYNCOBJ\0" + bytes(80))
    with pytest.raises(
        ClusterError, match=r"journal was written by .* before its first release: move the folder"
    ):
        open_storage(disk)
    disk.put("identity.json", b'{"format":1,"cluster":"prod","peer":"a"}')
    with pytest.raises(ClusterError, match=r"identity\.json was written by .* before its first release"):
        open_storage(disk)


FORMATS = pytest.mark.parametrize(
    ("name", "old"),
    [("journal", b"journal 1"), ("snapshot", b"snapshot 1"), ("identity.json", b'"format":2')],
)


@FORMATS
def test_a_newer_format_is_refused_by_its_number(name: str, old: bytes, seven: dict[str, bytes]) -> None:
    """It is no damage: nothing is set aside."""
    disk, _ = used_disk()
    disk.put(name, seven[name])
    with pytest.raises(ClusterError, match=rf"{name} has format 7, this watchtower knows format \d"):
        open_storage(disk)
    assert not any("damaged" in each for each in disk.names())


@pytest.fixture
def seven(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of a watchtower that writes format 7."""
    line = b"watchtower-journal 7\n"
    with monkeypatch.context() as newer:
        newer.setattr(journal_file, "_FIRST_LINE", line)
        newer.setattr(journal_file, "_HEAD_SALT", zlib.crc32(line))
        newer.setattr(snapshot, "FORMAT", 7)
        disk, _ = used_disk()
    whose = identity.Identity(format=7, cluster=CLUSTER, peer="a", disk_id="d")
    return {
        "journal": line + disk.content("journal")[len(line) :],
        "snapshot": disk.content("snapshot"),
        "identity.json": identity.encode(whose),
    }


@FORMATS
@pytest.mark.parametrize("digit", [b"0", b"3", b"9"])
def test_a_rotten_format_is_damage(name: str, old: bytes, digit: bytes) -> None:
    """The checksum covers it: one flipped bit must not look like another version's file."""
    disk, _ = used_disk()
    disk.put(name, disk.content(name).replace(old, old[:-1] + digit, 1))
    found = open_storage(disk).findings
    assert any(f"{name} is damaged" in text for text in found), found


# ---- damage

FLIPPED, ZEROED, CUT, EMPTY, FOREIGN, MISSING, UNREADABLE = DAMAGES = (
    "flipped",
    "zeroed",
    "cut",
    "empty",
    "foreign",
    "missing",
    "unreadable",
)
WELL, REPAIRED, QUARANTINED = "goes on", "is repaired", "is quarantined"
OUTCOMES = {
    ("journal",): QUARANTINED,
    ("snapshot",): REPAIRED,
    ("identity.json",): WELL,
    ("journal.mark",): WELL,
    ("journal.previous",): WELL,
    ("snapshot.previous",): WELL,
    ("identity.json", "snapshot"): REPAIRED,
    ("journal", "snapshot"): QUARANTINED,
    ("journal", "identity.json"): QUARANTINED,
    ("snapshot", "journal.previous"): QUARANTINED,
    ("snapshot", "snapshot.previous"): QUARANTINED,
    ("snapshot", "snapshot.previous", "journal", "journal.previous"): QUARANTINED,
}
"""What a start makes of files that are damaged together."""


def damage(disk: SimDisk, name: str, kind: str) -> None:
    """Damage one file."""
    size = len(disk.content(name))
    acts = {
        FLIPPED: lambda: disk.flip(name, size // 2),
        ZEROED: lambda: disk.zero(name, size // 4, 3 * size // 4),
        CUT: lambda: disk.cut(name, 2 * size // 3),
        EMPTY: lambda: disk.cut(name, 0),
        FOREIGN: lambda: disk.put(name, b"#!/bin/sh\necho hello\n" * 20),
        MISSING: lambda: disk.lose(name),
        UNREADABLE: lambda: disk.spoil(name),
    }
    acts[kind]()


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("names", OUTCOMES, ids=" and ".join)
def test_damage_is_never_read_as_empty(names: tuple[str, ...], kind: str) -> None:
    """It goes on, or repairs what it can show to be complete, or must be refilled; a second start agrees."""
    disk, entries = used_disk()
    old_id = open_storage(disk.copy()).disk_id
    for name in names:
        damage(disk, name, kind)
    expected = OUTCOMES[names]
    memory = Memory(disk)
    storage = memory.storage
    if expected == QUARANTINED:
        assert_quarantined(memory, old_id, names)
    else:
        assert (storage.amnesia, storage.disk_id) == ("", old_id)
        assert memory.replay() == state_after(entries)
        assert memory.journal.getCurrentTerm() == 1
        assert any("repaired" in finding for finding in storage.findings) == (expected == REPAIRED)
    memory.journal.flush()
    again = Memory(disk)
    assert (again.storage.amnesia, again.storage.disk_id) == (storage.amnesia, storage.disk_id)
    assert again.replay() == memory.replay()
    assert again.journal[:] == memory.journal[:]


def assert_quarantined(memory: Memory, old_id: str, names: tuple[str, ...]) -> None:
    """It says what is damaged, starts from what is valid, and has promised nothing."""
    storage = memory.storage
    assert storage.amnesia.split(" ")[0] in names
    assert storage.disk_id != old_id
    assert "set aside" in storage.findings[-1]
    assert storage.journal.getVotedForNodeId() is None
    assert memory.replay() == state_after(history(memory.applied))
    assert len(memory.journal) == (2 if storage.snapshots.exists else 1)


@pytest.mark.parametrize("names", [names for names, outcome in OUTCOMES.items() if outcome == QUARANTINED])
def test_a_peer_that_is_alone_refuses_damage_and_touches_nothing(names: tuple[str, ...]) -> None:
    """There is nobody to copy from: only people can decide."""
    disk, _ = used_disk()
    for name in names:
        damage(disk, name, FLIPPED)
    before = {name: disk.content(name) for name in disk.names()}
    with pytest.raises(ClusterError, match=r"is damaged.*cluster restore.*cluster rescue"):
        open_storage(disk, alone=True)
    assert {name: disk.content(name) for name in disk.names()} == before


def test_no_flipped_bit_makes_a_folder_somebody_elses() -> None:
    """The identity is written anew from the journal, which says the same."""
    disk, _ = used_disk()
    good = disk.content("identity.json")
    for place in range(len(good)):
        copy = disk.copy()
        copy.flip("identity.json", place)
        if b'"format":2' not in copy.content("identity.json"):
            continue
        assert open_storage(copy).amnesia == ""
        assert copy.content("identity.json") == good


def test_a_peer_that_is_alone_repairs_what_can_be_repaired() -> None:
    """Nothing is lost by it."""
    disk, entries = used_disk()
    disk.flip("snapshot", 100)
    assert Memory(disk, alone=True).replay() == state_after(entries)


def test_a_log_from_the_beginning_needs_no_snapshot() -> None:
    """A damaged first snapshot is made again from the log before it."""
    disk = SimDisk()
    memory = Memory(disk, alone=True)
    memory.append(5, 1)
    memory.commit(4)
    memory.compact()
    memory.journal.flush()
    assert "snapshot.previous" not in disk.names()
    disk.lose("snapshot")
    again = Memory(disk, alone=True)
    assert again.journal[:] == history(6)
    assert "snapshot is missing, but the journal begins at entry 3; repaired" in again.storage.findings[0]


def test_a_quarantine_outlives_a_restart_and_keeps_two_damaged_files() -> None:
    """Damage after damage: the newest two are there for whoever wants to look."""
    disk, _ = used_disk()
    for _ in range(4):
        disk.flip("journal", 300)
        reason = open_storage(disk).amnesia
        assert reason.startswith("journal is damaged at byte")
        assert open_storage(disk).amnesia == reason
        memory = Memory(disk)
        memory.append(9, 1)
        memory.journal.flush()
    names = [name for name in disk.names() if "damaged" in name]
    assert names == ["journal.damaged", "journal.damaged.older"]


def test_a_journal_from_before_the_memory_was_lost_is_damage() -> None:
    """Somebody put the damaged one, or an old copy, back: its promises are void."""
    disk, _ = used_disk()
    old = disk.content("journal")
    disk.flip("journal", 300)
    storage = open_storage(disk)
    storage.journal.set_quarantine("")
    storage.journal.flush()
    disk.put("journal", old)
    assert open_storage(disk).amnesia == "journal is from before this peer lost its memory"


@pytest.mark.parametrize("further", [1, 2])
def test_two_logs_are_joined_only_by_an_entry_of_both(further: int) -> None:
    """After a leader's snapshot the old log is another one, though its numbers fit, or nearly."""
    disk, entries = used_disk()
    memory = Memory(disk)
    assert memory.install(snapshot_of(history(len(entries) + further, term=3)))
    memory.journal.flush()
    assert memory.journal[0][1] == len(entries) - 1 + further
    disk.flip("snapshot", 100)
    assert "checksum does not match" in open_storage(disk).amnesia


def test_nothing_is_committed_that_is_not_there() -> None:
    """Else the next entry would be applied before anybody else has it."""
    disk, entries = used_disk()
    reading = journal_file.read(disk.content("journal"), journal_file.Mark())
    reading.commit_index = 99
    disk.put("journal", journal_file.image(reading, reading.head.generation)[0])
    disk.lose("journal.mark")
    assert open_storage(disk).journal.getRaftCommitIndex() == len(entries)


def test_a_crash_between_snapshot_and_journal_begins_the_log_at_the_snapshot() -> None:
    """Else pysyncobj would throw the whole log away at its start."""
    disk, entries = used_disk()
    ahead = history(60)
    assert Memory(disk).install(snapshot_of(ahead))
    memory = Memory(disk)
    assert memory.journal[:] == ahead[-2:]
    assert memory.journal.getRaftCommitIndex() == 60
    memory = Memory(used_disk()[0])
    memory.commit(memory.last[1] - 1)
    memory.compact()
    again = Memory(memory.disk)
    assert again.journal[:] == entries[-3:]
    assert again.storage.findings == ()


def test_a_torn_end_is_cut_and_said() -> None:
    """Nobody had been told of it."""
    disk, entries = used_disk()
    disk.append("journal", b"torn")
    storage = open_storage(disk)
    assert storage.findings == ("A crash tore the end of the journal: cut off; nobody had been told of it.",)
    assert storage.amnesia == ""
    assert storage.journal[-1] == entries[-1]


def test_a_full_disk_does_not_keep_a_peer_from_starting() -> None:
    """It is in trouble until there is room; only a first start and a repair need room at once."""
    disk, entries = used_disk()
    disk.full = True
    memory = Memory(disk)
    with pytest.raises(OSError, match="No space"):
        memory.journal.flush()
    assert memory.replay() == state_after(entries)
    disk.full = False
    assert memory.journal.heal()
    empty = SimDisk()
    empty.full = True
    with pytest.raises(
        ClusterError, match=r"the simulated disk cannot be used: no space left.*storage\.path"
    ):
        open_storage(empty)


def test_a_file_without_permission_is_no_damage(tmp_path: Path) -> None:
    """Nothing is set aside: the message says what the system said."""
    folder = open_folder(str(tmp_path), "a")
    Storage(folder.disk, cluster=CLUSTER, peer="a", alone=False, new_id=lambda: "d")
    (tmp_path / "a" / "journal").unlink()
    (tmp_path / "a" / "journal").mkdir()
    with pytest.raises(ClusterError, match=r"cannot be used: is a directory"):
        Storage(folder.disk, cluster=CLUSTER, peer="a", alone=False, new_id=lambda: "d")
    folder.close()
