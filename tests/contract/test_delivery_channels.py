"""What an attempt's ending is, for real plugins of apprise against real servers that misbehave.

Each row is one thing a provider or a network can do; apprise alone reports most of them as the same
"failed". If a new apprise, requests or urllib3 moves a hook point, this is where it shows.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from msgspec.structs import replace
from support.delivery_support import MESSAGE as FIRST_TRY
from support.mail_sink import MailSink
from support.sink_trust import make_ca
from support.sinks import RETRY_AFTER_S, HttpSink

from watchtower.core.model import Outcome
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel
from watchtower.delivery import channels, mail, sending, witness
from watchtower.delivery.redaction import Redactor, quiet
from watchtower.delivery.shapes import MailParts
from watchtower.delivery.witness import Ending, Recorder

TOKEN = "CANARYCANARYCANARYCANARY"
BOT_TOKEN = "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
MESSAGE = replace(FIRST_TRY, attempt=2)


@pytest.fixture(autouse=True)
def _hooks() -> None:
    """The witness, as at the start of a peer."""
    witness.install()


@pytest.fixture
def http() -> Iterator[HttpSink]:
    """A Slack-shaped HTTP sink."""
    with HttpSink() as sink:
        yield sink


@pytest.fixture
def smtp() -> Iterator[MailSink]:
    """An SMTP sink."""
    with MailSink() as sink:
        yield sink


def channel(url: str) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0])


def http_urls(sink: HttpSink) -> dict[str, str]:
    """The three kinds of HTTP channels, at the sink."""
    return {
        "webhook": f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/?server={sink.url}",
        "bot": f"slack://{BOT_TOKEN}/#ops?server={sink.url}",
        "json": f"json://127.0.0.1:{sink.port}/hook?+X-Key={TOKEN}",
    }


def mail_url(sink: MailSink) -> str:
    """A mailbox at the sink."""
    return f"mailto://127.0.0.1:{sink.port}?from=watchtower@example.com&to=ops@example.com"


def send(url: str, *, may_send: bool = True) -> Ending:
    """One attempt at the URL."""
    channels.validate(channel(url))
    return sending.attempt(channel(url), MESSAGE, Recorder(lambda: may_send))


KINDS = ("webhook", "bot", "json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("mode", "told", "arrived"),
    [
        ("ok", (Outcome.ACCEPTED, False, 0.0), 1),
        ("500", (Outcome.REJECTED, False, 0.0), 1),
        ("404", (Outcome.REJECTED, True, 0.0), 1),
        ("429", (Outcome.REJECTED, False, float(RETRY_AFTER_S)), 1),
        ("reset", (Outcome.AMBIGUOUS, False, 0.0), 1),
        ("refuse", (Outcome.NOT_SENT, False, 0.0), 0),
    ],
)
def test_http_endings(
    http: HttpSink, kind: str, mode: str, told: tuple[Outcome, bool, float], arrived: int
) -> None:
    """Accepted, refused for now or for good, asked to wait, lost after the request, never connected."""
    http.set_mode(mode)
    ending = send(http_urls(http)[kind])
    assert (ending.outcome, ending.is_permanent, ending.retry_after_s) == told
    assert len(http.received) == arrived
    assert TOKEN not in ending.detail


@pytest.mark.parametrize("kind", ["webhook", "json"])
def test_a_hanging_server_is_ambiguous_after_the_read_timeout(http: HttpSink, kind: str) -> None:
    """The request arrived and no answer came: people may have been told."""
    http.set_mode("hang")
    began = time.monotonic()
    ending = send(http_urls(http)[kind])
    assert ending.outcome is Outcome.AMBIGUOUS
    assert 5.5 < time.monotonic() - began < 9.0
    assert len(http.received) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusing_fence_lets_no_byte_out(http: HttpSink, kind: str) -> None:
    """The connection is made, the fence asked, and nothing arrives."""
    ending = send(http_urls(http)[kind], may_send=False)
    assert (ending.outcome, ending.is_fenced) == (Outcome.NOT_SENT, True)
    assert http.received == []


def test_the_fence_is_asked_after_tls_and_before_the_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow handshake counts against the claim, so the fence comes after it."""
    ca = make_ca(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(ca.ca_file))
    with HttpSink(tls=ca.context) as sink:
        seen: list[int] = []

        def fence() -> bool:
            seen.append(len(sink.received))
            return True

        recorder = Recorder(fence)
        url = f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/?server=https://127.0.0.1:{sink.port}"
        assert sending.attempt(channel(url), MESSAGE, recorder).outcome is Outcome.ACCEPTED
        assert seen == [0]
        assert len(sink.received) == 1


def test_an_untrusted_certificate_is_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody on the way gets the token or the alert."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with HttpSink(tls=make_ca(tmp_path).context) as sink:
        ending = send(f"jsons://127.0.0.1:{sink.port}/hook")
        assert (ending.outcome, ending.detail) == (Outcome.NOT_SENT, "the certificate is not trusted")
        assert sink.received == []


def test_a_server_that_drips_for_ever_is_abandoned(http: HttpSink) -> None:
    """Every byte resets the read timeout; abandoning closes the socket, and the thread ends."""
    http.set_mode("drip")
    recorder = Recorder(lambda: True)
    thread = threading.Thread(
        target=sending.attempt, args=(channel(http_urls(http)["json"]), MESSAGE, recorder)
    )
    thread.start()
    http.log.wait_for(1)
    assert recorder.abandon().outcome is Outcome.AMBIGUOUS
    thread.join(5.0)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["webhook", "bot"])
def test_refused_blocks_are_sent_once_more_as_bare_text(http: HttpSink, kind: str) -> None:
    """An alert must not die of its form."""
    http.set_mode("form")
    assert send(http_urls(http)[kind]).outcome is Outcome.ACCEPTED
    first, second = http.received
    assert "blocks" in first.json
    assert "blocks" not in second.json
    assert MESSAGE.summary in second.json["text"]


def test_what_a_slack_webhook_and_a_bot_receive(http: HttpSink) -> None:
    """Preview text and blocks; a bot also sends channel, token and the delivery id, and gets a receipt."""
    assert send(http_urls(http)["webhook"]).receipt == ""
    assert send(http_urls(http)["bot"]).receipt == f"C0123ABCDEF/{http.memory.messages[0]['ts']}"
    webhook, bot = http.received
    assert webhook.path == f"/services/T1JJ3T3L2/A1BRTD4JD/{TOKEN}"
    assert MESSAGE.subject in webhook.json["text"]
    assert "metadata" not in webhook.json
    assert (bot.path, bot.json["channel"]) == ("/api/chat.postMessage", "#ops")
    assert bot.headers["Authorization"] == f"Bearer {BOT_TOKEN}"
    assert bot.json["metadata"]["event_payload"]["delivery_id"] == "ab12"


def test_what_a_webhook_receives(http: HttpSink) -> None:
    """Version 1 of the body, the delivery id and a growing attempt as headers, own headers and fields."""
    send(f"{http_urls(http)['json']}&:team=ops&:message=&:title=headline&-q=1")
    (received,) = http.received
    assert received.path == "/hook?q=1"
    assert received.headers["X-Watchtower-Delivery-Id"] == "ab12"
    assert received.headers["X-Watchtower-Attempt"] == "2"
    assert received.headers["X-Key"] == TOKEN
    body = received.json
    assert (body["version"], body["state"], body["team"]) == (1, "DOWN", "ops")
    assert body["delivery"]["id"] == "ab12"
    assert body["headline"] == MESSAGE.subject
    assert "message" not in body
    assert "title" not in body


def test_a_generic_service_gets_title_and_plain_text(http: HttpSink) -> None:
    """Any other of apprise's services goes through unchanged, under the same witness."""
    ending = send(f"form://127.0.0.1:{http.port}/in")
    assert ending.outcome is Outcome.ACCEPTED
    assert "Checkout+is+down" in http.received[0].body
    http.set_mode("reset")
    assert send(f"form://127.0.0.1:{http.port}/in").outcome is Outcome.AMBIGUOUS


def test_redirects_are_not_followed(http: HttpSink) -> None:
    """Tokens and alerts go where the configuration says, and nowhere else."""
    with HttpSink() as other:
        http.redirect_to = f"{other.url}/elsewhere"
        assert send(http_urls(http)["json"]).outcome is Outcome.REJECTED
        assert send(http_urls(http)["webhook"]).outcome is Outcome.REJECTED
        assert other.received == []


# ---- mail


@pytest.mark.parametrize(
    ("mode", "told", "arrived"),
    [
        ("ok", (Outcome.ACCEPTED, False, "accepted"), 1),
        ("550", (Outcome.REJECTED, True, "SMTP 550: no such user"), 0),
        ("451", (Outcome.REJECTED, False, "SMTP 451: try again later"), 0),
        ("reset", (Outcome.AMBIGUOUS, False, "sent, then the server hung up"), 1),
        ("refuse", (Outcome.NOT_SENT, False, "connection refused"), 0),
    ],
)
def test_mail_endings(smtp: MailSink, mode: str, told: tuple[Outcome, bool, str], arrived: int) -> None:
    """Reply codes are refusals, silence after the message is ambiguous, before it nothing was sent."""
    smtp.set_mode(mode)
    ending = send(mail_url(smtp))
    assert (ending.outcome, ending.is_permanent, ending.detail) == told
    assert len(smtp.received) == arrived


def test_a_mail_server_that_hangs_after_the_message_is_ambiguous(smtp: MailSink) -> None:
    """The message is there, the reply is not."""
    smtp.set_mode("hang")
    assert send(mail_url(smtp)).outcome is Outcome.AMBIGUOUS
    assert len(smtp.received) == 1


def test_a_refusing_fence_leaves_half_a_dialogue_and_no_mail(smtp: MailSink) -> None:
    """DATA was granted, nothing of the message followed, and the server keeps nothing."""
    ending = send(mail_url(smtp), may_send=False)
    assert (ending.outcome, ending.is_fenced) == (Outcome.NOT_SENT, True)
    assert smtp.received == []


def test_what_a_mailbox_receives(smtp: MailSink) -> None:
    """One deterministic Message-ID, an incident's root to thread by, automatic marks, both parts."""
    ending = send(f"{mail_url(smtp)}&+X-Team=platform&name=Alerts")
    (received,) = smtp.mails
    assert received.get_all("Message-ID") == ["<ab12@prod.watchtower.invalid>"]
    assert ending.receipt == "<ab12@prod.watchtower.invalid>"
    assert received["References"] == received["In-Reply-To"] == "<incident-42@prod.watchtower.invalid>"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received["List-Id"] == "<alerts.prod.watchtower.invalid>"
    assert received["X-Watchtower-Delivery-Id"] == "ab12"
    assert received["X-Team"] == "platform"
    assert received["From"] == "Alerts <watchtower@example.com>"
    assert received["Subject"] == MESSAGE.subject
    assert [part.get_content_type() for part in received.iter_parts()] == ["text/plain", "text/html"]
    for part in received.iter_parts():
        assert MESSAGE.summary in part.get_content()


def test_lines_that_begin_with_a_dot_arrive_as_they_are(
    smtp: MailSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 5321 section 4.5.2: a service that says "." must not end the mail early."""
    parts = MailParts(subject="s", text=".\n.hidden\n..two\n", html="<p>x</p>")
    monkeypatch.setattr(mail, "mail_parts", lambda _message: parts)
    assert send(mail_url(smtp)).outcome is Outcome.ACCEPTED
    (received,) = smtp.mails
    text, _ = received.iter_parts()
    assert text.get_content().replace("\r\n", "\n") == ".\n.hidden\n..two\n"


# ---- beside the sends


def test_nobody_else_in_the_process_is_witnessed(http: HttpSink) -> None:
    """The hooks touch only calls under a recorder: other users of requests see what they always saw."""
    http.set_mode("404")
    response = requests.get(http.url, timeout=5)
    assert (response.status_code, response.text) == (404, "no_service")
    assert witness.current() is None


def test_no_secret_reaches_a_log_at_any_level(http: HttpSink, caplog: pytest.LogCaptureFixture) -> None:
    """Every ending of every kind, with everything at DEBUG: no token in any record or detail."""
    caplog.set_level(logging.DEBUG)
    quiet(Redactor([channel(url) for url in http_urls(http).values()]))
    details = []
    for mode in ("ok", "404", "429", "reset", "form", "refuse"):
        http.set_mode(mode)
        details += [send(url).detail for url in http_urls(http).values()]
    details.append(sending.attempt(channel(f"slack://T1/{TOKEN}"), MESSAGE, Recorder(lambda: True)).detail)
    formatter = logging.Formatter("%(name)s %(message)s")
    written = "\n".join([*details, *(formatter.format(record) for record in caplog.records)])
    for secret in (TOKEN, BOT_TOKEN):
        assert secret not in written
