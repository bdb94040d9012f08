"""What `watchtower check` says of the peers: numbers that mislead, witnesses that leave too few, profiles."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import settings

from watchtower.cli.advice import advice
from watchtower.core.settings import WAN, ClusterSettings


def cluster(count: int, *witnesses: str) -> ClusterSettings:
    """So many peers, these of them witnesses."""
    made = settings(peers=tuple("abcdefg"[:count])).cluster
    return replace(made, peers=tuple(replace(peer, witness=peer.name in witnesses) for peer in made.peers))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (cluster(2), "2 peers tolerate 0 failed ones, no more than 1 do, and 3 would tolerate 1"),
        (cluster(4), "4 peers tolerate 1 failed ones, no more than 3 do, and 5 would tolerate 2"),
        (cluster(3, "c"), "2 peers judge services (c only votes in Raft): 2 must agree, so none of them may"),
        (
            cluster(5, "d", "e"),
            "3 peers judge services (d, e only votes in Raft): 2 must agree, so 1 of them may",
        ),
        (cluster(3), "another alerts within about 5 s."),
        (replace(cluster(3), timing=WAN), "within about 15 s, with profile lan within 5 s."),
    ],
)
def test_what_people_should_know_is_said(made: ClusterSettings, words: str) -> None:
    """In a sentence of its own."""
    assert any(words in sentence for sentence in advice(made)), advice(made)


def test_nothing_is_said_without_need() -> None:
    """A lone peer has no others; three or five of one kind are well, and so is a fourth as witness."""
    assert advice(cluster(1)) == []
    for made in (cluster(3), cluster(5)):
        assert len(advice(made)) == 1
    assert not any("judge" in sentence for sentence in advice(cluster(4, "d")))
