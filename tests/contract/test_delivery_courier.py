"""The courier over the real ledger, real plugins and real servers: delivered once, or marked as a repeat.

The log is one Book that every courier of a test shares; proposals can be dropped. Clocks are the
machine's, and can be moved forward so that nobody waits sixteen seconds for a takeover.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

import pytest
from msgspec.structs import replace
from support import delivery_support as made
from support.core_support import Book
from support.mail_sink import MailSink
from support.sinks import HttpSink

from watchtower.clock import SystemClock
from watchtower.core.commands import Answer, Claim, Command, Settle
from watchtower.core.model import Doubt, Instant, Notification, Outcome, Stage
from watchtower.core.settings import BreakerSettings, Settings
from watchtower.delivery import courier as courier_module
from watchtower.delivery import sender as sender_module
from watchtower.delivery.carrier import ThreadCarrier
from watchtower.delivery.courier import Courier

TAKEOVER_S = 17.0


class Clock:
    """The machine's clocks, `ahead_s` ahead."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> Instant:
        """Wall and boot time."""
        now = SystemClock().now()
        return Instant(wall=now.wall + self.ahead_s, boot=now.boot + self.ahead_s)


class Log:
    """The replicated log as one Book: applied at once for all, or dropped."""

    def __init__(self, settings: Settings) -> None:
        self.book = Book(config_hash=settings.config_hash)
        self.clock = Clock()
        self.couriers: dict[str, Courier] = {}
        self.carrier = ThreadCarrier()
        self.dropped: Callable[[str, Command], bool] = lambda _peer, _command: False
        self.proposed: list[tuple[str, Command]] = []

    def courier(self, settings: Settings, me: str) -> Courier:
        """A courier of peer `me` on this log."""
        numbers = count(1)

        async def submit(command: Command, *, timeout_s: float = 2.0) -> Answer | None:
            self.proposed.append((me, command))
            if self.dropped(me, command):
                return None
            answer = self.book.do(me, command)
            self.spread()
            return answer

        made_courier = Courier(
            settings,
            me,
            self.clock,
            submit,
            lambda: f"{me}-{next(numbers)}",
            carrier=self.carrier,
            has_lost_office=lambda _: False,
        )
        self.couriers[me] = made_courier
        return made_courier

    def spread(self) -> None:
        """Everybody sees the applied state."""
        for me, courier in self.couriers.items():
            courier.on_state(self.book.state, self.book.state.row(me).session)

    def opened(self, channel: str, name: str = "shop") -> Notification:
        """An incident with one notification for `channel`."""
        (item,) = self.book.opened(name, (channel,))
        self.spread()
        return item

    async def until(self, item: Notification, *stages: Stage, within_s: float = 10.0) -> Notification:
        """Wait until the notification is in one of the stages."""
        await eventually(lambda: self.book.item(item).stage in stages, within_s)
        return self.book.item(item)


async def eventually(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    """Wait for a condition; AssertionError when it does not come true."""
    deadline = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.01)  # noqa: TID251 - looks at a condition that nobody signals


@asynccontextmanager
async def running(*couriers: Courier) -> AsyncIterator[None]:
    """The couriers at work."""
    tasks = [asyncio.create_task(one.run()) for one in couriers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def channels(http: HttpSink, smtp: MailSink | None = None) -> dict[str, str]:
    """A Slack webhook, a Slack bot, a JSON webhook and, with a mail sink, a mailbox."""
    urls = {
        "chat": f"slack://T1JJ3T3L2/A1BRTD4JD/CANARYCANARYCANARYCANARY/?server={http.url}",
        "hook": f"json://127.0.0.1:{http.port}/hook",
        "bot": f"slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#ops?server={http.url}",
    }
    if smtp is not None:
        urls["mail"] = f"mailto://127.0.0.1:{smtp.port}?from=w@example.com&to=ops@example.com"
    return urls


def test_the_end_of_an_incident_is_a_reply_to_its_first_message() -> None:
    """The receipt that the ledger keeps is the thread, whoever sends; a lost reply is looked for there."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        async with running(log.courier(settings, "a")):
            told = await log.until(log.opened("bot"), Stage.DELIVERED)
            ts = told.receipt.partition("/")[2]
            _, resolved = log.book.closed("shop")
            http.set_mode("reset")
            log.spread()
            await eventually(lambda: len(http.received) == 2)
            http.set_mode("ok")
            log.clock.ahead_s += TAKEOVER_S
            log.spread()
            ended = await log.until(resolved, Stage.DELIVERED, within_s=20.0)
        assert http.received[1].json["thread_ts"] == ts
        assert ended.receipt == f"C0123ABCDEF/{http.memory.messages[0]['ts']}"
        assert len(http.received) == 2

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_down_and_recovered_arrive_once_and_in_order() -> None:
    """An incident opens and closes: two messages, both delivered in the ledger with their attempts."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        courier = log.courier(settings, "a")
        async with running(courier):
            item = log.opened("chat")
            told = await log.until(item, Stage.DELIVERED)
            assert (told.attempt, told.attempts[0].outcome) == (1, Outcome.ACCEPTED)
            _, resolved = log.book.closed("shop")
            log.spread()
            await log.until(resolved, Stage.DELIVERED)
        subjects = [received.json["text"] for received in http.received]
        assert [subject.split("[")[1].split("]")[0] for subject in subjects] == ["DOWN", "RECOVERED"]
        assert courier.stats.outcomes_total == {("chat", "accepted"): 2}

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_hanging_slack_does_not_delay_mail() -> None:
    """Each channel has threads of its own: mail arrives within a second beside a Slack that hangs."""

    async def scenario(http: HttpSink, smtp: MailSink) -> None:
        settings = made.settings(channels(http, smtp))
        log = Log(settings)
        async with running(log.courier(settings, "a")):
            chat = log.opened("chat")
            await asyncio.to_thread(http.log.wait_for, 1)
            began = time.monotonic()
            mail = log.opened("mail", "api")
            await log.until(mail, Stage.DELIVERED)
            assert time.monotonic() - began < 1.0
            await log.until(chat, Stage.UNCERTAIN, within_s=15.0)
        assert log.couriers["a"].stats.ambiguous_total == 1

    with HttpSink() as http, MailSink() as smtp:
        http.set_mode("hang")
        asyncio.run(scenario(http, smtp))


def test_a_sender_that_dies_before_settling_is_taken_over_and_the_repeat_says_so() -> None:
    """Accepted, then gone: after the wait another peer sends the same id, marked as a possible repeat."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        log.dropped = lambda peer, command: peer == "a" and isinstance(command, Settle)
        first, second = log.courier(settings, "a"), log.courier(made.settings(channels(http), me="b"), "b")
        async with running(second):
            async with running(first):
                item = log.opened("hook")
                await asyncio.to_thread(http.log.wait_for, 1)
            log.book.assign(item, "b")
            log.spread()
            await asyncio.sleep(0.3)  # noqa: TID251 - the taker must have had its chance to be too early
            assert len(http.received) == 1
            log.clock.ahead_s = TAKEOVER_S
            told = await log.until(item, Stage.DELIVERED)
        once, again = (received.json for received in http.received)
        assert once["delivery"] == {"id": item.id, "attempt": 1, "may_repeat": False, "peer": "a"}
        assert again["delivery"] == {"id": item.id, "attempt": 2, "may_repeat": True, "peer": "b"}
        assert "previous sender stopped" in again["message"]
        assert (told.doubt, second.stats.takeovers_total) == (Doubt.PROOF, 1)

    with HttpSink() as http:
        asyncio.run(scenario(http))


@pytest.mark.parametrize("name", ["bot", "hook"])
def test_a_delivery_whose_answer_was_lost_is_found_and_not_repeated(name: str) -> None:
    """The channel took it, the answer was lost: a search settles it, and people are told once."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http), searched=("hook",))
        log = Log(settings)
        courier = log.courier(settings, "a")
        http.set_mode("reset")
        async with running(courier):
            item = log.opened(name)
            doubtful = await log.until(item, Stage.UNCERTAIN)
            assert doubtful.attempts[0].outcome is Outcome.AMBIGUOUS
            http.set_mode("ok")
            log.clock.ahead_s = TAKEOVER_S
            told = await log.until(item, Stage.DELIVERED)
        assert (told.attempt, len(http.received), len(http.memory.taken()[item.id])) == (2, 1, 1)
        assert "found in the channel" in told.attempts[1].detail
        assert courier.stats.reconciled_total == 1

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_delivery_that_is_not_in_the_channel_is_sent_without_a_mark() -> None:
    """Refused for an unknown reason, the claim ran out: the receiver never took it, so nothing repeats."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http), searched=("hook",))
        log = Log(settings)
        log.dropped = lambda peer, command: peer == "a" and isinstance(command, Settle)
        second = log.courier(made.settings(channels(http), me="b", searched=("hook",)), "b")
        async with running(second):
            http.set_mode("500")
            async with running(log.courier(settings, "a")):
                item = log.opened("hook")
                await asyncio.to_thread(http.log.wait_for, 1)
            http.set_mode("ok")
            log.book.assign(item, "b")
            log.spread()
            log.clock.ahead_s = TAKEOVER_S
            await log.until(item, Stage.DELIVERED)
        assert http.received[1].json["delivery"] == {
            "id": item.id,
            "attempt": 2,
            "may_repeat": False,
            "peer": "b",
        }

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_search_that_hangs_is_given_up_and_the_repeat_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an answer in time it is sent, marked, and the thread of the search ends."""
    monkeypatch.setattr(sender_module, "SEARCH_S", 0.5)

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http), searched=("hook",))
        log = Log(settings)
        http.set_mode("reset")
        http.set_search_mode("hang")
        async with running(log.courier(settings, "a")):
            item = log.opened("hook")
            await log.until(item, Stage.UNCERTAIN)
            http.set_mode("ok")
            log.clock.ahead_s = TAKEOVER_S
            await log.until(item, Stage.DELIVERED)
            await eventually(lambda: not log.carrier._running["hook"])
        assert [received.json["delivery"]["may_repeat"] for received in http.received] == [False, True]
        assert http.received[0].json["delivery"]["id"] == http.received[1].json["delivery"]["id"]

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_lost_settlements_are_proposed_again_and_nothing_is_sent_twice() -> None:
    """The answer of the channel is known here, so only the settlement is repeated."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        lost = count()
        log.dropped = lambda _peer, command: isinstance(command, Settle) and next(lost) < 2
        async with running(log.courier(settings, "a")):
            await log.until(log.opened("chat"), Stage.DELIVERED)
        assert len(http.received) == 1
        assert sum(isinstance(command, Settle) for _, command in log.proposed) == 3

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_claim_that_never_applies_sends_nothing() -> None:
    """Without a majority no claim commits, and without a claim no byte leaves."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        log.dropped = lambda _peer, command: isinstance(command, Claim)
        async with running(log.courier(settings, "a")):
            log.opened("chat")
            await eventually(lambda: sum(isinstance(command, Claim) for _, command in log.proposed) >= 3)
            assert http.received == []
            log.dropped = lambda _peer, _command: False
            await asyncio.to_thread(http.log.wait_for, 1)

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_refused_channel_recovers_by_backoff() -> None:
    """Not sent is retried; when the channel is back the alert arrives, once, and without a repeat's mark."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        async with running(log.courier(settings, "a")):
            item = log.opened("hook")
            await eventually(lambda: log.book.item(item).failures >= 1)
            await asyncio.to_thread(http.set_mode, "ok")
            told = await log.until(item, Stage.DELIVERED)
        assert told.attempts[0].outcome is Outcome.NOT_SENT
        assert [received.json["delivery"]["may_repeat"] for received in http.received] == [False]

    with HttpSink() as http:
        http.set_mode("refuse")
        asyncio.run(scenario(http))


def test_a_send_over_its_budget_is_abandoned_and_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that drips for ever costs one budget; the channel is free again afterwards."""
    monkeypatch.setattr(courier_module, "BUDGET_S", 0.5)

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        courier = log.courier(settings, "a")
        async with running(courier):
            told = await log.until(log.opened("hook"), Stage.UNCERTAIN)
            assert (told.doubt, told.attempts[0].detail) == (Doubt.MAYBE, "no answer within the time budget")
            await eventually(lambda: not log.carrier._running["hook"])

    with HttpSink() as http:
        http.set_mode("drip")
        asyncio.run(scenario(http))


def test_draining_waits_for_what_is_under_way_and_starts_nothing_new() -> None:
    """A planned stop leaves no doubt behind."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        courier = log.courier(settings, "a")
        async with running(courier):
            log.dropped = lambda _peer, command: isinstance(command, Settle)
            first = log.opened("hook")
            await asyncio.to_thread(http.log.wait_for, 1)
            draining = asyncio.create_task(courier.drain(5.0))
            await asyncio.sleep(0.2)  # noqa: TID251 - it must have had its chance to end too early
            assert not draining.done()
            log.dropped = lambda _peer, _command: False
            await draining
            assert log.book.item(first).stage is Stage.DELIVERED
            second = log.opened("hook", "api")
            await asyncio.sleep(0.2)  # noqa: TID251 - it must have had its chance to claim
            assert log.book.item(second).stage is Stage.PENDING
        assert len(http.received) == 1

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_notice_past_the_ledger() -> None:
    """`tell` needs no log: "" when accepted, else why not, and a word on a channel that does not exist."""

    async def scenario(http: HttpSink) -> None:
        courier = Log(made.settings()).courier(made.settings(channels(http)), "a")
        lines = ("There is no majority.", "Not reachable: b, c.")
        assert await courier.tell("chat", "[prod] MONITORING IS BLIND: peer a sees 1 of 3", lines) == ""
        (received,) = http.received
        assert "MONITORING IS BLIND" in received.json["text"]
        http.set_mode("404")
        assert await courier.tell("chat", "t", ("x",)) == "rejected: HTTP 404: no_service"
        assert await courier.tell("nowhere", "t", ("x",)) == "not_sent: channel nowhere is not configured"

    with HttpSink() as http:
        asyncio.run(scenario(http))


def test_a_reload_takes_new_channels_and_says_which_cannot_work(caplog: pytest.LogCaptureFixture) -> None:
    """The new URL is used from the next attempt on; a bad one is named without its secrets."""

    async def scenario(http: HttpSink, other: HttpSink) -> None:
        log = Log(made.settings())
        courier = log.courier(made.settings(channels(http)), "a")
        async with running(courier):
            await log.until(log.opened("hook"), Stage.DELIVERED)
            urls = {**channels(other), "bad": "slack://T1JJ3T3L2/A1BRTD4JD/CANARY_bad"}
            courier.reload(made.settings(urls))
            await log.until(log.opened("hook", "api"), Stage.DELIVERED)
            await eventually(lambda: "channel bad" in caplog.text)
        assert (len(http.received), len(other.received)) == (1, 1)
        assert "CANARY" not in caplog.text

    with HttpSink() as http, HttpSink() as other:
        asyncio.run(scenario(http, other))


def test_a_storm_goes_out_one_by_one_in_the_order_of_the_outbox() -> None:
    """Thirty alerts on one channel: all delivered, in order, never two at a time."""

    async def scenario(http: HttpSink) -> None:
        settings = made.settings(channels(http))
        log = Log(settings)
        async with running(log.courier(settings, "a")):
            items = [log.opened("hook", f"s{number}") for number in range(30)]
            for item in items:
                await log.until(item, Stage.DELIVERED, within_s=20.0)
        assert [received.json["delivery"]["id"] for received in http.received] == [item.id for item in items]

    with HttpSink() as http:
        asyncio.run(scenario(http))


@pytest.mark.parametrize(
    ("mode", "why"), [("refuse", "connection refused"), ("500", "HTTP 500: server_error")]
)
def test_a_channel_that_fails_is_left_alone_then_tried_by_one_message(mode: str, why: str) -> None:
    """A closed port, or a server that is broken: five sends open the breaker, and an alert waits unclaimed.

    Once the channel is back it arrives by the trial, with its first attempt.
    """

    async def scenario(http: HttpSink) -> None:
        settings = replace(made.settings(channels(http)), breakers=BreakerSettings(reset_s=1.0))
        log = Log(settings)
        courier = log.courier(settings, "a")
        async with running(courier):
            http.set_mode(mode)
            refusals = [await courier.tell("hook", "test", ("A test.",)) for _ in range(5)]
            assert all(why in refusal for refusal in refusals)
            assert courier.blocked() == {"hook": f"open: {why}"}
            item = log.opened("hook")
            http.set_mode("ok")
            told = await log.until(item, Stage.DELIVERED)
            assert (told.attempt, courier.blocked()) == (1, {})
            totals = {view.name: view.totals for view in courier.stats.breakers}["hook"]
            assert [totals[event] for event in ("fire", "failure", "open", "half-open", "close")] == [
                6,
                5,
                1,
                1,
                1,
            ]
            assert len([one for one in http.received if one.mode == "ok"]) == 1

    with HttpSink() as http:
        asyncio.run(scenario(http))
