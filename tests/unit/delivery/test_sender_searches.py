"""What may have arrived is looked for before it is sent again: protocol.md, sender rule 4."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.core_support import Book
from support.sender_bench import ABSENT, ACCEPTED, LOST, NOT_SENT, PRESENT, SILENT, Bench

from watchtower.core.model import Doubt, Outcome, Stage
from watchtower.delivery.orders import BUDGET_S, HOLD_S, SEARCH_S, Orders, Search
from watchtower.delivery.timers import rival_wait_s
from watchtower.delivery.trace import Found, Trace

MERGED = Found(trace=Trace.MERGED)
TAKEOVER_S = 17.0


def lost(bench: Bench) -> None:
    """An attempt of ours whose answer was lost; its wait is over."""
    bench.apply(bench.ended(bench.claimed(), LOST))
    bench.boot += TAKEOVER_S


def stopped(bench: Bench) -> None:
    """Another sender stopped in the middle; its wait is over."""
    (item,) = bench.book.items(1)
    bench.book.assign(item, "b")
    assert bench.book.claim(item, "b").ok
    bench.book.assign(item, "a")
    bench.step()
    bench.boot += TAKEOVER_S


def lost_then_refused(bench: Bench) -> None:
    """Lost once, then certainly not sent: pending again, and still in doubt."""
    lost(bench)
    bench.apply(bench.ended(bench.claimed(), NOT_SENT))
    bench.boot += 5.0
    (item,) = bench.book.items(1)
    assert (item.stage, item.doubt) == (Stage.PENDING, Doubt.MAYBE)


def claimed_again(bench: Bench) -> Orders:
    """The orders that follow the claim of what may have arrived."""
    (claim,) = bench.step().claims
    assert claim.hold_ms == round((HOLD_S + SEARCH_S) * 1000)
    assert bench.apply(claim).ok
    return bench.step()


def doubtful() -> tuple[Bench, Orders]:
    """A bench that has just claimed what may have arrived, and what it is ordered to do."""
    bench = Bench()
    bench.book.opened()
    lost(bench)
    return bench, claimed_again(bench)


@pytest.mark.parametrize("doubt", [lost, stopped, lost_then_refused])
def test_whatever_may_have_arrived_is_looked_for_before_it_is_sent(doubt: Callable[[Bench], None]) -> None:
    """However the doubt came about: one search, and no send beside it, nor while it goes on."""
    bench = Bench()
    (item,) = bench.book.opened()
    doubt(bench)
    orders = claimed_again(bench)
    (search,) = orders.searches
    assert (search.item.id, orders.sends, orders.settles) == (item.id, (), ())
    later = bench.step(1.0)
    assert (later.searches, later.sends, later.settles, later.claims) == ((), (), (), ())
    assert not bench.sender.is_idle


def test_what_was_never_sent_is_not_looked_for() -> None:
    """First attempts, and attempts after a certain failure, go out at once."""
    bench = Bench()
    bench.book.opened()
    (claim,) = bench.step().claims
    assert claim.hold_ms == round(HOLD_S * 1000)
    bench.apply(claim)
    (order,) = bench.step().sends
    bench.apply(bench.ended(order, NOT_SENT))
    (claim,) = bench.step(1.1).claims
    bench.apply(claim)
    orders = bench.step()
    assert (orders.searches, len(orders.sends)) == ((), 1)
    assert not orders.sends[0].may_repeat


def test_what_is_found_is_settled_as_accepted_with_its_receipt() -> None:
    """People have it: nothing is sent, and the ledger knows where it is."""
    bench, orders = doubtful()
    orders = bench.searched(orders, PRESENT)
    assert (orders.sends, len(orders.settles)) == ((), 1)
    (settle,) = orders.settles
    assert (settle.outcome, settle.receipt, settle.attempt) == (Outcome.ACCEPTED, PRESENT.receipt, 2)
    bench.apply(settle)
    (item,) = bench.book.items(1)
    assert (item.stage, item.receipt) == (Stage.DELIVERED, PRESENT.receipt)


@pytest.mark.parametrize(("found", "may_repeat"), [(ABSENT, False), (MERGED, False), (SILENT, True)])
def test_what_is_not_found_is_sent_and_marked_only_when_nobody_knows(found: Found, may_repeat: bool) -> None:
    """A repeat that cannot be one, or that nobody sees twice, carries no mark."""
    bench, orders = doubtful()
    (order,) = bench.searched(orders, found).sends
    assert (order.may_repeat, order.item.attempt) == (may_repeat, 2)
    bench.apply(bench.ended(order, ACCEPTED))
    assert bench.item(order).stage is Stage.DELIVERED


def test_every_further_attempt_looks_again() -> None:
    """What was absent before the last attempt says nothing about after it."""
    bench, orders = doubtful()
    (order,) = bench.searched(orders, ABSENT).sends
    bench.apply(bench.ended(order, LOST))
    bench.boot += 25.0
    orders = claimed_again(bench)
    assert (len(orders.searches), orders.sends) == (1, ())


def test_a_search_leaves_the_whole_time_to_send() -> None:
    """The claim holds longer by the search, rivals wait by what is in the claim, and the fence is later."""
    bench, orders = doubtful()
    (search,) = orders.searches
    (item,) = bench.book.items(1)
    assert item.hold_ms == round((HOLD_S + SEARCH_S) * 1000)
    assert search.until_boot == bench.boot + SEARCH_S
    bench.boot += SEARCH_S
    (order,) = bench.searched(orders).sends
    assert order.send_until_boot == search.until_boot + HOLD_S - BUDGET_S
    assert bench.sender.may_send(bench.book.state, bench.session, order, order.send_until_boot)
    assert not bench.sender.may_send(bench.book.state, bench.session, order, order.send_until_boot + 0.01)
    rival = Bench(bench.book, "b")
    bench.book.assign(item, "b")
    assert rival.step().claims == ()
    assert rival.step(rival_wait_s(item.hold_ms) - 0.1).claims == ()
    assert len(rival.step(0.2).claims) == 1


def test_a_search_ends_with_the_right_to_send() -> None:
    """A claim that was applied late leaves less time to look; one that is too late is given back."""
    bench = Bench()
    bench.book.opened()
    lost(bench)
    (claim,) = bench.step().claims
    assert bench.book.do("a", claim).ok
    (search,) = bench.step(7.0).searches
    assert search.until_boot == bench.boot + HOLD_S + SEARCH_S - BUDGET_S - 7.0
    bench.boot = search.until_boot + 0.1
    bench.sender.searched(search, ABSENT)
    orders = bench.step()
    assert (orders.sends, [settle.outcome for settle in orders.settles]) == ((), [Outcome.NOT_SENT])


def test_proof_that_comes_during_the_search_ends_it() -> None:
    """The old sender's late `accepted` is as good as a find; what the search says then is of no matter."""
    book = Book()
    owner, rival = Bench(book, "a"), Bench(book, "b")
    (item,) = book.opened()
    order = owner.claimed()
    book.assign(item, "b")
    rival.step()
    rival.boot += TAKEOVER_S
    (search,) = claimed_again(rival).searches
    owner.apply(owner.ended(order, ACCEPTED))
    (settle,) = rival.step().settles
    rival.sender.searched(search, ABSENT)
    assert rival.step().sends == ()
    rival.apply(settle)
    assert book.item(item).stage is Stage.DELIVERED


def test_a_search_under_a_claim_that_is_gone_sends_nothing() -> None:
    """Taken over while searching: what is found out belongs to nobody."""
    bench, orders = doubtful()
    (search,) = orders.searches
    bench.book.assign(search.item, "b")
    assert bench.book.claim(search.item, "b").ok
    bench.sender.searched(search, ABSENT)
    orders = bench.step()
    assert (orders.sends, orders.settles) == ((), ())
    assert bench.sender.is_idle


def test_an_answer_to_an_older_search_does_not_count() -> None:
    """It looked before the latest attempt."""
    bench, orders = doubtful()
    (old,) = orders.searches
    (order,) = bench.searched(orders, SILENT).sends
    bench.apply(bench.ended(order, LOST))
    bench.boot += 25.0
    (new,) = claimed_again(bench).searches
    bench.sender.searched(old, ABSENT)
    orders = bench.step()
    assert (orders.sends, orders.searches, orders.settles) == ((), (), ())
    assert isinstance(new, Search)
    bench.sender.searched(new, ABSENT)
    assert len(bench.step().sends) == 1
