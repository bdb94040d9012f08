"""A peer's folder and its files: what is refused, and with which words."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from pysyncobj.journal import FileJournal

from watchtower.cluster import library, snapshot
from watchtower.cluster.journal import Storage
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import SnapshotFile
from watchtower.core.model import State
from watchtower.errors import ClusterError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder of a peer that ran before: a journal from entry 4 on, and the snapshot before it."""
    library.mend()
    Storage(str(tmp_path), cluster="prod", peer="a").close()
    path = tmp_path / "a"
    journal = FileJournal(str(path / "journal"))
    for index in range(4, 9):
        journal.add(b"\0entry", index, 2)
    journal.setCurrentTerm(2, "b")
    journal._destroy()
    replica = Replica()
    replica.state = State(cluster="prod", members=("a", "b"), last_incident=7)
    last, before = (b"\0x", 5, 2), (b"\0x", 4, 2)
    SnapshotFile(path / "snapshot", "prod", replica).write(str(path / "snapshot"), (last, before, None))
    return path


def reopen(folder: Path, cluster: str = "prod", peer: str = "a") -> None:
    """Open and close the storage of `folder`."""
    Storage(str(folder.parent), cluster=cluster, peer=peer).close()


def test_a_healthy_folder_opens_and_is_private(folder: Path) -> None:
    """Files of an earlier run are accepted; the folder is for this user alone."""
    reopen(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_process_is_refused_with_the_first_ones_number(tmp_path: Path) -> None:
    """Two processes must not write one journal; the message names who holds it."""
    first = Storage(str(tmp_path), cluster="prod", peer="a")
    with pytest.raises(ClusterError, match=rf"in use by another watchtower \(process {os.getpid()}\)"):
        Storage(str(tmp_path), cluster="prod", peer="a")
    first.close()
    Storage(str(tmp_path), cluster="prod", peer="a").close()


def test_a_folder_of_another_cluster_or_peer_is_refused(folder: Path) -> None:
    """A folder says whose it is, and what to do about it."""
    with pytest.raises(ClusterError, match=r"peer 'a' of cluster 'prod'.*'staging'.*storage\.path"):
        reopen(folder, cluster="staging")
    folder.rename(folder.with_name("b"))
    with pytest.raises(ClusterError, match="belongs to peer 'a'"):
        reopen(folder, peer="b")


def test_an_unusable_path_is_told(tmp_path: Path) -> None:
    """A path that cannot be a folder is a ClusterError with the setting to change."""
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match=r"cannot be used.*storage\.path"):
        Storage(str(tmp_path / "file"), cluster="prod", peer="a")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("journal", b"", "no journal"),
        ("journal", b"x" * 100, "no journal"),
        ("journal.meta", b"", "damaged"),
        ("journal.meta", b'{"currentTerm":"x"}', "damaged"),
        ("snapshot", b"", "no watchtower snapshot"),
        ("snapshot", b"watchtower-snapshot 9 0 0\n", "does not know"),
        ("identity.json", b"{", "damaged"),
    ],
)
def test_a_damaged_file_is_refused_and_never_read_as_empty(
    folder: Path, name: str, content: bytes, words: str
) -> None:
    """The message names the file and what is wrong with it."""
    (folder / name).write_bytes(content)
    with pytest.raises(ClusterError, match=f"{name}.*{words}"):
        reopen(folder)


@pytest.mark.parametrize("name", ["journal", "journal.meta", "snapshot"])
def test_a_missing_file_of_several_is_refused(folder: Path, name: str) -> None:
    """Losing one file loses votes or acknowledged entries: better not start, and say what to do."""
    (folder / name).unlink()
    with pytest.raises(ClusterError, match=f"{name} is missing.*move .* away"):
        reopen(folder)


def test_a_cut_journal_is_refused(folder: Path) -> None:
    """A journal that ends inside a record is damaged."""
    journal = folder / "journal"
    journal.write_bytes(journal.read_bytes()[:100])
    with pytest.raises(ClusterError, match="journal is damaged at byte"):
        reopen(folder)


def test_zeros_inside_the_journal_are_refused(folder: Path) -> None:
    """A page that never reached the disk reads as zeros; that is damage too."""
    journal = folder / "journal"
    raw = bytearray(journal.read_bytes())
    raw[70:140] = bytes(70)
    journal.write_bytes(raw)
    with pytest.raises(ClusterError, match="journal is damaged"):
        reopen(folder)


def test_every_flipped_byte_of_a_snapshot_is_found(folder: Path) -> None:
    """The checksum covers all of it, its own header included."""
    path = folder / "snapshot"
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(ClusterError):
            snapshot.load(path)


def test_a_snapshot_restores_the_state_and_the_end_of_the_log(folder: Path) -> None:
    """What was written is what is read."""
    replica = Replica()
    restored = SnapshotFile(folder / "snapshot", "prod", replica).read(str(folder / "snapshot"))
    assert restored == ((b"\0x", 5, 2), (b"\0x", 4, 2), [])
    assert replica.state == State(cluster="prod", members=("a", "b"), last_incident=7)


def test_a_snapshot_that_cannot_be_restored_halts_the_replica(folder: Path) -> None:
    """Where pysyncobj would go on with an empty state, the replica does not."""
    replica = Replica()
    with pytest.raises(ClusterError):
        SnapshotFile(folder / "snapshot", "staging", replica).read(str(folder / "snapshot"))
    assert "cluster 'prod'" in replica.halted


def test_a_damaged_snapshot_is_never_installed(folder: Path) -> None:
    """A snapshot that arrived broken leaves the one on disk as it is."""
    good = (folder / "snapshot").read_bytes()
    fresh = folder / "snapshot.1.tmp"
    fresh.write_bytes(good[:-1])
    with pytest.raises(ClusterError):
        snapshot.install(str(fresh), str(folder / "snapshot"))
    assert (folder / "snapshot").read_bytes() == good


def test_term_and_vote_are_json_on_disk_at_once(tmp_path: Path) -> None:
    """A vote is on disk before anybody hears of it, and no pickle is."""
    library.mend()
    journal = FileJournal(str(tmp_path / "journal"))
    journal.setCurrentTerm(5, "b")
    stored = msgspec.json.decode((tmp_path / "journal.meta").read_bytes())
    assert stored == {"currentTerm": 5, "votedForNodeId": "b"}
    journal._destroy()


def test_another_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What we rely on was read in one version; another one is told in words."""
    monkeypatch.setattr(library, "VERSION", "0.3.18")
    with pytest.raises(ClusterError, match=r"pysyncobj 0\.3\.18 is installed.*pip install"):
        library.mend()
