"""Checkpoints: two hashes at one entry that differ are the cluster's incident, before everything else."""

from __future__ import annotations

from support.core_support import Book, instant, settings, view

from watchtower.core.commands import Gone
from watchtower.core.judging import checkpoints, verdicts
from watchtower.core.model import Checkpoint, Level, Verdict
from watchtower.core.settings import CLUSTER_SUBJECT


def reporting(book: Book, **marks: tuple[int, str] | None) -> Book:
    """The book after each named peer has reported this checkpoint."""
    for peer, mark in marks.items():
        checkpoint = Checkpoint(entries=mark[0], hash=mark[1]) if mark else None
        book.report(peer, checkpoint=checkpoint)
    return book


def verdict(book: Book) -> Verdict:
    """The verdict on the cluster."""
    standings = verdicts.observe(book.state, settings(), view(), instant(100.0))
    return standings[CLUSTER_SUBJECT].verdict


def found() -> Book:
    """A cluster whose ledgers differ, with the incident open."""
    book = reporting(Book(), a=(512, "aa"), b=(512, "bb"), c=(512, "aa"))
    book.must("a", book.opening(CLUSTER_SUBJECT, reason=verdict(book).reason))
    return book


def test_equal_hashes_say_nothing() -> None:
    """All equal, or at different entries, or not there at all: no verdict."""
    assert checkpoints.judge(Book().state) is None
    assert checkpoints.judge(reporting(Book(), a=(512, "aa"), b=(512, "aa")).state) is None
    assert checkpoints.judge(reporting(Book(), a=(1024, "aa"), b=(512, "bb")).state) is None


def test_a_difference_is_down_and_names_peers_entry_and_hashes() -> None:
    """People read who differs from whom, and where."""
    judged = verdict(reporting(Book(), a=(512, "aa" * 32), c=(512, "cc" * 32)))
    assert judged.level is Level.DOWN
    assert judged.reason == (
        "the state of peers a and c differs at entry 512: a has aaaaaaaaaaaa, c has cccccccccccc"
    )


def test_it_comes_before_everything_else() -> None:
    """Also before a majority that doubts itself: nothing in the ledger can be trusted."""
    book = Book()
    for peer in ("a", "b", "c"):
        book.report(peer, doubt="no reference answers", checkpoint=Checkpoint(entries=512, hash=peer))
    assert "differs at entry 512" in verdict(book).reason


def test_between_checkpoints_a_known_difference_stays() -> None:
    """While the peers are at different checkpoints nothing can be compared: no end, and no second page."""
    book = reporting(found(), a=(1024, "aaa"), c=(1024, "aaa"))
    assert checkpoints.judge(book.state) == Verdict(
        level=None, reason="waiting for checkpoints of one entry, to compare them again"
    )
    assert "differs" in verdict(reporting(book, b=(1024, "bbb"))).reason


def test_a_restarted_peer_has_to_show_its_state_first() -> None:
    """A live member without a checkpoint has not shown that it agrees; a dead one is not waited for."""
    book = reporting(found(), b=None)
    assert verdict(book).level is None
    book.must("a", Gone(epoch=1, peer="b", peer_session=1))
    assert verdict(book).level is Level.UP


def test_agreement_at_one_entry_ends_it() -> None:
    """When all members agree at one entry, the cluster is judged by the rest again."""
    book = reporting(found(), b=(1024, "same"), c=(1024, "same"))
    assert verdict(book).level is None
    assert verdict(reporting(book, a=(1024, "same"))).level is Level.UP


def test_another_incident_of_the_cluster_does_not_wait() -> None:
    """An incident for another reason ends as before, whatever the checkpoints are."""
    book = reporting(Book(), a=(1024, "aa"), b=(512, "bb"))
    book.must("a", book.opening(CLUSTER_SUBJECT, reason="2 of 3 peers doubt themselves"))
    assert verdict(book).level is Level.UP
