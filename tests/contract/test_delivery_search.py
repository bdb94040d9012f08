"""Looking for an earlier copy of a delivery, with real plugins against a Slack-shaped sink and a webhook.

A wrong "absent" repeats an alert, a wrong "present" loses one: so every answer that is not exactly right
must be "unknown".
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from aiohttp import web
from apprise.plugins import opsgenie, pagerduty
from msgspec.structs import replace
from support.sinks import HttpSink

from watchtower.core.model import Outcome
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import history, sending, witness
from watchtower.delivery.message import Message, Tone
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Recorder

ID = "0123456789abcdef"
BOT = "slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
MESSAGE = Message(
    state="DOWN",
    tone=Tone.FAILURE,
    subject="[DOWN] Checkout - prod",
    summary="Checkout is down.",
    footer=f"incident 42 | delivery {ID} | attempt 1 | sent by peer a | cluster prod",
    delivery_id=ID,
    cluster="prod",
    incident=42,
)


@pytest.fixture
def http() -> Iterator[HttpSink]:
    """A sink that can be searched."""
    witness.install()
    with HttpSink() as sink:
        yield sink


def channel(url: str, *, search: bool = False) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0], search=search)


def bot(http: HttpSink, target: str = "+C0123ABCDEF") -> Channel:
    """A Slack bot at the sink."""
    return channel(f"{BOT}/{target}?server={http.url}")


def hook(http: HttpSink, options: str = "") -> Channel:
    """A webhook at the sink that can be searched."""
    return channel(f"json://127.0.0.1:{http.port}/hook{options}", search=True)


def send(where: Channel, message: Message = MESSAGE) -> Outcome:
    """One attempt."""
    return sending.attempt(where, message, Recorder(lambda: True)).outcome


def look(where: Channel, delivery_id: str = ID, since_wall: float = 0.0) -> Found:
    """One search."""
    recorder = Recorder(lambda: True, 2_097_152)
    return sending.search(where, delivery_id, since_wall or time.time(), recorder)


@pytest.mark.parametrize("target", ["+C0123ABCDEF", "#ops", "ops"])
def test_a_bot_finds_its_message_in_the_history_of_its_channel(http: HttpSink, target: str) -> None:
    """By id or by name, by the delivery id in the metadata, with a receipt; another id is absent."""
    assert send(bot(http, target), replace(MESSAGE, footer="")) is Outcome.ACCEPTED
    found = look(bot(http, target))
    assert (found.trace, found.receipt) == (
        Trace.PRESENT,
        f"C0123ABCDEF/{http.memory.messages[0]['ts']}",
    )
    assert look(bot(http, target), "fedcba9876543210").trace is Trace.ABSENT
    assert http.searches.items[-1].headers["Authorization"].startswith("Bearer xoxb-")


def test_a_message_whose_answer_was_lost_is_found(http: HttpSink) -> None:
    """The very case the search is for."""
    http.set_mode("reset")
    assert send(bot(http)) is Outcome.AMBIGUOUS
    assert send(hook(http)) is Outcome.AMBIGUOUS
    http.memory.messages[0].pop("text")
    assert look(bot(http)).trace is Trace.PRESENT
    assert look(hook(http)).trace is Trace.PRESENT


def test_bare_text_is_found_like_blocks(http: HttpSink) -> None:
    """What is sent after refused blocks carries the metadata; without them the footer names the delivery."""
    http.set_mode("form")
    assert send(bot(http), replace(MESSAGE, footer="")) is Outcome.ACCEPTED
    assert look(bot(http)).trace is Trace.PRESENT
    http.memory.clear()
    assert send(bot(http)) is Outcome.ACCEPTED
    http.memory.messages[0].pop("metadata")
    assert look(bot(http)).trace is Trace.PRESENT


def test_a_full_channel_is_read_page_by_page_and_not_for_ever(http: HttpSink) -> None:
    """Found on a later page; but what was not read to its end is not absent."""
    assert send(bot(http)) is Outcome.ACCEPTED
    talk = [{"type": "message", "ts": f"{time.time():.6f}", "text": "x"} for _ in range(250)]
    http.memory.messages[:0] = talk
    assert look(bot(http)).trace is Trace.PRESENT
    http.memory.messages[:0] = talk
    assert look(bot(http)).trace is Trace.UNKNOWN
    assert look(bot(http), since_wall=time.time() + history.CLOCK_ERROR_S + 60).trace is Trace.ABSENT


@pytest.mark.parametrize("skew_s", [-3_600.0, 3_600.0])
def test_a_wrong_clock_of_the_announcing_peer_hides_nothing(http: HttpSink, skew_s: float) -> None:
    """An hour ahead or behind: Slack's own time decides, with two hours of room."""
    assert send(bot(http)) is Outcome.ACCEPTED
    assert look(bot(http), since_wall=time.time() + skew_s).trace is Trace.PRESENT


@pytest.mark.parametrize("target", ["+C9999999999", "#nowhere", "@someone", "#ops:1700000000.000100"])
def test_what_a_bot_cannot_search_is_unknown(http: HttpSink, target: str) -> None:
    """A channel it does not see, a person, a thread."""
    assert look(bot(http, target)).trace is Trace.UNKNOWN


@pytest.mark.parametrize("mode", ["500", "reset"])
def test_a_search_that_fails_is_unknown(http: HttpSink, mode: str) -> None:
    """No answer, or an answer that is none, never says "absent"."""
    http.set_search_mode(mode)
    for where in (bot(http), hook(http)):
        assert look(where).trace is Trace.UNKNOWN
    http.set_mode("refuse")
    for where in (bot(http), hook(http)):
        assert look(where).trace is Trace.UNKNOWN


def test_a_webhook_is_asked_with_the_headers_and_parameters_of_its_posts(http: HttpSink) -> None:
    """The same URL with the id added, the same headers; 404 is absent, 200 with the id is present."""
    where = hook(http, "?+X-Key=secret-key&-team=ops")
    assert look(where).trace is Trace.ABSENT
    assert send(where) is Outcome.ACCEPTED
    assert look(where).trace is Trace.PRESENT
    asked = http.searches.items[-1]
    assert asked.path == f"/hook?team=ops&delivery_id={ID}"
    assert asked.headers["X-Key"] == "secret-key"


def test_a_page_that_says_yes_to_everybody_is_unknown(
    http: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """200 without the id is no delivery: else a wrong URL would lose alerts in silence."""
    monkeypatch.setattr("support.sinks.search_answer", lambda *_: (200, {"welcome": "home"}))
    assert look(hook(http)) == Found(trace=Trace.UNKNOWN, detail="HTTP 200")
    assert len(http.searches.items) == 1


def test_channels_that_cannot_be_asked(http: HttpSink) -> None:
    """A webhook without `search`, a Slack webhook, a service of apprise: unknown, and no request is made."""
    slack = f"slack://T1JJ3T3L2/A1BRTD4JD/CANARYCANARYCANARYCANARY/?server={http.url}"
    for url in (f"json://127.0.0.1:{http.port}/hook", slack, f"form://127.0.0.1:{http.port}/in"):
        assert look(channel(url)).trace is Trace.UNKNOWN
    assert look(channel("nosuch://x")).trace is Trace.UNKNOWN
    assert http.received == http.searches.items == []


def test_pagerduty_and_opsgenie_merge_repeats_by_key() -> None:
    """Nobody is told twice there, so nothing has to be searched."""
    key = "0123456789abcdef0123456789abcdef"
    for url in (f"pagerduty://{key}@apikey0123456789", f"opsgenie://{key[:8]}-0000-0000-0000-{key[:12]}"):
        assert look(channel(url)).trace is Trace.MERGED


class PagerSink(HttpSink):
    """Answers like the paging services: accepted, with a request id."""

    async def _answer(self, request: web.Request, mode: str, body: str) -> web.StreamResponse:
        return web.json_response({"requestId": "1", "status": "success"}, status=202)


@pytest.fixture
def pager() -> Iterator[HttpSink]:
    """A sink that pages."""
    witness.install()
    with PagerSink() as sink:
        yield sink


@pytest.mark.parametrize("second", ["", "@apikey0123456789"])
def test_pagerduty_gets_one_key_for_the_whole_incident(
    pager: HttpSink, monkeypatch: pytest.MonkeyPatch, second: str
) -> None:
    """A repeat joins the incident there, and its end resolves it; the integration key is all it takes."""
    lookup = dict.fromkeys(pagerduty.PAGERDUTY_API_LOOKUP, f"{pager.url}/v2/enqueue")
    monkeypatch.setattr(pagerduty, "PAGERDUTY_API_LOOKUP", lookup)
    where = channel(f"pagerduty://0123456789abcdef0123456789abcdef{second}")
    assert send(where) is Outcome.ACCEPTED
    assert send(where, replace(MESSAGE, tone=Tone.SUCCESS)) is Outcome.ACCEPTED
    told = [(item.json["event_action"], item.json["dedup_key"]) for item in pager.received]
    assert {item.json.get("routing_key") for item in pager.received} == {"0123456789abcdef0123456789abcdef"}
    assert told == [("trigger", "prod/incident-42"), ("resolve", "prod/incident-42")]


def test_opsgenie_opens_and_closes_one_alert_by_its_alias(
    pager: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end is a request of its own; the plugin alone would have said "sent" and sent nothing."""
    for region in opsgenie.OPSGENIE_API_LOOKUP:
        monkeypatch.setitem(opsgenie.OPSGENIE_API_LOOKUP, region, f"{pager.url}/v2/alerts")
    where = channel("opsgenie://01234567-0000-0000-0000-0123456789ab")
    assert send(where, replace(MESSAGE, severity="critical")) is Outcome.ACCEPTED
    assert send(where, replace(MESSAGE, tone=Tone.SUCCESS)) is Outcome.ACCEPTED
    opened, closed = pager.received
    assert opened.json["priority"] == "P1"
    assert (opened.path, json.loads(opened.body)["alias"]) == ("/v2/alerts", "prod/incident-42")
    assert closed.path == "/v2/alerts/prod%2Fincident-42/close?identifierType=alias"
