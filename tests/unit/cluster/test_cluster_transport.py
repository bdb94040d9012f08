"""The guard at the border to pysyncobj: each mend, on the real library, without a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs
from support.border import Border, append, entries

from watchtower.cluster.disk import FolderDisk
from watchtower.cluster.frames import Message
from watchtower.cluster.matching import without_known
from watchtower.cluster.quarantine import Hello
from watchtower.core.model import State

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


@pytest.fixture
def border(tmp_path: Path) -> Iterator[Border]:
    """A fresh Border that remembers; its files are closed afterwards."""
    yield from on_disk(tmp_path, amnesia=False)


@pytest.fixture
def blank(tmp_path: Path) -> Iterator[Border]:
    """A Border with an empty disk."""
    yield from on_disk(tmp_path, amnesia=True)


def on_disk(folder: Path, *, amnesia: bool) -> Iterator[Border]:
    """A Border on a real disk."""
    disk = FolderDisk(folder)
    made = Border(disk, amnesia=amnesia)
    yield made
    made.close()
    disk.close()


def test_an_acknowledgement_of_an_earlier_term_commits_nothing(border: Border) -> None:
    """Only an acknowledgement of the current leadership counts towards a majority."""
    border.lead()
    said = {"next_node_idx": 3, "reset": False, "success": True}
    border.hear("b", "next_node_idx", **said, term=0)
    assert (border.inside.commit_index, border.guard.stale_acks) == (1, 1)
    border.hear("b", "next_node_idx", **said, term=1)
    assert border.inside.commit_index == 2


def test_our_acknowledgements_carry_our_term(border: Border) -> None:
    """The leader can tell an old acknowledgement from a new one."""
    border.append(1, 0, 5)
    peer, message = border.sent[-1]
    assert (peer, message["type"], message["term"]) == ("b", "next_node_idx", 5)


def test_the_commit_index_beside_a_snapshot_does_not_commit_our_own_tail(border: Border) -> None:
    """Entries that no leader has verified must not be applied because a snapshot is on its way."""
    border.append(1, 0, 5, 5)
    border.hear("c", "append_entries", term=6, commit_index=3, serialized=None)
    assert border.inside.commit_index == 1


def test_entries_sent_again_do_not_cut_what_came_after_them(border: Border) -> None:
    """A repeat of older entries is acknowledged up to itself and leaves newer ones in the log."""
    border.append(1, 0, 5, 5, 5, commit=4)
    assert border.inside.applied_index == 4
    border.append(1, 0, 5, commit=4)
    assert [index for _, index, _ in border.inside.log] == [1, 2, 3, 4]
    assert border.sent[-1][1]["next_node_idx"] == 3


def test_a_conflicting_tail_is_still_replaced(border: Border) -> None:
    """Entries of another term take the place of ours from the first difference on."""
    border.append(1, 0, 4, 4, 4)
    border.append(1, 0, 4, 5)
    assert [term for _, _, term in border.inside.log] == [0, 4, 5]
    assert border.sent[-1][1]["next_node_idx"] == 4


def test_a_heartbeat_commits_no_more_than_it_verified(border: Border) -> None:
    """A repeat of older entries says nothing about the newer ones that we hold."""
    border.append(1, 0, 4, 4, 4)
    border.append(1, 0, 4, commit=4)
    assert border.inside.commit_index == 2


def test_a_peer_back_from_isolation_waits_for_a_leader_first(border: Border) -> None:
    """Its first link does not set off the election that was due long ago."""
    border.clock_s += 60
    border.guard.connected("b")
    border.consensus.tick()
    assert (border.inside.role, border.inside.term) == ("follower", 0)


def test_a_halted_replica_neither_hears_nor_speaks(border: Border) -> None:
    """After a halt no vote and no acknowledgement leaves this peer."""
    border.replica.halt("planned")
    border.hear("b", "request_vote", term=9, last_log_index=9, last_log_term=9)
    assert border.inside.term == 0
    assert not border.sent
    assert not border.guard.send(border.inside.partners["b"], {"type": "timeout_now"})


# ---- PreVote


def test_an_election_is_asked_for_before_it_is_held(border: Border) -> None:
    """Silence of the leader makes a ask; only a majority's word makes it a candidate of a new term."""
    border.greet("b")
    border.kinds()
    border.wait(2.5)
    assert (border.inside.role, border.inside.term) == ("follower", 0)
    assert border.kinds() == ["pre_vote"]
    border.hear("b", "pre_vote_answer", round=1, term=0, granted=True)
    assert (border.inside.role, border.inside.term) == ("candidate", 1)
    assert border.kinds() == ["request_vote"]


def test_a_refused_peer_asks_again_and_disturbs_nobody(border: Border) -> None:
    """Without a majority's word the term stays; an answer of a newer term is taken over."""
    border.greet("b")
    for _ in range(10):
        border.wait(2.5)
        border.hear("b", "pre_vote_answer", round=1, term=0, granted=False)
    assert border.inside.term == 0
    border.hear("b", "pre_vote_answer", round=1, term=7, granted=False)
    assert (border.inside.role, border.inside.term) == ("follower", 7)


def test_who_hears_a_leader_refuses_an_election(border: Border) -> None:
    """The word is given when the leader has been silent for the shortest election timeout, not before."""
    border.append(1, 0, 5)
    question = {"round": 3, "term": 6, "last_log_index": 9, "last_log_term": 5}
    border.hear("c", "pre_vote", **question)
    border.wait(1.0)
    border.hear("c", "pre_vote", **question)
    answers = [message["granted"] for _, message in border.sent if message["type"] == "pre_vote_answer"]
    assert answers == [False, True]


def test_a_peer_that_was_asked_to_take_over_asks_nobody(border: Border) -> None:
    """A planned hand-over begins its election at once."""
    border.greet("b")
    border.append(1, 0, 5)
    border.hear("b", "timeout_now", term=5)
    assert (border.inside.role, border.inside.term) == ("candidate", 6)


# ---- a peer without memory


def test_a_peer_without_memory_neither_asks_votes_nor_acknowledges(blank: Border) -> None:
    """It may have promised anything: until it has heard the others it is silent."""
    blank.greet("b", 3)
    blank.kinds()
    blank.wait(5.0)
    blank.hear("b", "request_vote", term=4, last_log_index=9, last_log_term=3)
    blank.hear("b", "pre_vote", round=1, term=5, last_log_index=9, last_log_term=3)
    blank.append(1, 0, 3, commit=2, leads=3)
    assert blank.kinds() == []
    assert blank.inside.tail.index == 1


def test_a_peer_without_memory_believes_no_leader_older_than_what_it_heard(blank: Border) -> None:
    """C knows of term 7, in which the earlier self of a may have acknowledged: b's term 3 is over."""
    blank.greet("b", 3)
    blank.greet("c", 7)
    blank.kinds()
    blank.append(1, 0, 3, commit=2, leads=3)
    assert blank.kinds() == []
    blank.append(1, 0, 7, commit=1, leads=7)
    assert blank.kinds()[0] == "next_node_idx"


def test_a_peer_without_memory_votes_again_when_it_is_refilled(blank: Border) -> None:
    """Refilled is: it holds all that a leader has committed, an entry of that leader's own term among it."""
    blank.greet("b", 7)
    blank.greet("c", 7)
    blank.append(1, 0, 6, 7, commit=1, leads=7)
    assert blank.guard.waits_for
    blank.append(3, 7, commit=2, leads=7)
    assert blank.guard.waits_for, "entry 2 is of an older term: what that leader commits is not known yet"
    blank.append(3, 7, commit=3, leads=7)
    assert (blank.guard.waits_for, blank.journal.quarantine) == ("", "")
    assert blank.kinds("c")[-1] == "hello", "the others are told"
    blank.hear("c", "request_vote", term=7, last_log_index=9, last_log_term=7)
    assert "response_vote" not in blank.kinds("c"), "in the term it came back in it may have voted"
    blank.hear("c", "request_vote", term=8, last_log_index=9, last_log_term=7)
    assert blank.kinds("c")[0] == "response_vote"


def test_a_new_cluster_begins_when_all_its_peers_are_there(blank: Border) -> None:
    """Three empty disks that see each other have nothing to forget; two of three do not know that."""
    blank.greet("b", blank=True, votes=False)
    assert blank.guard.waits_for == "its data folder is empty; waits for word of c"
    blank.greet("c", blank=True, votes=False)
    assert not blank.guard.waits_for


def test_what_a_lost_disk_had_acknowledged_does_not_count(border: Border) -> None:
    """B's acknowledgement is void when b comes back with another disk: nothing is committed by it."""
    border.lead()
    border.greet("c")
    said = {"next_node_idx": 3, "reset": False, "success": True, "term": 1}
    border.guard.received("b", {"type": "next_node_idx", **said})
    border.greet("b", disk="another")
    assert border.inside.commit_index == 1


# ---- the disk


def test_nothing_is_promised_that_is_not_on_the_disk(border: Border, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes nothing there is no vote and no acknowledgement; they come when it does."""

    def refuse(*_: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as full:
        for name in ("append", "create", "sync"):
            full.setattr(border.disk, name, refuse)
        border.guard.received(
            "c", {"type": "request_vote", "term": 3, "last_log_index": 9, "last_log_term": 2}
        )
        border.append_quietly(1, 0, 5)
        assert border.kinds() == border.kinds("c") == []
        assert border.journal.trouble
    assert border.journal.heal()
    border.append(1, 0, 5)
    assert border.kinds() == ["next_node_idx"]


def test_a_link_that_came_while_the_disk_was_full_hears_who_we_are_later(
    border: Border, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer without memory waits for that word; and what it says itself is heard all the same."""

    def refuse(*_: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as full:
        for name in ("append", "create", "sync"):
            full.setattr(border.disk, name, refuse)
        border.guard.received(
            "c", {"type": "request_vote", "term": 3, "last_log_index": 9, "last_log_term": 2}
        )
        border.guard.connected("b")
        said = Hello(disk="new", term=5, is_blank=True, votes=False)
        border.guard.received("b", {"type": "hello", **structs.asdict(said)})
        assert border.kinds() == []
    assert border.journal.heal()
    border.consensus.tick()
    assert border.kinds() == ["hello"]
    border.consensus.tick()
    assert border.kinds() == []
    assert border.guard.quarantine.hello("b", said) is False, "it was heard"


def test_an_answer_about_what_was_never_sent_is_dropped(border: Border) -> None:
    """Entry 0 and an entry behind the log's end are no answer to this leader."""
    border.lead()
    for index in (0, 99):
        border.hear("b", "next_node_idx", next_node_idx=index, reset=True, success=True, term=1)
    assert (border.guard.stale_acks, border.inside.commit_index) == (2, 1)


def test_a_peer_that_needs_a_snapshot_is_asked_again_with_the_next_tick(border: Border) -> None:
    """Without one to send, pysyncobj would repeat an empty message until its heartbeat is due."""
    border.lead()
    border.kinds()
    border.hear("b", "next_node_idx", next_node_idx=1, reset=True, success=False, term=1)
    border.wait(0.25)
    assert border.kinds() == []
    border.hear("b", "next_node_idx", next_node_idx=2, reset=True, success=False, term=1)
    border.wait(0.25)
    assert border.kinds() == ["append_entries"]


@pytest.mark.parametrize(
    ("gen", "members", "previous", "answers"),
    [
        (2, ("a", "b", "c", "d"), (1, 0), [False]),
        (2, ("a", "b", "c", "d"), (7, 4), [True]),
        (1, ("a", "b", "c", "d"), (1, 0), []),
        (2, ("b", "c", "d"), (1, 0), []),
        (2, ("a", "b", "c"), (1, 0), []),
    ],
    ids=["became a member", "it has more than we", "no newer members", "we are none", "it is none"],
)
def test_a_leader_that_became_a_member_without_our_seeing_it_is_followed(
    border: Border, gen: int, members: tuple[str, ...], previous: tuple[int, int], answers: list[bool]
) -> None:
    """Cut off while d was added: d leads now, and only its entries can tell us that it may."""
    border.replica.state = State(cluster="t", members=("a", "b", "c"), members_gen=1)
    said = Hello(disk="disk-d", term=5, is_blank=False, votes=True, members=members, members_gen=gen)
    border.guard.connected("d")
    border.guard.received("d", {"type": "hello", **structs.asdict(said)})
    border.kinds("d")
    entries = {"entries": [(b"\1", 2, 5)], "prevLogIdx": previous[0], "prevLogTerm": previous[1]}
    border.guard.received("d", {"type": "append_entries", "term": 5, "commit_index": 1, **entries})
    acks = [message for peer, message in border.sent if peer == "d" and message["type"] == "next_node_idx"]
    assert [ack["reset"] for ack in acks] == answers


def test_a_vote_tells_which_disks_its_giver_knows(border: Border) -> None:
    """A candidate that counts a vote of a disk lost since hears of it from whoever has met the new one."""
    border.greet("b", disk="2-b")
    border.hear("c", "request_vote", term=3, last_log_index=9, last_log_term=2)
    votes = [message for _, message in border.sent if message["type"] == "response_vote"]
    assert votes == [{"type": "response_vote", "term": 3, "disks": {"b": "2-b"}}]


def test_an_election_with_the_vote_of_a_lost_disk_is_void(border: Border) -> None:
    """Of five: c had the vote of b, b lost its disk, and d knows."""
    border.consensus.set_members(("a", "b", "c", "d", "e"), "a")
    border.greet("b", disk="1-b")
    border.greet("d", disk="1-d")
    border.wait(2.5)
    for peer in "bd":
        border.hear(peer, "pre_vote_answer", round=1, term=0, granted=True)
    roles = [border.inside.role]
    border.hear("b", "response_vote", term=1, disks={})
    border.hear("d", "response_vote", term=1, disks={"b": "2-b"})
    assert [*roles, border.inside.role] == ["candidate", "follower"]
