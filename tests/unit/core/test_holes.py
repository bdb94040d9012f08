"""The counterexamples of protocol.md section 2 that touch the ledger, each told in the ledger's own commands.

Every test is a trace that went wrong in a first draft of the protocol, and the rule that now stops it.
Holes 2 to 5 are about timers of the lease and of claims, 13 to 15 about silences: not the ledger's.
"""

from __future__ import annotations

import pytest
from support.core_support import WALL, Book, down

from watchtower.core import commands as c
from watchtower.core.model import Doubt, Notification, Outcome, Stage


def firing(*channels: str) -> tuple[Book, list[Notification]]:
    """A cluster with an open incident on web and its notifications."""
    book = Book()
    book.fails()
    return book, book.opened("web", channels or ("chat",))


def stages(items: list[Notification]) -> list[tuple[str, str, str]]:
    """Kind, channel and stage of each notification."""
    return [(item.kind.value, item.channel, item.stage.value) for item in items]


def test_hole_1_a_lease_claim_that_has_not_seen_a_renewal() -> None:
    """A rival that lags behind a renewal compares with an older lease and loses."""
    book = Book()
    late = c.ClaimLease(epoch=1, renewals=0, length_ms=3000, id="rival")
    book.must("a", c.Renew(epoch=1, length_ms=3000, id="second"))
    assert book.do("b", late).reason == "the lease has moved on"
    assert book.state.lease.holder == "a"


def test_hole_2_validity_is_bound_to_an_entry() -> None:
    """The ledger names the very claim that won, so that a retry is not mistaken for it."""
    book = Book()
    book.must("b", c.ClaimLease(epoch=1, renewals=0, length_ms=3000, id="first try"))
    assert not book.do("b", c.ClaimLease(epoch=1, renewals=0, length_ms=3000, id="second try")).ok
    assert book.state.lease.entry_id == "first try"
    book, (item,) = firing()
    book.claim(item, claim_id="first try")
    assert not book.claim(item, attempt=0, claim_id="second try").ok
    assert book.item(item).claim_id == "first try"


def test_hole_3_the_length_rides_in_the_entry() -> None:
    """Whoever waits for a lease or a claim finds its length beside it, not in the own config."""
    book, (item,) = firing()
    book.must("a", c.Renew(epoch=1, length_ms=6000, id="longer"))
    book.claim(item, hold_ms=20_000)
    assert (book.state.lease.length_ms, book.item(item).hold_ms) == (6000, 20_000)


def test_hole_6_open_with_votes_that_have_changed() -> None:
    """An open decided before a voter restarted is refused when it arrives after it."""
    book = Book()
    book.fails()
    late = book.opening()
    book.join("b")
    assert book.do("a", late).reason == "the votes have changed"


def test_hole_6_open_twice() -> None:
    """An open that arrives again after the incident was opened and closed does not open another."""
    book = Book()
    book.fails()
    late = book.opening()
    book.must("a", late)
    book.closed()
    assert book.do("a", late).reason == "the incident has changed"
    assert book.state.last_incident == 1


def test_hole_7_the_lane_is_the_services() -> None:
    """Firing of the next incident waits for the resolved of the one before, on the same channel only."""
    book, items = firing("chat", "mail")
    for item in items:
        book.claim(item)
        book.settle(item, Outcome.ACCEPTED)
    *_, chat_up, mail_up = book.closed()
    book.claim(mail_up)
    book.settle(mail_up, Outcome.ACCEPTED)
    chat_again, mail_again = book.opened("web", ("chat", "mail"))
    assert book.claim(chat_again).reason == "an older notification of the lane is unfinished"
    assert book.claim(mail_again).ok
    book.fails("api")
    (other,) = book.opened("api")
    assert book.claim(other).ok
    book.claim(chat_up)
    book.settle(chat_up, Outcome.ACCEPTED)
    assert book.claim(chat_again).ok


def test_hole_8_accepted_of_an_old_claim_keeps_the_lane() -> None:
    """A late accepted under a live foreign claim is proof, and the lane stays shut until that claim ends."""
    book, (item,) = firing()
    book.claim(item)
    book.lease("b")
    book.assign(item, "b")
    book.claim(item, by="b")
    book.settle(item, Outcome.ACCEPTED, attempt=1)
    resolved = book.closed()[-1]
    assert book.claim(resolved, by="b").reason == "an older notification of the lane is unfinished"
    book.settle(item, Outcome.ACCEPTED, by="b")
    assert book.claim(resolved, by="b").ok


def test_hole_8_proof_is_taken_over_when_the_live_claim_dies() -> None:
    """When the owner of the live claim dies, whoever takes over finds the proof."""
    book, (item,) = firing()
    book.claim(item)
    book.assign(item, "b")
    book.claim(item, by="b")
    book.settle(item, Outcome.ACCEPTED, attempt=1)
    book.assign(item, "c")
    assert book.claim(item, by="c").ok
    assert book.item(item).doubt is Doubt.PROOF
    book.settle(item, Outcome.ACCEPTED, by="c")
    assert book.item(item).stage is Stage.DELIVERED


def test_hole_9_a_report_of_an_earlier_boot() -> None:
    """A report proposed before a restart is refused when it arrives after the new process has joined."""
    book = Book()
    late = c.Report(seq=1, full=False, config_hash="h1", at_wall=WALL, votes={"web": down()})
    book.join("b")
    assert book.do("b", late, session=1).reason == "session 1 is not the current one of b"


def test_hole_9_an_older_report_never_replaces_a_newer() -> None:
    """Within one boot, a delayed copy of an earlier report is refused."""
    book = Book()
    late = c.Report(seq=1, full=False, config_hash="h1", at_wall=WALL, votes={"web": down()})
    book.report("b", {"web": None}, full=False)
    assert book.do("b", late).reason == "report 1 is not the expected 2"


def test_hole_10_doubt_is_sticky() -> None:
    """A refusal for certain does not clear the doubt of an earlier attempt: resolved is sent then."""
    book, (item,) = firing()
    book.claim(item)
    book.settle(item, Outcome.AMBIGUOUS)
    book.claim(item)
    book.settle(item, Outcome.REJECTED)
    assert (book.item(item).stage, book.item(item).doubt) == (Stage.PENDING, Doubt.MAYBE)
    assert stages(book.closed()) == [("firing", "chat", "pending"), ("resolved", "chat", "pending")]
    book.claim(item)
    book.settle(item, Outcome.SUPERSEDED)
    assert stages(book.items(1)) == [("firing", "chat", "superseded"), ("resolved", "chat", "pending")]


def test_hole_11_never_left_is_cancelled() -> None:
    """Closing before the announcement was claimed cancels it, and nobody hears of the end."""
    book, _ = firing("chat", "mail")
    assert stages(book.closed()) == [("firing", "chat", "cancelled"), ("firing", "mail", "cancelled")]


def test_hole_11_closing_looks_at_the_outbox_itself() -> None:
    """A close decided while the announcement was pending still tells the end when it left meanwhile."""
    book, (item,) = firing()
    close = book.closing()
    book.claim(item)
    book.must("a", close)
    assert stages(book.items(1)) == [("firing", "chat", "claimed"), ("resolved", "chat", "pending")]
    book.settle(item, Outcome.ACCEPTED)
    assert stages(book.items(1)) == [("firing", "chat", "delivered"), ("resolved", "chat", "pending")]


@pytest.mark.parametrize("outcome", [Outcome.NOT_SENT, Outcome.REJECTED])
def test_hole_11_is_looked_at_again_on_every_settle(outcome: Outcome) -> None:
    """A claimed announcement that turns out never to have left takes its resolved notice with it."""
    book, (item,) = firing()
    book.claim(item)
    book.closed()
    book.settle(item, outcome)
    assert stages(book.items(1)) == [("firing", "chat", "cancelled"), ("resolved", "chat", "cancelled")]
