"""Sender rule 5: what people said between the claim and the sending counts, over the real ledger."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, instant
from support.sender_bench import ABSENT, LOST, PRESENT, SILENT, Bench

from watchtower.core import requests as r
from watchtower.core.alerting.matching import read_text
from watchtower.core.applying.outbox import told_channels
from watchtower.core.model import NoticeKind, Outcome, Stage
from watchtower.core.policies import Acknowledgement, Silence, SilenceKind
from watchtower.core.settings import Window
from watchtower.delivery.sender import Sender
from watchtower.delivery.timers import rival_wait_s
from watchtower.delivery.trace import Found


def silence(book: Book, match: str = "service=web") -> None:
    """Somebody silences what fits for an hour from the start of all tests."""
    one = Silence(
        id="s1",
        kind=SilenceKind.SILENCE,
        matchers=read_text(match),
        author="ops-lead",
        reason="deploying",
        starts_wall=WALL,
        ends_wall=WALL + 3600,
        created_wall=WALL,
    )
    book.must("a", r.SetSilence(silence=one))


def claimed(kind: NoticeKind = NoticeKind.FIRING) -> Bench:
    """A bench whose only notification, of this kind, is claimed and not yet sent."""
    bench = Bench()
    bench.book.fails()
    draft = replace(bench.book.draft("chat", "web", "1"), kind=kind)
    bench.book.must("a", bench.book.opening(drafts=(draft,)))
    (claim,) = bench.step().claims
    assert bench.apply(claim).ok
    return bench


def test_a_silence_after_the_claim_stops_the_sending() -> None:
    """It goes back, for the alerter to withdraw, and the settlement says why."""
    bench = claimed()
    silence(bench.book)
    orders = bench.step()
    assert not orders.sends
    (settle,) = orders.settles
    assert settle.outcome is Outcome.NOT_SENT
    assert settle.detail.startswith("silenced by ops-lead until ")
    bench.apply(settle)
    (item,) = bench.book.state.notifications.values()
    assert item.stage is Stage.PENDING


def test_a_silence_of_something_else_stops_nothing() -> None:
    """Its matchers are asked."""
    bench = claimed()
    silence(bench.book, "service=db")
    assert bench.step().sends


def test_maintenance_that_begins_after_the_claim_stops_it_too() -> None:
    """Planned maintenance needs no entry of the log to begin."""
    bench = claimed()
    window = Window(match=read_text("service=web"), start_wall=WALL + 100.5, end_wall=WALL + 200)
    bench.settings = replace(bench.settings, maintenance=(window,))
    bench.boot += 1.0
    (settle,) = bench.step().settles
    assert settle.detail.startswith("in maintenance until ")


@pytest.mark.parametrize("kind", [NoticeKind.REMINDER, NoticeKind.ESCALATION, NoticeKind.FIRING])
def test_an_acknowledgement_after_the_claim_stops_what_would_only_remind(kind: NoticeKind) -> None:
    """The first word of an incident is sent all the same."""
    bench = claimed(kind)
    ack = Acknowledgement(by="bob", note="", at_wall=WALL)
    bench.book.must("a", r.Acknowledge(incident=1, ack=ack, by="bob", at_wall=WALL))
    orders = bench.step()
    assert bool(orders.sends) is (kind is NoticeKind.FIRING)
    assert [settle.detail for settle in orders.settles] == (
        ["acknowledged by bob"] if not orders.sends else []
    )


def in_doubt() -> Bench:
    """A bench whose notification was sent once, with the answer lost, and which is silenced now."""
    bench = claimed()
    (order,) = bench.step().sends
    bench.apply(bench.ended(order, LOST))
    silence(bench.book)
    return bench


@pytest.mark.parametrize("found", [ABSENT, SILENT])
def test_what_may_have_arrived_is_superseded_and_its_end_will_be_told(found: Found) -> None:
    """Not sent again, and counted as told: people hear when it is over."""
    bench = in_doubt()
    bench.boot += 60
    (claim,) = bench.step().claims
    bench.apply(claim)
    (settle,) = bench.searched(bench.step(), found).settles
    assert settle.outcome is Outcome.SUPERSEDED
    bench.apply(settle)
    assert told_channels(bench.book.state, 1) == ("chat",)


def test_what_is_found_to_have_arrived_is_accepted_although_it_is_silenced() -> None:
    """The truth about the world comes before what people wish."""
    bench = in_doubt()
    bench.boot += 60
    (claim,) = bench.step().claims
    bench.apply(claim)
    (settle,) = bench.searched(bench.step(), PRESENT).settles
    assert settle.outcome is Outcome.ACCEPTED


def test_the_end_is_sent_whatever_is_silenced() -> None:
    """Who heard that it is down hears that it is up."""
    bench = claimed(NoticeKind.RESOLVED)
    silence(bench.book)
    assert bench.step().sends


def test_what_is_silenced_is_not_even_claimed() -> None:
    """It is the alerter's to withdraw, and counts as no failure of the channel."""
    bench = Bench()
    bench.book.fails()
    bench.book.must("a", bench.book.opening())
    silence(bench.book)
    assert bench.step().claims == ()


def test_what_a_dead_sender_had_claimed_is_taken_over_though_nobody_wants_it() -> None:
    """It may have left, and while it is claimed its end waits behind it (protocol.md, hole 14)."""
    bench = claimed()
    (item,) = bench.book.state.notifications.values()
    bench.book.recovers()
    bench.book.must("a", bench.book.closing())
    successor = Sender("a", lambda: "another claim")
    late = replace(instant(200.0), boot=200.0 + rival_wait_s(item.hold_ms) + 60.0)
    session = bench.book.state.row("a").session
    successor.step(bench.book.state, session, bench.settings, instant(200.0))
    (claim,) = successor.step(bench.book.state, session, bench.settings, late).claims
    assert claim.id == item.id
