"""What one peer hears of the others: reports, new sessions, clocks, and that a removed peer is forgotten."""

from __future__ import annotations

from support.core_support import Book, instant

from watchtower.core import commands as c
from watchtower.core.judging.eligibility import clock_error_s
from watchtower.core.view import View, listen


def heard(book: Book, looks: View, peer: str, fast_s: float, boot: float) -> View:
    """The view after a report of `peer`, whose clock is so much fast."""
    book.report(peer, at_wall=instant(boot).wall + fast_s, members_gen=book.state.members_gen)
    return listen(looks, book.state, instant(boot))


def test_a_report_is_heard_when_it_is_applied_here() -> None:
    """The time is this machine's; what was reported before the first look does not count."""
    book = Book()
    looks = listen(View(me="a", started_boot=1.0), book.state, instant(1.0))
    assert looks.heard_boot == {}
    looks = heard(book, looks, "b", 0.0, 7.0)
    assert looks.heard_boot == {"b": 7.0}


def test_the_clock_of_a_removed_peer_weighs_no_more() -> None:
    """The median is that of the members: a peer that left does not keep another one's clock off."""
    book = Book(peers=("a", "b", "c", "d"))
    looks = listen(View(me="a", started_boot=0.0), book.state, instant(0.0))
    for peer, fast_s in (("a", 0.0), ("b", 0.0), ("c", 60.0), ("d", 60.0)):
        looks = heard(book, looks, peer, fast_s, 5.0)
    assert clock_error_s("c", looks) == 30.0
    book.must("a", c.Resize(members=("a", "b", "c"), members_gen=1))
    looks = listen(looks, book.state, instant(6.0))
    assert clock_error_s("c", looks) == 60.0
    assert clock_error_s("b", looks) == 0.0
