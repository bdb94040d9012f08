"""The engine of one peer without thread or wire: whom it counts, and how it steps back and returns."""

from __future__ import annotations

import pytest
from support.core_support import HASH, WALL, Book, instant, settings
from support.sim_disk import SimDisk

from watchtower.cluster.engine import Engine
from watchtower.cluster.frames import Message
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage
from watchtower.core import commands as c
from watchtower.core.model import Instant

CONFIG = settings()


class StillClock:
    """It is always the same moment."""

    def now(self) -> Instant:
        """Both clocks."""
        return instant(100.0)


def started(disk: SimDisk) -> Engine:
    """Peer a of a, b, c on this disk."""
    storage = Storage(disk, cluster="test", peer="a", alone=False, new_id=lambda: "disk")

    def send(_peer: str, _message: Message) -> bool:
        return True

    return Engine(CONFIG, storage, Replica(), StillClock(), send)


def crashed(*commands: tuple[str, c.Command], commit_index: int) -> SimDisk:
    """The disk of a peer with a founded cluster and these commands in its log, so much known as committed."""
    disk, book = SimDisk(), Book()
    for by, command in commands:
        book.do(by, command)
    storage = Storage(disk, cluster="test", peer="a", alone=False, new_id=lambda: "disk")
    journal = storage.journal
    journal.set_quarantine("")
    journal.add(b"\1", 1, 0)
    for index, entry in enumerate(book.entries, start=2):
        journal.add(b"\0" + c.encode(entry).encode(), index, 1)
    journal.setCurrentTerm(1, "a")
    journal.setRaftCommitIndex(commit_index)
    journal._destroy()
    return disk


def report(seq: int = 1) -> c.Report:
    """A peer confirms the first members."""
    return c.Report(seq=seq, full=False, config_hash=HASH, at_wall=WALL, members_gen=1)


REMOVE = c.Resize(members=("a", "b"), members_gen=1, at_wall=WALL)


def test_the_members_are_those_of_the_file_until_a_cluster_is_founded() -> None:
    """Before the first entry there is nothing else to go by."""
    engine = started(SimDisk())
    engine.tick()
    assert engine.status.members == ("a", "b", "c")
    assert engine.status.quarantine == "its data folder is empty; waits for word of b, c"


@pytest.mark.parametrize("commit_index", [1, 5, 12])
def test_after_a_crash_a_peer_does_not_fall_behind_the_members_it_had_confirmed(commit_index: int) -> None:
    """What it knows as committed may be old: its log holds the change, and the others may have gone on."""
    disk = crashed(("a", report()), ("b", report()), ("a", REMOVE), commit_index=commit_index)
    engine = started(disk)
    assert engine.replica.state.members == ()
    engine.tick()
    assert engine.status.members == ("a", "b")


def test_a_change_that_the_ledger_refuses_changes_nothing() -> None:
    """It stands in the log, but b had not confirmed the members before it."""
    disk = crashed(("a", report()), ("a", REMOVE), commit_index=1)
    engine = started(disk)
    engine.tick()
    assert engine.status.members == ("a", "b", "c")


def test_an_engine_on_a_full_disk_is_as_if_not_there_and_says_so() -> None:
    """No role, no leader, nothing proposed; it comes back when there is room."""
    disk = crashed(commit_index=1)
    engine = started(disk)
    disk.full = True
    engine.connected("b")
    engine.received("b", {"type": "request_vote", "term": 9, "last_log_index": 99, "last_log_term": 8})
    fates: list[c.Answer | None] = []
    engine.propose("anything", fates.append)
    assert not engine.tick()
    assert (engine.status.role, engine.status.trouble) == ("follower", "no space left on device")
    assert fates == [None]
    disk.full = False
    engine._heal_at_s = 0.0
    assert engine.tick()
    assert engine.status.trouble == ""
