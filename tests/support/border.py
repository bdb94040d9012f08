"""The guard of peer a on the real library, without a network: what a test says in the name of b and c."""

from __future__ import annotations

import random

from msgspec import structs

from watchtower.cluster import library
from watchtower.cluster.disk import Disk
from watchtower.cluster.exchange import SnapshotExchange
from watchtower.cluster.frames import Message
from watchtower.cluster.library import Consensus
from watchtower.cluster.quarantine import Hello
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage
from watchtower.core.settings import LAN


def entries(*terms: int, first: int) -> list[tuple[bytes, int, int]]:
    """Entries with these terms from index `first`."""
    return [(b"\0", first + place, term) for place, term in enumerate(terms)]


def append(previous: int | None, term: int | None, *terms: int) -> Message:
    """A leader's message: entries with `terms` after the entry `previous` of `term`."""
    return {
        "type": "append_entries",
        "prevLogIdx": previous,
        "prevLogTerm": term,
        "entries": entries(*terms, first=(previous or 0) + 1),
    }


class Border:
    """Peer a of three, with the messages it sent to b and c; they are what a test says in their name.

    It remembers everything unless the test wants otherwise, and its pysyncobj runs on `clock_s`.
    """

    def __init__(self, disk: Disk, *, amnesia: bool = False) -> None:
        self.clock_s = 1000.0
        library.use(now_s=lambda: self.clock_s, dice=random.Random(1))  # noqa: S311 - the same in every run
        self.sent: list[tuple[str, Message]] = []
        self.replica = Replica()
        self.disk = disk
        self.storage = Storage(self.disk, cluster="t", peer="a", alone=False, new_id=lambda: "disk")
        self.journal = self.storage.journal
        self.journal.set_quarantine("its data folder is empty" if amnesia else "")
        self.consensus = Consensus(
            me="a",
            partners=("b", "c"),
            replica=self.replica,
            journal=self.journal,
            disk_id=self.storage.disk_id,
            exchange=SnapshotExchange(self.storage.snapshots, self.replica, "t"),
            timing=LAN,
            send=self.send,
        )
        self.inside = self.consensus.inside
        self.guard = self.consensus.guard
        self.consensus.tick()

    def send(self, peer: str, message: Message) -> bool:
        """What a would send."""
        self.sent.append((peer, message))
        return True

    def kinds(self, peer: str = "b") -> list[str]:
        """The types of what went to `peer` since the last look."""
        kinds = [message["type"] for to, message in self.sent if to == peer]
        self.sent.clear()
        return kinds

    def hear(self, peer: str, kind: str, **message: object) -> None:
        """A message of `peer`, and the tick that follows it."""
        self.guard.received(peer, {"type": kind, **message})
        self.consensus.tick()

    def greet(
        self, peer: str, term: int = 0, *, disk: str = "", blank: bool = False, votes: bool = True
    ) -> None:
        """A new link to `peer`, and its first word on it."""
        self.guard.connected(peer)
        said = Hello(disk=disk or f"disk-{peer}", term=term, is_blank=blank, votes=votes, disks={"a": "disk"})
        self.hear(peer, "hello", **structs.asdict(said))

    def wait(self, seconds: float) -> None:
        """Time passes, and a tick."""
        self.clock_s += seconds
        self.consensus.tick()

    def append(self, previous: int, term: int, *terms: int, commit: int = 1, leads: int = 5) -> None:
        """Entries with `terms` from b, leader of term `leads`."""
        sent = tail(append(previous, term, *terms))
        self.hear("b", term=leads, commit_index=commit, kind="append_entries", **sent)

    def append_quietly(self, previous: int, term: int, *terms: int) -> None:
        """The same without the tick."""
        sent = append(previous, term, *terms)
        self.guard.received("b", {**sent, "term": 5, "commit_index": 1})

    def lead(self) -> None:
        """Become leader of term 1 by b's word and b's vote, with a no-op at index 2."""
        self.greet("b")
        self.wait(2.5)
        self.hear("b", "pre_vote_answer", round=1, term=0, granted=True)
        self.hear("b", "response_vote", term=1)
        assert self.inside.role == "leader"

    def close(self) -> None:
        """Let go of the journal and of the clock."""
        self.consensus.close()
        library.use()


def tail(message: Message) -> Message:
    """A message without its type."""
    return {key: value for key, value in message.items() if key != "type"}
