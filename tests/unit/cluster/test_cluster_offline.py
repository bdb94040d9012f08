"""A stopped peer's folder: begin alone, rescue, restore, and every state in which each of them refuses.

Real folders and the real storage; the cluster with real processes is in tests/cluster.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.core_support import settings as some_settings

from watchtower.cluster import backup, offline
from watchtower.cluster.snapshot import Content
from watchtower.cluster.storage import EMPTY, Storage, open_folder
from watchtower.core.commands import BeatSeen, Entry, Found, Join, encode
from watchtower.core.model import State
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError

MEMBERS = ("a", "b", "c")
_numbers = count(1)


def new_id() -> str:
    """A disk id that no other call gave."""
    return f"disk-{next(_numbers)}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Peer a of three, with its folder in a place of its own."""
    return replace(some_settings(), me="a", storage_path=str(tmp_path / "data"))


def entry(by: str, command: Found | Join | BeatSeen, session: int = 0, v: int = 1) -> bytes:
    """A regular command as it stands in pysyncobj's log."""
    return (
        b"\0" + encode(Entry(v=v, by=by, boot=f"boot-{by}", seq=1, session=session, command=command)).encode()
    )


def founding(cluster: str) -> bytes:
    """The first entry of a ledger."""
    return entry("a", Found(cluster=cluster, members=MEMBERS, at_wall=1.0))


def join(peer: str) -> bytes:
    """A session of `peer` begins."""
    return entry(peer, Join(boot_id=f"boot-{peer}", version="1", command_version=1, at_wall=2.0))


def beat(at_wall: float) -> bytes:
    """A heartbeat: an entry whose effect is easy to see."""
    return entry("b", BeatSeen(service="nightly", at_wall=at_wall))


@pytest.fixture
def ran(settings: Settings) -> Callable[..., None]:
    """Give peer a the log of an earlier life: these commands in term 3, all but the last few committed."""

    def fill(*log: bytes, uncertain: int = 0, settings: Settings = settings) -> None:
        with opened(settings) as storage:
            storage.journal.set_quarantine("")
            storage.journal.setCurrentTerm(3, "b")
            for index, command in enumerate((b"\1", *log), start=1):
                storage.journal.add(command, index, 3)
            storage.journal.setRaftCommitIndex(len(log) + 1 - uncertain)
            storage.journal._destroy()

    return fill


class opened:  # noqa: N801 - used as a block
    """The storage of a peer, as it opens it at its start."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Storage:
        self._folder = open_folder(self._settings.storage_path, self._settings.me)
        return Storage(
            self._folder.disk,
            cluster=self._settings.cluster.name,
            peer=self._settings.me,
            alone=False,
            new_id=new_id,
        )

    def __exit__(self, *_: object) -> None:
        self._folder.close()


def content_of(settings: Settings) -> Content:
    """The snapshot that the peer will start from; its log begins there, and it may vote."""
    with opened(settings) as storage:
        content = storage.snapshots.load()
        assert content is not None
        assert storage.journal.quarantine == ""
        assert storage.journal[:] == [content.before, content.last]
    return content


# ---- bootstrap


def test_a_bootstrapped_peer_votes(settings: Settings) -> None:
    """A blank peer is in quarantine until it is said that it may begin; saying it twice changes nothing."""
    with opened(settings) as storage:
        assert storage.amnesia == EMPTY
        before = storage.disk_id
    for _ in range(2):
        assert offline.bootstrap(settings, new_id=new_id) == str(offline.folder_of(settings))
    with opened(settings) as storage:
        assert (storage.amnesia, storage.disk_id) == ("", before)


def test_a_peer_without_a_folder_is_bootstrapped_too(settings: Settings) -> None:
    """It need not have been started before."""
    offline.bootstrap(settings, new_id=new_id)
    with opened(settings) as storage:
        assert storage.amnesia == ""


def test_a_peer_that_has_run_is_not_bootstrapped(settings: Settings, ran: Callable[..., None]) -> None:
    """Nor one that has lost its memory: both may have promised something."""
    ran(founding(settings.cluster.name), join("a"))
    with pytest.raises(ClusterError, match=r"is not blank.*cluster rescue"):
        offline.bootstrap(settings, new_id=new_id)


def test_a_damaged_peer_is_not_bootstrapped(settings: Settings, ran: Callable[..., None]) -> None:
    """Its journal is gone, so it looks blank, but its quarantine has another reason."""
    ran(founding(settings.cluster.name))
    (offline.folder_of(settings) / "journal").write_bytes(b"")
    with pytest.raises(ClusterError, match="is not blank"):
        offline.bootstrap(settings, new_id=new_id)


# ---- rescue


def test_a_survivor_becomes_the_cluster_with_all_that_it_has(
    settings: Settings, ran: Callable[..., None]
) -> None:
    """Also what it cannot know to be committed; the others go, but their sessions' numbers stay used."""
    ran(founding(settings.cluster.name), join("a"), join("b"), beat(5.0), beat(9.0), uncertain=2)
    begun = offline.rescue(settings, new_id=new_id)
    assert begun.uncertain == 2
    content = content_of(settings)
    state = content.state
    assert (state.members, state.members_gen, sorted(state.peers)) == (("a",), 1_002, ["a"])
    assert state.beats["nightly"].at_wall == 9.0
    assert state.session_base == 1
    assert state == begun.state
    assert content.last[1:] == (8, 1003)
    folder = offline.folder_of(settings)
    assert [name for name in begun.kept_as if not (folder / name).exists()] == []
    assert begun.kept_as == ("journal.before-rescue1",)


def test_a_rescue_makes_another_disk_of_it(settings: Settings, ran: Callable[..., None]) -> None:
    """Nobody who knew the old one counts on what it promised."""
    ran(founding(settings.cluster.name), join("a"))
    with opened(settings) as storage:
        before = storage.disk_id
    offline.rescue(settings, new_id=new_id)
    with opened(settings) as storage:
        assert storage.disk_id != before
        assert storage.findings == ()
        assert storage.journal.getCurrentTerm() == 1003


def test_a_rescue_goes_on_from_a_snapshot(settings: Settings, ran: Callable[..., None]) -> None:
    """A second rescue starts from the first one's snapshot, and keeps both copies."""
    ran(founding(settings.cluster.name), join("a"))
    offline.rescue(settings, new_id=new_id)
    begun = offline.rescue(settings, new_id=new_id)
    assert (begun.state.members, begun.state.members_gen) == (("a",), 2_003)
    assert begun.kept_as == ("journal.before-rescue2", "snapshot.before-rescue2")
    assert content_of(settings).last[1:] == (7, 2003)


def test_a_rescue_of_damaged_files_takes_what_is_left(settings: Settings, ran: Callable[..., None]) -> None:
    """The best snapshot is still somebody's last hope, and what was lost is said."""
    ran(founding(settings.cluster.name), join("a"))
    offline.rescue(settings, new_id=new_id)
    (offline.folder_of(settings) / "journal").write_bytes(b"garbage")
    begun = offline.rescue(settings, new_id=new_id)
    assert "journal is no journal of watchtower" in begun.findings[0]
    assert begun.state.members == ("a",)


def test_nothing_is_rescued_from_nothing(settings: Settings, ran: Callable[..., None]) -> None:
    """No folder, a folder without a ledger, a ledger without this peer, another cluster's ledger."""
    with pytest.raises(ClusterError, match="there is nothing in"):
        offline.rescue(settings, new_id=new_id)
    assert not offline.folder_of(settings).exists()
    ran()
    with pytest.raises(ClusterError, match="holds nothing of a cluster"):
        offline.rescue(settings, new_id=new_id)


def test_a_peer_that_is_no_member_is_not_rescued(settings: Settings, ran: Callable[..., None]) -> None:
    """It may be long behind; a member knows better."""
    found = Found(cluster=settings.cluster.name, members=("b", "c", "d"), at_wall=1.0)
    ran(entry("b", found))
    with pytest.raises(ClusterError, match="a is no member by its own ledger"):
        offline.rescue(settings, new_id=new_id)


def test_entries_of_a_newer_version_are_not_guessed_at(settings: Settings, ran: Callable[..., None]) -> None:
    """Skipping them would lose what people were told."""
    ran(founding(settings.cluster.name), entry("a", BeatSeen(service="x", at_wall=1.0), v=99))
    with pytest.raises(ClusterError, match="rescue with the version of watchtower that wrote it"):
        offline.rescue(settings, new_id=new_id)


def test_a_running_peer_is_not_touched(settings: Settings, ran: Callable[..., None]) -> None:
    """The lock shows it, for each of the three."""
    ran(founding(settings.cluster.name), join("a"))
    raw = backup.encode(State(cluster=settings.cluster.name, members=MEMBERS, members_gen=1))
    with opened(settings):
        for act in (
            lambda: offline.rescue(settings, new_id=new_id),
            lambda: offline.bootstrap(settings, new_id=new_id),
            lambda: offline.restore(settings, raw, new_id=new_id),
        ):
            with pytest.raises(
                ClusterError, match=rf"in use by another watchtower \(process {os.getpid()}\)"
            ):
                act()


def test_a_folder_of_another_user_is_not_touched(
    settings: Settings, ran: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer could not read what root writes."""
    ran(founding(settings.cluster.name), join("a"))
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ClusterError, match=r"belongs to another user.*sudo -u"):
        offline.rescue(settings, new_id=new_id)


# ---- restore


@pytest.fixture
def saved(settings: Settings) -> Iterator[bytes]:
    """A backup of the cluster after 40 entries."""
    state = State(entries=40, cluster=settings.cluster.name, members=MEMBERS, members_gen=4, last_incident=7)
    return backup.encode(state)  # type: ignore[return-value] # a fixture gives what it returns


def test_a_backup_is_restored_into_an_empty_folder(settings: Settings, saved: bytes) -> None:
    """With this peer as the only member, and indexes that go on from there."""
    offline.restore(settings, saved, new_id=new_id)
    content = content_of(settings)
    assert (content.state.members, content.state.members_gen, content.state.last_incident) == (
        ("a",),
        1_005,
        7,
    )
    assert content.last[1:] == (42, 1040)


def test_a_restore_overwrites_nothing(settings: Settings, saved: bytes, ran: Callable[..., None]) -> None:
    """Whoever means it moves the folder away."""
    ran(founding(settings.cluster.name))
    with pytest.raises(ClusterError, match=r"is not empty .*move it away"):
        offline.restore(settings, saved, new_id=new_id)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda raw: raw[:-1], "is damaged"),
        (lambda raw: raw.replace(b'"last_incident":7', b'"last_incident":8'), "is damaged"),
        (lambda _: b"not a backup", "no watchtower backup"),
        (lambda _: b"", "no watchtower backup"),
        (lambda _: backup.encode(State(cluster="other", members=("a",))), "is of cluster 'other'"),
        (lambda _: backup.encode(State()), "holds nothing of a cluster"),
        (lambda _: backup.encode(State(cluster="prod", gate=99)), "newer watchtower"),
    ],
)
def test_what_is_no_backup_of_ours_is_refused(
    settings: Settings, saved: bytes, spoil: Callable[[bytes], bytes], words: str
) -> None:
    """And the folder stays empty, so that the right one can follow."""
    named = replace(settings, cluster=replace(settings.cluster, name="prod"))
    with pytest.raises(ClusterError, match=words):
        offline.restore(named, spoil(saved), new_id=new_id)
    folder = offline.folder_of(settings)
    assert not folder.exists() or [path.name for path in folder.iterdir()] == ["lock"]
