"""Shapes a Message for each kind of channel: Slack blocks, mail parts, plain text, webhook JSON.

Here, and only here, text is escaped the way its channel needs it, and cut to the channel's limits, so
that no provider refuses an alert for its form. Nothing is looked up and nothing is sent.
"""

from __future__ import annotations

from typing import Any, Final

from jinja2 import Environment
from msgspec import Struct

from watchtower.delivery.message import Message, Severity, rfc3339

WEBHOOK_VERSION: Final = 1
SLACK_EVENT: Final = "watchtower_delivery"
"""Type of the metadata by which a message of ours is found in a channel's history."""
HEADER_MAX: Final = 150
SECTION_MAX: Final = 3_000
FIELDS_MAX: Final = 10
FIELD_MAX: Final = 2_000
TEXT_MAX: Final = 3_500
"""Slack's limits: https://docs.slack.dev/reference/block-kit/blocks (header, section, fields)."""

_MARK: Final = {
    Severity.FAILURE: "\N{LARGE RED CIRCLE}",
    Severity.WARNING: "\N{LARGE ORANGE CIRCLE}",
    Severity.SUCCESS: "\N{LARGE GREEN CIRCLE}",
    Severity.INFO: "\N{LARGE BLUE CIRCLE}",
}
_COLOUR: Final = {
    Severity.FAILURE: "#b3261e",
    Severity.WARNING: "#9a5b00",
    Severity.SUCCESS: "#1b6e3c",
    Severity.INFO: "#1f5fa8",
}

Json = dict[str, Any]

# ---- plain text


def plain(message: Message) -> str:
    """The body as plain text with visible URLs; the subject travels apart from it."""
    lines = [message.summary, *message.notes]
    if message.facts:
        lines += ["", *(f"{label}: {value}" for label, value in message.facts)]
    if message.sights:
        lines += ["", *_sight_lines(message)]
    if message.links:
        lines += ["", *(f"{link.label}: {link.url}" for link in message.links)]
    return "\n".join([*lines, "", message.footer]).rstrip()


def _sight_lines(message: Message) -> list[str]:
    return [
        f"{sight.peer}{f' ({sight.zone})' if sight.zone else ''} {sight.told}" for sight in message.sights
    ]


# ---- Slack


def slack_payload(message: Message, *, is_bot: bool) -> Json:
    """The body of a webhook post or of chat.postMessage: preview text and blocks within Slack's limits.

    A bot also sends the delivery id as message metadata, by which a message can be found again.
    """
    payload: Json = {
        "text": slack_text(f"{_MARK[message.severity]} {message.subject}", TEXT_MAX),
        "blocks": _blocks(message),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if is_bot:
        payload["metadata"] = _metadata(message)
    return payload


def slack_bare(message: Message, *, is_bot: bool) -> Json:
    """The same as bare text, for a server that refuses the blocks: an alert must not die of its form."""
    text = f"{_MARK[message.severity]} {message.subject}\n{plain(message)}"
    payload: Json = {"text": slack_text(text, TEXT_MAX), "mrkdwn": False}
    return payload | ({"metadata": _metadata(message)} if is_bot else {})


def _metadata(message: Message) -> Json:
    return {
        "event_type": SLACK_EVENT,
        "event_payload": {
            "delivery_id": message.delivery_id,
            "attempt": message.attempt,
            "incident": message.incident,
        },
    }


def _blocks(message: Message) -> list[Json]:
    header = slack_text(f"{_MARK[message.severity]} {message.subject}", HEADER_MAX)
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}}]
    blocks.append(_section(slack_text(message.summary, SECTION_MAX)))
    if message.notes:
        blocks.append(_context("\n".join(slack_text(note, 900) for note in message.notes)))
    if message.facts:
        fields = [
            _mrkdwn(f"*{slack_text(label, 60)}*\n{slack_text(value, FIELD_MAX - 70)}")
            for label, value in message.facts[:FIELDS_MAX]
        ]
        blocks.append({"type": "section", "fields": fields})
    if message.sights:
        blocks.append(_section("\n".join(f"• {slack_text(line, 320)}" for line in _sight_lines(message))))
    if message.links:
        blocks.append(_section(_slack_links(message)))
    if message.footer:
        blocks.append(_context(slack_text(message.footer, 900)))
    return blocks


def _mrkdwn(text: str) -> Json:
    """`verbatim` keeps Slack from turning names and addresses inside the text into links and mentions."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _section(text: str) -> Json:
    return {"type": "section", "text": _mrkdwn(text)}


def _context(text: str) -> Json:
    return {"type": "context", "elements": [_mrkdwn(text)]}


def slack_text(text: str, limit: int) -> str:
    """`text` with `& < >` escaped, at most `limit` characters, never cut inside an escape.

    The three characters are all of Slack's control sequences (`<!channel>`, `<@U1>`, `<url|label>`):
    https://docs.slack.dev/messaging/formatting-message-text
    """
    escapes = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
    shown: list[str] = []
    left = limit
    for char in text:
        piece = escapes.get(char, char)
        if len(piece) > left:
            break
        shown.append(piece)
        left -= len(piece)
    return "".join(shown)


def _slack_links(message: Message) -> str:
    """As many links as fit; half a link would be shown as its raw text."""
    shown = ""
    for link in message.links:
        piece = f"{' | ' if shown else ''}<{_slack_url(link.url)}|{slack_text(link.label, 80)}>"
        if len(shown) + len(piece) <= SECTION_MAX:
            shown += piece
    return shown or "Links: too long for Slack"


def _slack_url(url: str) -> str:
    return url.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")


# ---- mail


class MailParts(Struct, frozen=True, kw_only=True):
    """Subject, plain text and HTML of one mail."""

    subject: str
    text: str
    html: str


_MAIL: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>{{ m.subject }}</title></head>
<body style="margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif">
<div style="max-width:640px;border-left:4px solid {{ colour }};padding-left:14px">
<p style="font-size:18px;font-weight:600;margin:0 0 8px">{{ m.subject }}</p>
<p style="margin:0 0 12px">{{ m.summary }}</p>
{% for note in m.notes %}
<p style="margin:0 0 12px"><em>{{ note }}</em></p>
{% endfor %}
{% for label, value in m.facts %}
<p style="margin:0"><strong>{{ label }}:</strong> {{ value }}</p>
{% endfor %}
{% if m.sights %}
<ul style="margin:12px 0;padding-left:18px">
{% for sight in m.sights %}
<li><strong>{{ sight.peer }}</strong>{% if sight.zone %} ({{ sight.zone }}){% endif %} {{ sight.told }}</li>
{% endfor %}
</ul>
{% endif %}
{% for link in m.links %}
<p style="margin:0"><a href="{{ link.url }}">{{ link.label }}</a>: {{ link.url }}</p>
{% endfor %}
<p style="margin:14px 0 0;font-size:13px;opacity:.75">{{ m.footer }}</p>
</div></body></html>
""")


def mail_parts(message: Message) -> MailParts:
    """Both parts of a mail, with every link visible as text, no external assets and no tables."""
    html = _MAIL.render(m=message, colour=_COLOUR[message.severity])
    return MailParts(subject=message.subject, text=plain(message) + "\n", html=html)


# ---- JSON webhook


def webhook_body(message: Message) -> Json:
    """The JSON object of version 1. Fields may be added within a version; none changes its meaning."""
    return {
        "version": WEBHOOK_VERSION,
        "kind": message.kind,
        "state": message.state,
        "severity": message.severity.value,
        "delivery": {
            "id": message.delivery_id,
            "attempt": message.attempt,
            "may_repeat": message.is_repeat,
            "peer": message.peer,
        },
        "cluster": message.cluster,
        "incident": _incident(message),
        "evidence": [
            {
                "peer": sight.peer,
                "zone": sight.zone,
                "opinion": sight.opinion,
                "text": sight.text,
                "latency_ms": sight.latency_ms,
            }
            for sight in message.sights
        ],
        "links": {link.label: link.url for link in message.links},
        "notes": list(message.notes),
        "title": message.subject,
        "message": plain(message),
    }


def _incident(message: Message) -> Json | None:
    if not message.incident:
        return None
    return {
        "number": message.incident,
        "service": message.service,
        "title": message.title,
        "level": message.level,
        "reason": message.reason,
        "since": rfc3339(message.since_wall),
        "at": rfc3339(message.at_wall),
    }
