"""The engine of one peer without thread or wire: whom it counts, and how it steps back and returns."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from random import Random

import pytest
from support.core_support import HASH, WALL, Book, instant, settings
from support.sim_disk import SimDisk

from watchtower.cluster import library
from watchtower.cluster.engine import Engine
from watchtower.cluster.frames import Message
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import Content, encode
from watchtower.cluster.storage import Storage
from watchtower.core import commands as c
from watchtower.core.model import Instant
from watchtower.errors import ClusterError

CONFIG = settings()
PEERS = ("a", "b", "c")


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


def test_a_change_of_the_members_that_another_leader_replaced_led_nowhere() -> None:
    """It stood in the log and was never committed: once it is cut, the members are the applied ones again."""
    disk = crashed(("a", report()), ("b", report()), ("a", REMOVE), commit_index=1)
    engine = started(disk)
    tail = engine._consensus.inside.tail
    engine.connected("b")
    another = {"entries": [(b"\1", tail.index, 2)], "prevLogIdx": tail.index - 1, "prevLogTerm": 1}
    engine.received("b", {"type": "append_entries", "term": 2, "commit_index": 1, **another})
    engine.tick()
    assert engine.status.members == ("a", "b", "c")


def test_the_only_member_refuses_to_go_on_from_damage() -> None:
    """Whatever its file says of other peers: nobody could refill it, as between a rescue and a resize."""
    disk = SimDisk()
    storage = Storage(disk, cluster="test", peer="a", alone=False, new_id=lambda: "disk")
    state = Book(peers=("a",)).state
    before, last = (b"\1", 8, 3), (b"\1", 9, 3)
    storage.snapshots.write(encode(Content(cluster="test", last=last, before=before, state=state)))
    storage.journal.clear()
    storage.journal.add(*before)
    storage.journal.add(*last)
    storage.journal.set_quarantine("the journal is damaged at byte 99")
    storage.journal.flush()
    with pytest.raises(ClusterError, match="byte 99, and the cluster has no other member to copy from"):
        started(disk)


class Trio:
    """Three engines that hear each other at once, on a clock that each turn moves on by 50 ms."""

    def __init__(self) -> None:
        self.clock_s = 1000.0
        library.use(now_s=lambda: self.clock_s, dice=Random(3))  # noqa: S311 - the same in every run
        self.flying: list[tuple[str, str, Message]] = []
        self.engines = {me: self._engine(me) for me in PEERS}
        for me, other in permutations(PEERS, 2):
            self.engines[me].connected(other)
        self.turn(200)

    def _engine(self, me: str) -> Engine:
        disk = SimDisk()
        storage = Storage(disk, cluster="test", peer=me, alone=False, new_id=lambda: f"disk-{me}")

        def send(peer: str, message: Message) -> bool:
            self.flying.append((me, peer, message))
            return True

        return Engine(settings(me=me), storage, Replica(), StillClock(), send)

    def turn(self, times: int = 1) -> None:
        """Everybody ticks, then hears what was said."""
        for _ in range(times):
            self.clock_s += 0.05
            for engine in self.engines.values():
                engine.tick()
            self.deliver()

    def deliver(self) -> None:
        """What was said is heard."""
        flying, self.flying = self.flying, []
        for me, peer, message in flying:
            self.engines[peer].received(me, message)

    @property
    def leader(self) -> str:
        """The one that leads."""
        (leader,) = [me for me, engine in self.engines.items() if engine.status.role == "leader"]
        return leader


@pytest.fixture
def trio() -> Iterator[Trio]:
    """Three engines with a leader; the clock is the real one again afterwards."""
    yield Trio()
    library.use()


def test_a_new_cluster_elects_a_leader_when_all_are_there(trio: Trio) -> None:
    """Three empty disks, all linked: nobody has anything to remember."""
    assert trio.leader in PEERS
    assert all(engine.status.quarantine == "" for engine in trio.engines.values())


def test_a_leader_that_hands_over_takes_no_more_proposals(trio: Trio) -> None:
    """Its successor must stay the most complete: who asks meanwhile hears that it is in no log."""
    first, follower = trio.leader, next(me for me in PEERS if me != trio.leader)
    fates: list[c.Answer | None] = []
    trio.engines[follower].propose("from a follower", fates.append)
    trio.engines[follower].tick()
    assert trio.engines[first].transfer() == ""
    trio.engines[first].propose("from the leader", fates.append)
    assert fates == [None]
    last_index = trio.engines[first]._consensus.inside.tail.index
    trio.turn(10)
    assert trio.leader != first
    assert trio.engines[trio.leader]._consensus.inside.tail.index == last_index + 1, "its own no-op"
    assert fates == [None, None]
    trio.engines[first].propose("afterwards", fates.append)
    trio.turn(10)
    assert fates[2:] == [c.Answer(ok=False, reason="not an entry")]
