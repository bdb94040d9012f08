"""The courier with a carrier of the test's own: no thread, no socket, every step of a delivery by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace
from support.core_support import Book, instant, service, settings
from support.sender_bench import ACCEPTED, LOST

from watchtower.core.commands import Answer, Claim, Command, Settle
from watchtower.core.model import Instant, Outcome, Stage
from watchtower.core.settings import BreakerSettings, Channel
from watchtower.delivery.courier import Courier
from watchtower.delivery.message import Message
from watchtower.delivery.orders import BUDGET_S, HOLD_S
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending, Fenced, Recorder

REFUSED = Ending(outcome=Outcome.NOT_SENT, detail="connection refused")


class Hands:
    """A carrier whose sends and searches end when the test says so."""

    def __init__(self) -> None:
        self.full: frozenset[str] = frozenset()
        self.posts: list[tuple[Message, Recorder, asyncio.Future[Ending]]] = []
        self.searches: list[tuple[str, float, asyncio.Future[Found]]] = []

    def post(self, channel: Channel, message: Message, recorder: Recorder) -> asyncio.Future[Ending]:
        """One more send under way."""
        assert channel.name == "chat"
        future: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.posts.append((message, recorder, future))
        return future

    def search(
        self, channel: Channel, delivery_id: str, since_wall: float, thread: str = ""
    ) -> asyncio.Future[Found]:
        """One more search under way."""
        assert channel.name == "chat"
        future: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self.searches.append((delivery_id, since_wall, future))
        return future

    async def warm(self, configured: Iterable[Channel]) -> dict[str, str]:
        """Nothing to load."""
        assert [channel.name for channel in configured] == ["chat"]
        return {}


class Table:
    """One peer's courier, its hands, the ledger and the clock."""

    def __init__(self) -> None:
        self.book = Book()
        self.boot = 100.0
        self.hands = Hands()
        self.proposed: list[Command] = []
        self.has_lost_office = False
        ids = iter(range(1_000))
        self.courier = Courier(
            settings(service("web")),
            "a",
            self,
            self.submit,
            lambda: f"id-{next(ids)}",
            carrier=self.hands,
            has_lost_office=lambda _: self.has_lost_office,
        )

    def now(self) -> Instant:
        """The test's clock."""
        return instant(self.boot)

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Applied at once."""
        self.proposed.append(command)
        answer = self.book.do("a", command)
        self.spread()
        return answer

    def spread(self) -> None:
        """The courier sees the applied state."""
        self.courier.on_state(self.book.state, self.book.state.row("a").session)

    async def turns(self) -> None:
        """Everything that can go on without the test has gone on."""
        for _ in range(20):
            await asyncio.sleep(0)  # noqa: TID251 - gives the loop its turns, waits for nothing

    async def later(self, seconds: float) -> None:
        """Time passes, and the courier looks."""
        self.boot += seconds
        self.spread()
        await self.turns()

    def commands(self, kind: type[Claim | Settle]) -> list[Command]:
        """What was proposed so far, of that kind."""
        return [command for command in self.proposed if isinstance(command, kind)]


@asynccontextmanager
async def working() -> AsyncIterator[Table]:
    """A courier at work with one notification claimed and its send under way."""
    table = Table()
    running = asyncio.create_task(table.courier.run())
    table.book.opened()
    table.spread()
    await table.turns()
    try:
        yield table
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_nothing_is_settled_before_the_send_has_ended() -> None:
    """Claimed, handed to the carrier, and silent until the carrier says how it ended."""

    async def scenario() -> None:
        async with working() as table:
            ((message, _, future),) = table.hands.posts
            await table.later(3.0)
            assert (len(table.commands(Claim)), table.commands(Settle)) == (1, [])
            future.set_result(ACCEPTED)
            await table.turns()
            (settle,) = table.commands(Settle)
            assert isinstance(settle, Settle)
            assert (settle.id, settle.outcome) == (message.delivery_id, Outcome.ACCEPTED)

    asyncio.run(scenario())


def test_the_carriers_fence_is_the_senders() -> None:
    """Asked right before the first byte: refused after the right ran out, and once another has the claim.

    And once the lease of this peer has run out, whatever rights it has left.
    """

    async def scenario(*, is_taken: bool, late_s: float, has_lost_office: bool = False) -> None:
        async with working() as table:
            ((_, recorder, _),) = table.hands.posts
            table.has_lost_office = has_lost_office
            if is_taken:
                (item,) = table.book.items(1)
                table.book.assign(item, "b")
                assert table.book.claim(item, "b").ok
                table.spread()
            table.boot += late_s
            recorder.pass_fence(None)

    asyncio.run(scenario(is_taken=False, late_s=HOLD_S - BUDGET_S))
    with pytest.raises(Fenced):
        asyncio.run(scenario(is_taken=False, late_s=HOLD_S - BUDGET_S + 0.1))
    with pytest.raises(Fenced):
        asyncio.run(scenario(is_taken=True, late_s=0.0))
    with pytest.raises(Fenced):
        asyncio.run(scenario(is_taken=False, late_s=0.0, has_lost_office=True))


@pytest.mark.parametrize(("trace", "copies"), [(Trace.PRESENT, 1), (Trace.ABSENT, 2), (Trace.UNKNOWN, 2)])
def test_what_may_have_arrived_is_searched_first(trace: Trace, copies: int) -> None:
    """The carrier is asked for the delivery since it was made, and sends again only what it did not find."""

    async def scenario() -> None:
        async with working() as table:
            ((_, _, first),) = table.hands.posts
            first.set_result(LOST)
            await table.later(0.0)
            await table.later(17.0)
            (item,) = table.book.items(1)
            ((delivery_id, since_wall, looking),) = table.hands.searches
            assert (delivery_id, since_wall, len(table.hands.posts)) == (item.id, item.created_wall, 1)
            looking.set_result(Found(trace=trace, receipt="C1/2.3", detail="seen"))
            await table.turns()
            assert len(table.hands.posts) == copies
            if trace is Trace.PRESENT:
                assert table.book.item(item).stage is Stage.DELIVERED
                assert table.book.item(item).receipt == "C1/2.3"
                assert table.courier.stats.reconciled_total == 1
            else:
                assert table.hands.posts[1][0].is_repeat is (trace is Trace.UNKNOWN)

    asyncio.run(scenario())


def test_a_search_that_breaks_is_an_unknown_trace() -> None:
    """Whatever is wrong with the carrier, the alert goes out, and says that it may be a repeat."""

    async def scenario() -> None:
        async with working() as table:
            table.hands.posts[0][2].set_result(LOST)
            await table.later(0.0)
            await table.later(17.0)
            table.hands.searches[0][2].set_exception(RuntimeError("broken"))
            await table.turns()
            assert table.hands.posts[1][0].is_repeat

    asyncio.run(scenario())


async def _fail(table: Table, ending: Ending, seconds: float) -> int:
    """Every send in the next seconds ends so; how many there were."""
    sends = len(table.hands.posts)
    for _ in range(round(seconds)):
        for _, _, future in table.hands.posts:
            if not future.done():
                future.set_result(ending)
        await table.later(1.0)
    return len(table.hands.posts) - sends


def test_an_open_breaker_claims_nothing_and_burns_no_attempt() -> None:
    """Five refused connections within a minute: half a minute of silence, then one message."""

    async def scenario() -> None:
        async with working() as table:
            await _fail(table, REFUSED, 40.0)
            assert table.courier.blocked() == {"chat": "open: connection refused"}
            (item,) = table.book.items(1)
            assert (item.attempt, item.stage, len(table.commands(Claim))) == (5, Stage.PENDING, 5)
            await table.later(35.0)
            assert table.courier.blocked() == {"chat": "half-open: connection refused"}
            await table.later(0.0)
            assert len(table.hands.posts) == 6
            table.hands.posts[-1][2].set_result(ACCEPTED)
            await table.turns()
            assert table.courier.blocked() == {}
            (view,) = table.courier.stats.breakers
            assert (view.state, view.totals["open"], view.totals["close"], view.totals["fire"]) == (
                "closed",
                1,
                1,
                6,
            )

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "ending",
    [
        Ending(outcome=Outcome.REJECTED, detail="HTTP 429", retry_after_s=1.0),
        Ending(outcome=Outcome.REJECTED, detail="HTTP 404: no_service", is_permanent=True),
    ],
    ids=["429 with Retry-After", "permanent"],
)
def test_an_answer_does_not_open(ending: Ending) -> None:
    """Refused again and again, but by somebody who was reached."""

    async def scenario() -> None:
        async with working() as table:
            sends = await _fail(table, ending, 60.0)
            assert sends >= 5
            assert table.courier.blocked() == {}

    asyncio.run(scenario())


def test_a_last_word_passes_an_open_breaker() -> None:
    """That monitoring is blind is said past an open breaker, uncounted; later it may be the trial."""

    async def tell(table: Table) -> None:
        told = asyncio.create_task(table.courier.tell("chat", "blind", ("No majority.",)))
        await table.turns()
        table.hands.posts[-1][2].set_result(ACCEPTED)
        assert await told == ""

    async def scenario() -> None:
        async with working() as table:
            await _fail(table, REFUSED, 40.0)
            await tell(table)
            assert table.courier.blocked() == {"chat": "open: connection refused"}
            table.boot += 30.0
            await tell(table)
            assert table.courier.blocked() == {}

    asyncio.run(scenario())


def test_leaving_for_the_fallback_is_counted() -> None:
    """A permanent refusal by a channel that has one: an answer, and the delivery goes elsewhere."""

    async def scenario() -> None:
        async with working() as table:
            config = settings(service("web"))
            chat = replace(config.channels["chat"], fallback="mail")
            table.courier.reload(replace(config, channels={"chat": chat}))
            table.book.closed()
            table.hands.posts[0][2].set_result(ACCEPTED)
            await table.later(1.0)
            refusal = Ending(outcome=Outcome.REJECTED, detail="HTTP 404: no_service", is_permanent=True)
            table.hands.posts[1][2].set_result(refusal)
            await table.turns()
            (view,) = table.courier.stats.breakers
            counts = [view.totals[event] for event in ("fire", "success", "failure", "fallback")]
            assert counts == [2, 2, 0, 1]

    asyncio.run(scenario())


def test_a_change_of_the_breakers_begins_anew() -> None:
    """Other settings, and nothing is known any more; the same settings, and nothing is forgotten."""

    async def scenario() -> None:
        async with working() as table:
            await _fail(table, REFUSED, 40.0)
            table.courier.reload(settings(service("web")))
            assert list(table.courier.blocked()) == ["chat"]
            table.courier.reload(replace(settings(service("web")), breakers=BreakerSettings(reset_s=5.0)))
            assert table.courier.blocked() == {}

    asyncio.run(scenario())
