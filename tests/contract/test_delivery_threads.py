"""An incident's life in one Slack thread, with the real plugin against a Slack-shaped sink.

The first message stands in the channel, what follows stands below it, and the end turns the first green.
Whatever of that fails, the message itself arrives, and once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from support.sinks import HttpSink

from watchtower.core.model import Outcome
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import sending, witness
from watchtower.delivery.message import Message, Opened, Tone
from watchtower.delivery.trace import Trace
from watchtower.delivery.witness import Ending, Recorder

FIRST = Message(
    state="DOWN",
    tone=Tone.FAILURE,
    subject="[DOWN] Checkout - prod",
    summary="Checkout is down.",
    footer="incident 42 | delivery aaaa | attempt 1 | sent by peer a | cluster prod",
    delivery_id="aaaa",
    cluster="prod",
    incident=42,
    kind="firing",
    severity="critical",
)


@pytest.fixture
def http() -> Iterator[HttpSink]:
    """A Slack-shaped sink."""
    witness.install()
    with HttpSink() as sink:
        yield sink


def bot(http: HttpSink, target: str = "#ops") -> Channel:
    """A Slack bot at the sink."""
    url = f"slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/{target}?server={http.url}"
    return Channel(name="chat", url=Secret(url), schema="slack")


def webhook(http: HttpSink) -> Channel:
    """A Slack webhook at the sink."""
    url = f"slack://T1JJ3T3L2/A1BRTD4JD/CANARYCANARYCANARYCANARY/?server={http.url}"
    return Channel(name="chat", url=Secret(url), schema="slack")


def send(where: Channel, message: Message) -> Ending:
    """One attempt."""
    return sending.attempt(where, message, Recorder(lambda: True))


def later(first: Ending, *, tone: Tone = Tone.SUCCESS, is_broadcast: bool = True) -> Message:
    """What follows the first message: its end, unless `tone` says otherwise."""
    return replace(
        FIRST,
        state="RECOVERED" if tone is Tone.SUCCESS else "WORSE",
        tone=tone,
        subject="[RECOVERED] Checkout after 4 min - prod",
        delivery_id="bbbb",
        footer=FIRST.footer.replace("aaaa", "bbbb"),
        opened=Opened(delivery_id="aaaa", receipt=first.receipt),
        is_broadcast=is_broadcast,
    )


@pytest.mark.parametrize("is_broadcast", [True, False])
def test_what_follows_is_a_reply_and_the_end_turns_the_first_message_green(
    http: HttpSink, is_broadcast: bool
) -> None:
    """A critical one is shown in the channel too, because a changed message notifies nobody."""
    first = send(bot(http), FIRST)
    ts = first.receipt.partition("/")[2]
    assert (
        send(bot(http), later(first, tone=Tone.FAILURE, is_broadcast=is_broadcast)).outcome
        is Outcome.ACCEPTED
    )
    assert http.updates.items == []
    ended = send(bot(http), later(first, is_broadcast=is_broadcast))
    assert ended.outcome is Outcome.ACCEPTED
    for reply in http.received[1:]:
        assert (reply.json["channel"], reply.json["thread_ts"]) == ("C0123ABCDEF", ts)
        assert reply.json.get("reply_broadcast", False) is is_broadcast
    (update,) = http.updates.items
    assert (update.json["channel"], update.json["ts"]) == ("C0123ABCDEF", ts)
    assert update.json["text"].startswith("\N{LARGE GREEN CIRCLE} [RECOVERED] Checkout")
    assert update.headers["Authorization"].startswith("Bearer xoxb-")
    # It is still found as the delivery that it was.
    assert update.json["metadata"]["event_payload"]["delivery_id"] == "aaaa"
    assert "delivery aaaa" in str(update.json["blocks"])
    assert ended.receipt != first.receipt


@pytest.mark.parametrize("mode", ["500", "404", "429", "reset", "hang"])
def test_an_update_that_fails_never_makes_the_delivery_fail(http: HttpSink, mode: str) -> None:
    """People have been told by the reply; it is accepted, with its receipt, and sent once."""
    first = send(bot(http), FIRST)
    http.update_mode = mode
    ended = send(bot(http), later(first))
    assert (ended.outcome, ended.receipt.partition("/")[0]) == (Outcome.ACCEPTED, "C0123ABCDEF")
    assert len(http.received) == 2


def test_an_attempt_that_is_given_up_while_updating_was_accepted(http: HttpSink) -> None:
    """The time budget ran out after Slack had taken the message: that is no doubt."""
    first = send(bot(http), FIRST)
    ended: list[Ending] = []
    recorder = Recorder(lambda: True)
    recorder.settled = None
    real = recorder.begin

    def begin() -> witness.Exchange:
        if recorder.exchanges:
            ended.append(recorder.abandon())
        return real()

    recorder.begin = begin  # type: ignore[method-assign] # the moment between the reply and the update
    sending.attempt(bot(http), later(first), recorder)
    assert ended[0].outcome is Outcome.ACCEPTED
    assert http.updates.items == []


def test_a_thread_that_is_gone_is_no_reason_to_stay_silent(http: HttpSink) -> None:
    """The first message was deleted: the next one stands in the channel by itself."""
    first = send(bot(http), FIRST)
    http.lost_thread = "thread_not_found"
    assert send(bot(http), later(first)).outcome is Outcome.ACCEPTED
    assert "thread_ts" in http.received[1].json
    assert "thread_ts" not in http.received[2].json
    assert http.received[2].json["channel"] == "#ops"


def test_a_webhook_has_no_threads(http: HttpSink) -> None:
    """It gets no answer to remember, so each message stands by itself and nothing is updated."""
    first = send(webhook(http), FIRST)
    assert first.receipt == ""
    assert send(webhook(http), later(first)).outcome is Outcome.ACCEPTED
    assert "thread_ts" not in http.received[1].json
    assert http.updates.items == []


def test_a_thread_of_the_configuration_stays_the_thread(http: HttpSink) -> None:
    """`#ops:1700000000.000100` puts everything below that message, as the file says."""
    where = bot(http, "#ops:1700000000.000100")
    first = send(where, FIRST)
    assert send(where, later(first)).outcome is Outcome.ACCEPTED
    assert {item.json["thread_ts"] for item in http.received} == {"1700000000.000100"}


def test_a_reply_whose_answer_was_lost_is_found_in_its_thread(http: HttpSink) -> None:
    """Replies are not in the channel's history; without a look below the first one they would be repeated."""
    first = send(bot(http), FIRST)
    http.set_mode("reset")
    assert send(bot(http), later(first, is_broadcast=False)).outcome is Outcome.AMBIGUOUS
    http.set_mode("ok")
    found = sending.search(bot(http), "bbbb", time.time(), Recorder(lambda: True, 2_097_152), first.receipt)
    assert found.trace is Trace.PRESENT
    assert found.receipt == f"C0123ABCDEF/{http.memory.messages[0]['ts']}"
    for delivery_id, thread in (("cccc", first.receipt), ("cccc", "C0123ABCDEF/1.0")):
        looked = sending.search(
            bot(http), delivery_id, time.time(), Recorder(lambda: True, 2_097_152), thread
        )
        assert looked.trace is Trace.ABSENT
