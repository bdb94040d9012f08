"""The guard at the border to pysyncobj: each mend, on the real library, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from watchtower.cluster.frames import Message
from watchtower.cluster.library import Consensus
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import SnapshotFile
from watchtower.cluster.transport import GuardTransport, without_known


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


LOG = entries(1, 1, 2, 2, first=5)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (append(8, 2, 2), append(8, 2, 2)),
        (append(8, 2), append(8, 2)),
        (append(6, 1, 2, 2, 2), append(8, 2, 2)),
        (append(6, 1, 2), append(7, 2)),
        (append(6, 1, 2, 3), append(7, 2, 3)),
        (append(6, 1, 3, 3), append(6, 1, 3, 3)),
        (append(6, 2, 2, 2), append(6, 2, 2, 2)),
        (append(4, 1, 1), append(4, 1, 1)),
        (append(9, 2, 2), append(9, 2, 2)),
        (append(None, None), append(None, None)),
    ],
    ids=[
        "only news",
        "nothing",
        "known ones, then news",
        "all known",
        "known, then a conflict",
        "a conflict at once",
        "another history before",
        "before the log",
        "after the log",
        "a leader that lost the place",
    ],
)
def test_known_entries_are_taken_off_the_front(message: Message, expected: Message) -> None:
    """Entries that match are dropped from the message, so pysyncobj cuts only what conflicts."""
    assert without_known(LOG, message) == expected


class Border:
    """Peer a of three, with the messages it sent to b and c; they are what a test says in their name."""

    def __init__(self, folder: Path) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.replica = Replica()
        self.consensus = Consensus(
            me="a",
            partners=("b", "c"),
            replica=self.replica,
            journal=folder / "journal",
            snapshot_file=SnapshotFile(folder / "snapshot", "t", self.replica),
            transport_class=partial(
                GuardTransport, send=self.send, is_halted=lambda: bool(self.replica.halted)
            ),
        )
        self.transport: GuardTransport = self.consensus.transport
        self.consensus.tick()

    def send(self, peer: str, message: Message) -> bool:
        """What a would send."""
        self.sent.append((peer, message))
        return True

    def hear(self, peer: str, kind: str, **message: object) -> None:
        """A message of `peer`, and the tick that follows it."""
        self.transport.received(peer, {"type": kind, **message})
        self.consensus.tick()

    def append(self, previous: int, term: int, *terms: int, commit: int = 1) -> None:
        """Entries with `terms` from b, leader of term 5."""
        self.hear(
            "b", term=5, commit_index=commit, kind="append_entries", **tail(append(previous, term, *terms))
        )

    def lead(self) -> None:
        """Become leader of term 1 by b's vote, with a no-op at index 2."""
        self.transport.connected("b")
        self.consensus.deadline.expire()
        self.consensus.tick()
        self.hear("b", "response_vote", term=1)
        assert self.consensus.role == "leader"


def tail(message: Message) -> Message:
    """A message without its type."""
    return {key: value for key, value in message.items() if key != "type"}


@pytest.fixture
def border(tmp_path: Path) -> Iterator[Border]:
    """A fresh Border; its files are closed afterwards."""
    made = Border(tmp_path)
    yield made
    made.consensus.close()


def test_an_acknowledgement_of_an_earlier_term_commits_nothing(border: Border) -> None:
    """Only an acknowledgement of the current leadership counts towards a majority."""
    border.lead()
    said = {"next_node_idx": 3, "reset": False, "success": True}
    border.hear("b", "next_node_idx", **said, term=0)
    assert (border.consensus.commit_index, border.transport.stale_acks) == (1, 1)
    border.hear("b", "next_node_idx", **said, term=1)
    assert border.consensus.commit_index == 2


def test_our_acknowledgements_carry_our_term(border: Border) -> None:
    """The leader can tell an old acknowledgement from a new one."""
    border.append(1, 0, 5)
    peer, message = border.sent[-1]
    assert (peer, message["type"], message["term"]) == ("b", "next_node_idx", 5)


def test_the_commit_index_beside_a_snapshot_does_not_commit_our_own_tail(border: Border) -> None:
    """Entries that no leader has verified must not be applied because a snapshot is on its way."""
    border.append(1, 0, 5, 5)
    border.hear("c", "append_entries", term=6, commit_index=3, serialized=None)
    assert border.consensus.commit_index == 1


def test_entries_sent_again_do_not_cut_what_came_after_them(border: Border) -> None:
    """A repeat of older entries is acknowledged up to itself and leaves newer ones in the log."""
    border.append(1, 0, 5, 5, 5, commit=4)
    assert border.consensus.applied_index == 4
    border.append(1, 0, 5, commit=4)
    assert [index for _, index, _ in border.consensus.log] == [1, 2, 3, 4]
    assert border.sent[-1][1]["next_node_idx"] == 3


def test_a_conflicting_tail_is_still_replaced(border: Border) -> None:
    """Entries of another term take the place of ours from the first difference on."""
    border.append(1, 0, 4, 4, 4)
    border.append(1, 0, 4, 5)
    assert [term for _, _, term in border.consensus.log] == [0, 4, 5]
    assert border.sent[-1][1]["next_node_idx"] == 4


def test_a_heartbeat_commits_no_more_than_it_verified(border: Border) -> None:
    """A repeat of older entries says nothing about the newer ones that we hold."""
    border.append(1, 0, 4, 4, 4)
    border.append(1, 0, 4, commit=4)
    assert border.consensus.commit_index == 2


def test_a_peer_back_from_isolation_waits_for_a_leader_first(border: Border) -> None:
    """Its first link does not set off the election that was due long ago."""
    border.consensus.deadline.expire()
    border.transport.connected("b")
    border.consensus.tick()
    assert (border.consensus.role, border.consensus.term) == ("follower", 0)


def test_a_halted_replica_neither_hears_nor_speaks(border: Border) -> None:
    """After a halt no vote and no acknowledgement leaves this peer."""
    border.replica.halt("planned")
    border.hear("b", "request_vote", term=9, last_log_index=9, last_log_term=9)
    assert border.consensus.term == 0
    assert not border.sent
    assert not border.transport.send(next(iter(border.consensus._object.otherNodes)), {"type": "timeout_now"})
