"""Peers as watched things: never joined, silent, gone, leaving, sick, back again.

Each case is one way a peer can be; `votes` is what the other peers' probes say of it.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, instant, view

from watchtower.core import commands as c
from watchtower.core.judging import peers
from watchtower.core.model import Level, Opinion, State, Verdict
from watchtower.core.view import View

UP = Verdict(level=Level.UP, reason="2 of 2 peers see it up")
NONE = Verdict(level=None, reason="no 2 of 2 peers agree")
DOWN = Verdict(level=Level.DOWN, reason="2 of 2 peers see it down", since_wall=WALL - 20)


def judged(
    book: Book, votes: Verdict = UP, looks: View | None = None, boot: float = 100.0
) -> tuple[Level | None, str]:
    """Level and reason of the verdict on b."""
    verdict = peers.judge("b", votes, book.state, looks or view(boot=boot), instant(boot))
    return verdict.level, verdict.reason


@pytest.mark.parametrize("votes", [UP, NONE])
def test_a_peer_that_reports_is_up(votes: Verdict) -> None:
    """A fresh report through the log is proof of life, even when the others' probes do not agree."""
    assert judged(Book(), votes) == (Level.UP, "reports and answers")


@pytest.mark.parametrize("level", [Level.DOWN, Level.DEGRADED, Level.PARTIAL])
def test_the_others_votes_count_against_it(level: Level) -> None:
    """A peer that reports but does not answer the others is what they see."""
    assert judged(Book(), Verdict(level=level, reason="seen so")) == (level, "seen so")


@pytest.mark.parametrize("level", [Level.DOWN, Level.DEGRADED])
def test_one_word_does_not_stand_against_its_reports(level: Level) -> None:
    """With a single voter a broken link between two sites is no dead peer: partial, after two minutes."""
    counts = {**dict.fromkeys(Opinion, 0), Opinion(level.value): 1}
    votes = Verdict(level=level, reason="1 of 1 peers", since_wall=WALL, counts=counts)
    assert judged(Book(), votes, boot=119.0) == (Level.UP, "reports and answers")
    assert judged(Book(), votes, boot=120.0) == (Level.PARTIAL, "1 of 1 peers, yet it reports")
    silent = view(boot=120.0, heard=("a", "c"))
    assert judged(Book(), votes, silent, boot=120.0)[0] is Level.DOWN


@pytest.mark.parametrize(("age_s", "level"), [(119.0, None), (120.0, Level.DOWN)])
def test_a_peer_that_never_joined(age_s: float, level: Level | None) -> None:
    """A peer has two minutes from the founding to join; then it is down since then."""
    book = Book()
    book.state = replace(book.state, peers={}, founded_wall=WALL + 100)
    verdict = peers.judge("b", NONE, book.state, view(), instant(100.0 + age_s))
    assert verdict.level is level
    assert verdict.since_wall == (WALL + 100 if level else 0.0)


def test_nothing_is_expected_of_a_peer_that_is_no_member() -> None:
    """In the file and not (or no longer) in the cluster: no verdict, whatever the others see of it."""
    assert judged(Book(peers=("a", "c")), DOWN, boot=1000.0) == (None, "no member of the cluster")


def test_silence_is_down_since_the_last_report() -> None:
    """No report for more than 15 s: down, since the last one."""
    looks = view(boot=100.0)
    assert peers.judge("b", UP, Book().state, looks, instant(115.0)).level is Level.UP
    verdict = peers.judge("b", UP, Book().state, looks, instant(116.0))
    assert (verdict.level, verdict.since_wall) == (Level.DOWN, WALL + 100)
    assert verdict.reason == "no report for 16 s: dead, cut off, or its app hangs"


def test_the_votes_tell_it_better() -> None:
    """When the others see it down too, their verdict is told: it has a reason and an earlier beginning."""
    verdict = peers.judge("b", DOWN, Book().state, view(), instant(116.0))
    assert verdict is DOWN


def test_a_gone_peer_is_down() -> None:
    """A peer whose session was ended is down until it joins again, and then at once unknown, then up."""
    book = Book()
    book.must("a", c.Gone(epoch=1, peer="b", peer_session=1))
    assert judged(book) == (Level.DOWN, "stopped reporting, its session is over")
    book.join("b")
    assert judged(book) == (Level.UP, "reports and answers")


def test_a_planned_stop_is_excused_for_its_time() -> None:
    """A peer that said goodbye is no verdict for as long as it asked, whatever the probes say; then down."""
    book = Book()
    book.must("b", c.Leaving(for_s=60, at_wall=WALL + 100))
    assert judged(book, DOWN) == (None, "stopped on purpose")
    assert peers.judge("b", UP, book.state, view(), instant(159.0)).level is None
    assert peers.judge("b", DOWN, book.state, view(), instant(161.0)) is DOWN


def test_doubt_and_clock_are_sickness() -> None:
    """A peer that doubts itself, or whose clock is off, is degraded, and says why."""
    book = Book()
    book.report("b", doubt="no reference answers")
    assert judged(book) == (Level.DEGRADED, "doubts itself: no reference answers")
    fast = view(clock_samples_s={"b": (9.0,), "c": (0.0,)})
    assert judged(Book(), looks=fast) == (Level.DEGRADED, "its clock is +9.0 s off")


def test_down_is_worse_than_sick() -> None:
    """What the others see down stays down, doubt or no doubt."""
    book = Book()
    book.report("b", doubt="no reference answers")
    assert judged(book, DOWN) == (Level.DOWN, "2 of 2 peers see it down")


def test_not_heard_yet() -> None:
    """A process that has just started does not judge peers it has not heard: not down, not up."""
    fresh = View(me="a", started_boot=0.0)
    assert judged(Book(), looks=fresh, boot=10.0) == (None, "not heard yet")
    assert judged(Book(), looks=fresh, boot=16.0)[0] is Level.DOWN


def test_before_the_founding_nothing_is_down() -> None:
    """In an empty ledger a peer is judged never joined only long after 1970, so founding comes first."""
    verdict = peers.judge("b", NONE, State(founded_wall=WALL), view(), instant(1.0))
    assert verdict.level is None


@pytest.mark.parametrize(
    ("joined_s", "votes_age_s", "joins", "level"),
    [
        (9.0, 20.0, 3, None),
        (10.0, 20.0, 3, Level.DOWN),
        (9.0, 59.0, 3, None),
        (9.0, 60.0, 3, Level.DOWN),
        (9.0, 600.0, 1, None),
        (10.0, 600.0, 1, Level.DOWN),
    ],
    ids=["just back", "back for long", "away for long", "comes and goes", "just added", "added, not there"],
)
def test_votes_cast_while_it_was_away_do_not_count_at_once(
    joined_s: float, votes_age_s: float, joins: int, level: Level | None
) -> None:
    """A planned restart, or a first start, pages nobody; a peer that comes and goes does."""
    book = Book()
    book.state = replace(
        book.state, peers={**book.state.peers, "b": replace(book.state.row("b"), session=joins)}
    )
    looks = view(boot=100.0, joined_boot={"b": 100.0 - joined_s})
    votes = replace(DOWN, since_wall=instant(100.0).wall - votes_age_s)
    assert judged(book, votes, looks)[0] is level


def test_an_added_member_has_two_minutes_to_join() -> None:
    """Counted from when it became a member, not from when the cluster was founded."""
    book = Book()
    rows = {peer: row for peer, row in book.state.peers.items() if peer != "b"}
    book.state = replace(book.state, peers=rows, founded_wall=WALL - 9999, resized_wall=WALL + 100)
    assert judged(book, DOWN, boot=219.0) == (None, "has not joined yet")
    assert judged(book, NONE, boot=220.0) == (Level.DOWN, "has never joined the cluster")
