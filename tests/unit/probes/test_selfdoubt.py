"""A peer that cannot trust itself says unknown instead of down; what it saw good stays good."""

from __future__ import annotations

import pytest
from support.core_support import down, instant
from support.watching import DEGRADED, DOWN, UNKNOWN, UP, Watch

from watchtower.core.commands import Gone
from watchtower.core.model import Instant, Kind, Vote
from watchtower.core.stats import Trouble
from watchtower.probes.weighing.selfdoubt import SelfDoubt

SUSPECT = Vote(opinion=UP, suspect=True)


def failing(*names: str) -> Watch:
    """A peer that saw all services up, then all of `names` down, with a reference look that held."""
    watch = Watch("web", "db", "mail", "shop")
    watch.all_up()
    for name in names:
        watch.see(name, DOWN)
    watch.checked()
    for name in names:
        watch.see(name, DOWN)
    watch.settle()
    return watch


def test_without_doubt_down_is_down() -> None:
    """The reference look held: the vote stands."""
    assert failing("web").votes()["web"] == (DOWN, False)


def test_dead_references_turn_down_into_unknown_and_back() -> None:
    """No reference target answers: down becomes unknown at once, and only two good looks bring it back."""
    watch = failing("web")
    watch.checked(holds=False)
    vote = watch.vote("web")
    assert (vote.opinion, vote.kind) == (UNKNOWN, Kind.INCONCLUSIVE)
    assert vote.text == "in doubt: cannot reach any reference target (tcp://192.0.2.1:53)"
    assert watch.votes()["db"] == (UP, False)
    watch.checked()
    assert watch.vote("web").opinion is UNKNOWN
    watch.checked()
    assert watch.vote("web").opinion is DOWN


def test_doubt_silences_suspicions() -> None:
    """A peer in doubt sends nobody looking: its suspicions stay with itself."""
    watch = failing()
    watch.checked(holds=False)
    watch.see("web", DOWN)
    watch.settle()
    assert watch.votes()["web"] == (UP, False)
    watch.checked()
    watch.checked()
    watch.settle()
    assert watch.votes()["web"] == (UP, True)


def test_a_success_counts_in_doubt() -> None:
    """Recovery is seen, and a warning is an answer too: doubt touches neither."""
    watch = failing("web", "db")
    watch.checked(holds=False)
    watch.see("web", UP, UP)
    watch.see("mail", DEGRADED, DEGRADED)
    watch.see("shop", DEGRADED, DEGRADED, kind=Kind.UNREACHABLE)
    watch.settle()
    votes = watch.votes()
    assert votes["web"] == (UP, False)
    assert votes["mail"] == (DEGRADED, False)
    assert votes["shop"] == (UNKNOWN, False)
    assert votes["db"] == (UNKNOWN, False)


def test_doubt_is_told_when_it_lasts() -> None:
    """The row names the doubt after five seconds, and takes it back when it is over."""
    watch = failing("web")
    watch.checked(holds=False)
    watch.settle()
    assert watch.book.state.row("a").doubt == ""
    watch.pass_s(2.0)
    watch.others_see({"db": SUSPECT}, "b")
    assert watch.report() is not None
    watch.pass_s(3.1)
    watch.settle()
    assert watch.book.state.row("a").doubt.startswith("cannot reach any reference target")
    watch.checked()
    watch.checked()
    watch.settle()
    assert watch.book.state.row("a").doubt == ""


def test_down_waits_for_a_reference_look_that_began_later() -> None:
    """A look at the references that began before the failure proves nothing: suspect until a newer one."""
    watch = Watch("web", "db")
    watch.all_up()
    watch.checked()
    watch.pass_s(0.1)
    watch.see("web", DOWN)
    watch.pass_s(1.0)
    watch.see("web", DOWN)
    watch.settle()
    assert watch.votes()["web"] == (UP, True)
    watch.checked()
    watch.settle()
    assert watch.votes()["web"] == (DOWN, False)


def test_down_does_not_wait_for_ever() -> None:
    """After three seconds without a reference look the vote is published as it is."""
    watch = Watch("web", "db")
    watch.all_up()
    watch.see("web", DOWN)
    watch.pass_s(2.9)
    watch.see("web", DOWN)
    watch.settle()
    assert watch.votes()["web"] == (UP, True)
    watch.pass_s(0.2)
    watch.settle()
    assert watch.votes()["web"] == (DOWN, False)


def test_a_single_peer_has_nothing_to_wait_for() -> None:
    """Alone and without reference targets a confirmed down is published at once."""
    watch = Watch("web", alone=True)
    watch.all_up()
    watch.see("web", DOWN, DOWN)
    watch.settle()
    assert watch.votes()["web"] == (DOWN, False)


@pytest.mark.parametrize(("lag_s", "is_late"), [(0.9, False), (1.1, True)])
def test_a_late_loop_is_doubted_for_a_while(lag_s: float, is_late: bool) -> None:
    """More than a second late: ten seconds of doubt, which then ends by itself."""
    watch = failing("web")
    watch.vantage.note_loop_lag(lag_s, watch.now)
    assert (watch.vote("web").opinion is UNKNOWN) is is_late
    assert watch.vantage.doubt(watch.now) == ("its own event loop was 1.1 s late" if is_late else "")
    watch.pass_s(10.1)
    assert watch.vote("web").opinion is DOWN


@pytest.mark.parametrize(("step_s", "is_stepped"), [(4.0, False), (6.0, True), (-6.0, True)])
def test_a_stepped_wall_clock_is_doubted_for_a_while(step_s: float, is_stepped: bool) -> None:
    """A wall clock that moved by more than five seconds against the boot clock is doubted for a while."""
    doubts = SelfDoubt(instant(100.0))
    stepped = Instant(wall=instant(101.0).wall + step_s, boot=101.0)
    doubts.note_loop_lag(0.0, stepped)
    assert bool(doubts.reason(stepped)) is is_stepped
    later = Instant(wall=stepped.wall + 31.0, boot=132.0)
    doubts.note_loop_lag(0.0, later)
    assert doubts.reason(later) == ""


def test_standing_alone_is_doubted() -> None:
    """Seeing half of all services down that both others see up says more about us than about them."""
    watch = failing("web", "db", "mail")
    assert watch.vantage.doubt(watch.now) == "it alone sees 3 of 4 services down"
    assert {watch.votes()[name][0] for name in ("web", "db", "mail")} == {UNKNOWN}
    watch.others_see({"web": down(), "db": down(), "mail": down()}, "b")
    watch.settle()
    assert {watch.votes()[name][0] for name in ("web", "db", "mail")} == {DOWN}


def test_two_of_four_is_no_dissent() -> None:
    """Fewer than three is no pattern: a small outage that only we see is reported."""
    watch = failing("web", "db")
    assert watch.vantage.doubt(watch.now) == ""
    assert watch.votes()["web"] == (DOWN, False)


def test_those_about_to_find_out_do_not_contradict() -> None:
    """Others that already suspect what we see down are no dissent: a real outage is not held up."""
    watch = Watch("web", "db", "mail", "shop")
    watch.all_up()
    watch.others_see(dict.fromkeys(("web", "db", "mail"), SUSPECT), "b", "c")
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.checked()
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.settle()
    assert {watch.votes()[name][0] for name in ("web", "db", "mail")} == {DOWN}


def test_others_that_cannot_vote_do_not_contradict() -> None:
    """Peers that run another config or are gone say nothing about what we see."""
    watch = Watch("web", "db", "mail", "shop")
    watch.all_up()
    watch.book.report("b", {}, config_hash="other")
    watch.book.must("a", _gone(watch, "c"))
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.checked()
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.settle()
    assert watch.vantage.doubt(watch.now) == ""
    assert watch.votes()["web"] == (DOWN, False)


def test_a_peer_that_is_gone_is_not_among_the_others() -> None:
    """Of two others one is gone: the one that is left and sees everything up is their majority."""
    watch = Watch("web", "db", "mail", "shop")
    watch.all_up()
    watch.book.must("a", _gone(watch, "c"))
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.checked()
    for name in ("web", "db", "mail"):
        watch.see(name, DOWN)
    watch.settle()
    assert watch.vantage.doubt(watch.now) == "it alone sees 3 of 4 services down"


def test_what_gets_better_waits_for_nobody() -> None:
    """From down to degraded is good news: it needs no look at the references."""
    watch = failing("shop")
    watch.pass_s(10.0)
    watch.see("shop", DEGRADED, DEGRADED, kind=Kind.UNREACHABLE)
    watch.settle()
    assert watch.votes()["shop"] == (DEGRADED, False)


def _gone(watch: Watch, peer: str) -> Gone:
    lease = watch.book.state.lease
    return Gone(epoch=lease.epoch, peer=peer, peer_session=watch.book.state.row(peer).session)


def test_trouble_of_the_looking_is_doubt_and_success_counts() -> None:
    """What the worker lacks takes failing votes back, and is told when it lasts; its end gives them back."""
    watch = failing("web")
    watch.vantage.note_trouble(Trouble(reason="no descriptor"))
    watch.see("db", UP)
    watch.settle()
    assert watch.votes()["web"] == (UNKNOWN, False)
    assert watch.votes()["db"] == (UP, False)
    assert "no descriptor" in watch.vote("web").text
    watch.pass_s(5.1)
    watch.settle()
    assert watch.book.state.row("a").doubt == "no descriptor"
    watch.vantage.note_trouble(Trouble())
    watch.settle()
    assert watch.book.state.row("a").doubt == ""
    assert watch.votes()["web"] == (DOWN, False)


def test_who_sees_nothing_at_all_votes_on_nothing() -> None:
    """Without any results the good ones are old as well: one small report makes every vote unknown."""
    watch = failing("web")
    watch.vantage.note_trouble(Trouble(reason="worker gone", is_blind=True))
    (report,) = watch.settle()
    assert (report.default, dict(report.votes)) == (UNKNOWN, {})
    assert set(watch.votes().values()) == {(UNKNOWN, False)}
    watch.pass_s(5.1)
    watch.settle()
    assert watch.vote("web").text == "in doubt: worker gone"
    watch.vantage.note_trouble(Trouble(reason="worker gone"))
    watch.settle()
    assert watch.votes()["db"] == (UP, False)
    assert watch.votes()["web"] == (UNKNOWN, False)
