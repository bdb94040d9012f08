"""Elections are asked for before they are held: who is refused, and when a majority has granted."""

from __future__ import annotations

import pytest

from watchtower.cluster.prevote import Ballot, PreVote, Tail

MEMBERS = ("a", "b", "c", "d", "e")


@pytest.mark.parametrize(
    ("asked", "leads", "heard_s", "refusal"),
    [
        (Tail(term=2, index=5), False, 0.0, ""),
        (Tail(term=2, index=6), False, 0.0, ""),
        (Tail(term=3, index=1), False, 0.0, ""),
        (Tail(term=2, index=4), False, 0.0, "our log is more complete"),
        (Tail(term=1, index=9), False, 0.0, "our log is more complete"),
        (Tail(term=2, index=5), False, 9.5, "a leader was heard just now"),
        (Tail(term=2, index=5), False, 9.0, ""),
        (Tail(term=9, index=9), True, 0.0, "we lead, and a majority answers"),
    ],
)
def test_who_is_refused(asked: Tail, heard_s: float, refusal: str, *, leads: bool) -> None:
    """A shorter log, a leader heard within the shortest election timeout, or a working leader refuses."""
    votes = PreVote("a", stickiness_s=1.0)
    votes.heard(heard_s)
    assert votes.refusal(asked, Tail(term=2, index=5), 10.0, leads=leads) == refusal


def test_a_majority_grants_exactly_once() -> None:
    """With ourselves three of five; who answers twice, late, or is no member does not count."""
    votes = PreVote("a", stickiness_s=1.0)
    old = votes.ask()
    number = votes.ask()
    answers = [(old, "b"), (number, "b"), (number, "b"), (number, "x"), (number, "c"), (number, "d")]
    assert [votes.answered(round_number, peer, MEMBERS) for round_number, peer in answers] == [
        False, False, False, False, True, False,
    ]  # fmt: skip


def test_a_leader_that_is_heard_ends_the_round() -> None:
    """Grants that arrive after a leader was heard set off nothing."""
    votes = PreVote("a", stickiness_s=1.0)
    number = votes.ask()
    votes.heard(1.0)
    assert not any(votes.answered(number, peer, MEMBERS) for peer in "bcde")


def test_a_vote_from_a_disk_that_was_lost_since_voids_the_election() -> None:
    """Peer b has voted, then lost its disk; d, which votes later, has met b's new one."""
    ballot = Ballot()
    assert ballot.take(3, "b", "1-b", {"a": "1-a"})
    assert ballot.take(3, "e", "1-e", {"b": "1-b"})
    assert not ballot.take(3, "d", "1-d", {"b": "2-b"})
    assert not ballot.take(3, "a", "1-a", {}), "this term is over for us"
    assert ballot.take(4, "a", "1-a", {"b": "2-b"}), "b has not voted in this one"
    assert ballot.take(4, "b", "2-b", {})
    assert ballot.take(4, "d", "1-d", {"b": "1-b"}), "d has not met the new disk yet: b's vote is good"
