"""A channel that asked to wait is left alone by every sender, for every message, for as long as it asked."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import Book, instant, service, settings
from support.sender_bench import BUSY, Bench

from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Outcome, Stage
from watchtower.delivery.orders import Orders
from watchtower.delivery.witness import Ending


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("skew_s", [0.0, 3_600.0, -3_600.0])
def test_a_new_sender_honours_what_the_channel_asked_of_the_old_one(is_over: bool, skew_s: float) -> None:
    """Another peer, another message that was never tried, even when the one that was told is over.

    The clocks of both may differ by an hour: who saw it happen counts by its own clock.
    """
    book = Book()
    old, new = Bench(book, "a"), Bench(book, "b")
    new.step()
    (told,) = book.opened("web")
    new.step(5.0)
    book.claim(told)
    book.settle(told, Outcome.REJECTED, retry_after_s=30.0, at_wall=instant(old.boot + 5.0 + skew_s).wall)
    (other,) = book.opened("api")
    if is_over:
        book.closed("web")
        assert book.item(told).stage is Stage.CANCELLED
    book.assign(other, "b")
    assert new.step(0.1).claims == ()
    assert new.step(24.5).claims == ()
    assert new.step().wake_boot <= new.boot + 5.5
    assert [claim.id for claim in new.step(5.5).claims] == [other.id]


@pytest.mark.parametrize("late_s", [0.0, 20.0, 40.0])
def test_a_restarted_sender_rests_for_what_is_left(late_s: float) -> None:
    """It has only the wall clock of who was told: it waits for the rest of the pause, no less, no more."""
    book = Book()
    (told,) = book.opened("web")
    book.claim(told)
    book.settle(told, Outcome.REJECTED, retry_after_s=30.0, at_wall=instant(100.0).wall)
    (other,) = book.opened("api")
    book.assign(other, "b")
    new = Bench(book, "b")
    claims = new.step(late_s).claims
    assert [claim.id for claim in claims] == ([other.id] if late_s > 30.0 else [])
    if not claims:
        assert new.step(29.9 - late_s).claims == ()
        assert [claim.id for claim in new.step(0.2).claims] == [other.id]


def test_retry_after_rests_the_whole_channel() -> None:
    """What the channel asked of one message holds for every message on it, and no other channel."""
    wanted = settings(service("web"), service("api"), service("db"), channels={"chat": "", "mail": ""})
    bench = Bench(wanted=wanted)
    bench.book.opened("web")
    order = bench.claimed()
    bench.book.opened("api")
    bench.book.opened("db", ("mail",))
    bench.sender.ended(order, BUSY, instant(bench.boot))
    orders = bench.step()
    bench.apply(orders.settles[0])
    assert on_channels(bench, orders) == ["mail"]
    assert on_channels(bench, bench.step(29.9)) == []
    assert on_channels(bench, bench.step(0.2)) == ["chat"]


def on_channels(bench: Bench, orders: Orders) -> list[str]:
    """The channels of the claims, in order."""
    return [bench.book.state.notifications[claim.id].channel for claim in orders.claims]


def test_a_message_that_the_channel_cannot_take_does_not_block_the_others() -> None:
    """A channel in trouble has one trial every five minutes: each is for what failed longest ago."""
    wanted = settings(service("bad"), service("good"), channels={"chat": "mail", "mail": ""})
    bench = Bench(wanted=wanted)
    bad, good = bench.book.opened("bad")[0], bench.book.opened("good")[0]
    bench.book.state = replace(bench.book.state, channels={"chat": ChannelRow(trouble="HTTP 404")})
    tried = []
    for _ in range(3):
        order = bench.claimed(301.0)
        tried.append(order.item.id)
        bench.apply(bench.ended(order, Ending(outcome=Outcome.REJECTED, detail="HTTP 500")))
    assert tried == [bad.id, good.id, bad.id]
