"""When a minority says that nobody is watching, and when it gives the all-clear."""

from __future__ import annotations

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.judging.blindness import Blindness, Word, words
from watchtower.core.model import Instant

WELL = ClusterStatus(leader="b", links={"b": True, "c": True}, had_quorum=True)
ALONE = ClusterStatus(leader="", links={"b": False, "c": False}, had_quorum=True)


def at(boot: float) -> Instant:
    """That many seconds after the start."""
    return Instant(wall=1_000_000.0 + boot, boot=boot)


def test_it_is_said_once_and_taken_back_once() -> None:
    """It is said when the time is over, not again once it is accepted, and taken back once."""
    blind = Blindness("a")
    assert blind.step(ALONE, at(10), 30.0) is None
    assert blind.step(ALONE, at(39), 30.0) is None
    assert blind.step(ALONE, at(40), 30.0) is Word.BLIND
    blind.said(Word.BLIND, at(41), accepted=True)
    assert blind.step(ALONE, at(100), 30.0) is None
    assert blind.step(WELL, at(101), 30.0) is Word.ALL_CLEAR
    blind.said(Word.ALL_CLEAR, at(101), accepted=True)
    assert blind.step(WELL, at(200), 30.0) is None


def test_what_was_not_accepted_is_said_again() -> None:
    """A refused notice is repeated after a pause; without an accepted one there is no all-clear."""
    blind = Blindness("a")
    blind.step(ALONE, at(10), 30.0)
    assert blind.step(ALONE, at(40), 30.0) is Word.BLIND
    assert blind.step(ALONE, at(42), 30.0) is None, "it is being said"
    blind.said(Word.BLIND, at(43), accepted=False)
    assert blind.step(ALONE, at(44), 30.0) is None
    assert blind.step(ALONE, at(48), 30.0) is Word.BLIND
    blind.said(Word.BLIND, at(49), accepted=False)
    assert blind.step(WELL, at(60), 30.0) is None


def test_a_cluster_that_never_had_a_quorum_is_not_blind() -> None:
    """While a cluster is being set up nobody is told."""
    blind, new = Blindness("a"), ClusterStatus(links={"b": False, "c": False})
    blind.step(new, at(10), 30.0)
    assert blind.step(new, at(500), 30.0) is None


def test_the_lowest_of_those_that_reach_each_other_speaks() -> None:
    """A peer that still reaches a lower one leaves the word to it."""
    pair = ClusterStatus(links={"a": True, "c": False, "d": False, "e": False}, had_quorum=True)
    blind = Blindness("b")
    blind.step(pair, at(10), 30.0)
    assert blind.step(pair, at(500), 30.0) is None


def test_the_words_name_what_this_peer_sees() -> None:
    """The notice counts the peers, names the missing ones, and marks its own view as unconfirmed."""
    title, lines = words(Word.BLIND, "prod", "a", ALONE.links, ["shop"])
    assert title == "[prod] MONITORING IS BLIND: peer a sees 1 of 3"
    assert "Not reachable: b, c." in lines
    assert "Fails from here, unconfirmed: shop." in lines
