"""What arrives, byte for byte, when real plugins of apprise send: inert, within limits, in the right shape.

The table of hostile texts is the one of the unit tests; here it goes through each plugin and over a socket.
"""

from __future__ import annotations

import email
import json
from collections.abc import Callable, Iterator
from email.policy import default
from urllib.parse import parse_qs

import pytest
from apprise.plugins import discord, pagerduty, telegram
from msgspec.structs import replace
from support import delivery_storms as storms
from support.injection import (
    HOSTILE,
    assert_inert_html,
    assert_inert_markdown,
    assert_inert_slack,
    assert_inert_text,
    hostile_message,
    hostile_messages,
)
from support.mail_sink import MailSink
from support.sinks import HttpSink

from watchtower.core.model import Outcome
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel, ChannelTemplate
from watchtower.delivery import sending, witness
from watchtower.delivery.message import Message
from watchtower.delivery.witness import Recorder

TOKEN = "CANARYCANARYCANARYCANARY"
BOT_TOKEN = "xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d"
TEMPLATE = ChannelTemplate(
    subject="{{ title }}: {{ reason }}",
    body="{{ summary }}\n{% for one in evidence %}{{ one.peer }} {{ one.text }}\n{% endfor %}{{ runbook }}",
)


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpSink]:
    """A sink that stands in for the hosts of Discord, Telegram and PagerDuty as well."""
    witness.install()
    with HttpSink() as sink:
        monkeypatch.setattr(discord.NotifyDiscord, "notify_url", f"{sink.url}/discord")
        monkeypatch.setattr(telegram.NotifyTelegram, "notify_url", f"{sink.url}/telegram/bot")
        lookup = dict.fromkeys(pagerduty.PAGERDUTY_API_LOOKUP, f"{sink.url}/v2/enqueue")
        monkeypatch.setattr(pagerduty, "PAGERDUTY_API_LOOKUP", lookup)
        yield sink


@pytest.fixture
def smtp() -> Iterator[MailSink]:
    """An SMTP sink."""
    with MailSink() as sink:
        yield sink


def _markdown(key: str, limit: int) -> Callable[[str], None]:
    def check(body: str) -> None:
        text = json.loads(body)[key]
        assert 0 < len(text) <= limit
        assert_inert_markdown(text)

    return check


def _text(key: str, limit: int) -> Callable[[str], None]:
    def check(body: str) -> None:
        sent = json.loads(body)
        text = sent.get("payload", sent)[key]
        assert 0 < len(text) <= limit
        assert_inert_text(text.replace("\r\n", "\n"))
        assert "\n" not in sent.get("title", "")

    return check


def _telegram(body: str) -> None:
    """Its plugin makes HTML of our text, with a bold title."""
    sent = json.loads(body)
    assert sent["parse_mode"] == "HTML"
    assert len(sent["text"]) <= 4_096 * 2
    assert_inert_html(sent["text"].replace("<b>", "<strong>").replace("</b>", "</strong>"))


def _form(body: str) -> None:
    fields = parse_qs(body, keep_blank_values=True)
    assert_inert_text(fields["message"][0].replace("\r\n", "\n"))


def _webhook(body: str) -> None:
    sent = json.loads(body)
    assert sent["version"] == 1
    assert_inert_text(sent["message"])
    assert "hunter2" not in body


WAYS: dict[str, tuple[str, Callable[[str], None]]] = {
    "slack webhook": (
        f"slack://T1JJ3T3L2/A1BRTD4JD/{TOKEN}/?server={{url}}",
        lambda body: assert_inert_slack(json.loads(body)),
    ),
    "slack bot": (
        f"slack://{BOT_TOKEN}/#ops?server={{url}}",
        lambda body: assert_inert_slack(json.loads(body)),
    ),
    "webhook": ("json://127.0.0.1:{port}/hook", _webhook),
    "form": ("form://127.0.0.1:{port}/in", _form),
    "discord": (f"discord://4174216298/{TOKEN}", _markdown("content", 2_000)),
    "mattermost": (f"mmost://127.0.0.1:{{port}}/{TOKEN}", _markdown("text", 4_000)),
    "telegram": ("tgram://123456789:abcdefg_hijklmnop1234567890abcdef/12315544/", _telegram),
    "pagerduty": ("pagerduty://0123456789abcdef0123456789abcdef@source/component", _text("summary", 1_024)),
    "ntfy": ("ntfy://127.0.0.1:{port}/topic", _text("message", 3_900)),
    "gotify": ("gotify://127.0.0.1:{port}/abcdefghijklmno", _text("message", 32_768)),
}


def channel(url: str, template: ChannelTemplate | None = None) -> Channel:
    """A channel with that URL."""
    return Channel(name="chat", url=Secret(url), schema=url.partition(":")[0], template=template)


def send(http: HttpSink, way: str, message: Message, template: ChannelTemplate | None = None) -> Outcome:
    """One attempt through the real plugin."""
    url = WAYS[way][0].format(url=http.url, port=http.port)
    return sending.attempt(channel(url, template), message, Recorder(lambda: True)).outcome


@pytest.mark.parametrize("template", [None, TEMPLATE], ids=["standard", "template"])
@pytest.mark.parametrize("way", WAYS)
def test_hostile_text_arrives_inert(http: HttpSink, way: str, template: ChannelTemplate | None) -> None:
    """Mentions, markup, header lines, floods: what a plugin makes of them on the wire is still only text."""
    for text in HOSTILE.values():
        message = replace(hostile_message(text), opened=None)
        assert send(http, way, message, template) is Outcome.ACCEPTED, text[:40]
    received = [item for item in http.received if item.body]
    assert len(received) == len(HOSTILE)
    for item in received:
        WAYS[way][1](item.body)


@pytest.mark.parametrize("template", [None, TEMPLATE], ids=["standard", "template"])
def test_hostile_text_arrives_inert_by_mail(smtp: MailSink, template: ChannelTemplate | None) -> None:
    """No header of a stranger, one text and one HTML part, and nobody else is written to."""
    url = f"mailto://127.0.0.1:{smtp.port}?from=watchtower@example.com&to=ops@example.com"
    messages = [message for text in HOSTILE.values() for message in hostile_messages(text)[:3]]
    for message in messages:
        ending = sending.attempt(channel(url, template), message, Recorder(lambda: True))
        assert ending.outcome is Outcome.ACCEPTED, ending.detail
    assert len(smtp.received) == len(messages)
    for item in smtp.received:
        mail = email.message_from_string(item.body, policy=default)
        assert set(map(str.lower, mail.keys())) <= OWN
        assert mail["To"] == "ops@example.com"
        text, html = mail.iter_parts()
        assert_inert_text(text.get_content().replace("\r\n", "\n"))
        assert_inert_html(html.get_content())


OWN = {
    *("subject", "from", "to", "date", "message-id", "in-reply-to", "references", "auto-submitted"),
    *(
        "list-id",
        "x-watchtower-delivery-id",
        "content-type",
        "mime-version",
        "x-peer",
        "x-mailfrom",
        "x-rcptto",
    ),
}


@pytest.mark.parametrize("way", ["discord", "mattermost", "telegram", "pagerduty", "ntfy"])
def test_a_storm_of_500_fits_every_channel(http: HttpSink, way: str) -> None:
    """The digest of five hundred is cut by whole parts; what comes first stays, and the cause is it."""
    assert send(http, way, storms.storm()) is Outcome.ACCEPTED
    body = http.received[-1].body
    WAYS[way][1](body)
    assert "502 alerts: Orders DB DOWN" in json.dumps(json.loads(body)).replace("\\\\", "")


def test_discord_gets_markdown_that_reads(http: HttpSink) -> None:
    """Bold where we mean it, links with a label, everything else as it was said."""
    assert send(http, "discord", storms.cause_with_dependents()) is Outcome.ACCEPTED
    content = http.received[0].json["content"]
    assert content.startswith(r"**\[DOWN\] Orders DB (connection refused) 3/3 peers - prod**")
    assert "[Acknowledge](https://status.example.com/a/7/" in content
    assert "- shop-001: no new orders (failing)" in content


@pytest.mark.parametrize("way", ["discord", "mattermost"])
def test_markdown_that_is_refused_is_sent_once_more_as_text(http: HttpSink, way: str) -> None:
    """An alert must not die of its form; what is bare is as inert."""
    http.refused_form = "**"
    message = hostile_message(HOSTILE["markdown link"])
    assert send(http, way, message) is Outcome.ACCEPTED
    first, second = http.received
    assert "**" in first.body
    text = second.json.get("content") or second.json["text"]
    assert "**" not in text
    assert_inert_text(text.replace("\r\n", "\n"))


def test_text_that_is_refused_is_sent_once_more_as_its_subject_alone(http: HttpSink) -> None:
    """The subject carries everything that a lock screen needs."""
    http.refused_form = "peers - prod"
    message = replace(
        hostile_message("HTTP 503"), subject="[DOWN] Checkout - prod", summary="3/3 peers - prod"
    )
    assert send(http, "gotify", message) is Outcome.ACCEPTED
    assert [item.json["message"] for item in http.received[1:]] == ["[DOWN] Checkout - prod"]
    http.refused_form = "Checkout"
    assert send(http, "gotify", message) is Outcome.REJECTED
    assert len(http.received) == 4


def test_a_refusal_that_is_not_about_the_form_is_not_answered_with_another_form(http: HttpSink) -> None:
    """A wrong token or a full minute is no reason to send twice."""
    for mode in ("404", "500", "429"):
        http.set_mode(mode)
        assert send(http, "mattermost", hostile_message("HTTP 503")) is Outcome.REJECTED
    assert len(http.received) == 3


@pytest.mark.parametrize(
    ("message", "key", "action"),
    [
        (storms.cause_with_dependents, "prod/incident-7", "trigger"),
        (storms.dependent_told_late, "prod/incident-8", "trigger"),
        (storms.database_recovers, "prod/incident-7", "resolve"),
        (storms.storm, "prod/incident-1", "trigger"),
        (storms.digest_of_recoveries, "prod/incident-1", "resolve"),
    ],
)
def test_pagerduty_joins_and_ends_an_incident_by_its_key(
    http: HttpSink, message: Callable[[], Message], key: str, action: str
) -> None:
    """Alert, reminder and end share a key; a digest has that of its first cause, which its end resolves."""
    assert send(http, "pagerduty", message()) is Outcome.ACCEPTED
    sent = http.received[0].json
    assert (sent["dedup_key"], sent["event_action"]) == (key, action)


@pytest.mark.parametrize(("url_says", "severity"), [("", "warning"), ("?severity=error", "error")])
def test_pagerduty_pages_as_loud_as_it_matters(http: HttpSink, url_says: str, severity: str) -> None:
    """A service of severity `warning` that is down is no reason to wake anybody; the URL may differ."""
    message = replace(storms.cause_with_dependents(), severity="warning")
    where = channel(f"{WAYS['pagerduty'][0]}{url_says}")
    assert sending.attempt(where, message, Recorder(lambda: True)).outcome is Outcome.ACCEPTED
    assert http.received[0].json["payload"]["severity"] == severity


@pytest.mark.parametrize(
    ("message", "root"),
    [
        (storms.cause_with_dependents, "incident-7"),
        (storms.dependent_told_late, "incident-8"),
        (storms.storm, "incident-1"),
    ],
)
def test_mails_of_an_incident_and_its_digest_are_one_thread(
    smtp: MailSink, message: Callable[[], Message], root: str
) -> None:
    """The root never exists as a mail; every program threads by it all the same."""
    url = f"mailto://127.0.0.1:{smtp.port}?from=watchtower@example.com&to=ops@example.com"
    sending.attempt(channel(url), message(), Recorder(lambda: True))
    (mail,) = smtp.mails
    assert mail["References"] == mail["In-Reply-To"] == f"<{root}@prod.watchtower.invalid>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"] == "<0123456789abcdef@prod.watchtower.invalid>"
