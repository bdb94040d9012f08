"""A Message as Slack's blocks with a preview text, within Slack's limits; as bare text where those fail.

The three signs of Slack's markup are escaped, so that nobody is mentioned and nothing is linked but what
the configuration says. A reply in a thread, and the first message once it is over, are shaped here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec.structs import replace

from watchtower.delivery.message import Group, Message, Tone
from watchtower.delivery.shapes.text import UNLIMITED, around_links, plain, sight_lines

SLACK_EVENT: Final = "watchtower_delivery"
"""Type of the metadata by which a message of ours is found in a channel's history."""
HEADER_MAX: Final = 150
SECTION_MAX: Final = 3_000
FIELDS_MAX: Final = 10
FIELD_MAX: Final = 2_000
TEXT_MAX: Final = 3_500
"""Slack's limits: https://docs.slack.dev/reference/block-kit/blocks (header, section, fields)."""
GROUPS_MAX: Final = 20
"""Each is a block, and with the other parts there may be 50."""
NOTES_MAX: Final = 6

_MARK: Final = {
    Tone.FAILURE: "\N{LARGE RED CIRCLE}",
    Tone.WARNING: "\N{LARGE ORANGE CIRCLE}",
    Tone.SUCCESS: "\N{LARGE GREEN CIRCLE}",
    Tone.INFO: "\N{LARGE BLUE CIRCLE}",
}

Json = dict[str, Any]


def slack_payload(message: Message, *, is_bot: bool) -> Json:
    """The body of a webhook post or of chat.postMessage: preview text and blocks within Slack's limits.

    A bot also sends the delivery id as message metadata, by which a message can be found again.
    """
    payload: Json = {
        "text": _preview(message),
        "blocks": _blocks(message),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    return payload | ({"metadata": _metadata(message)} if is_bot else {})


def slack_bare(message: Message, *, is_bot: bool) -> Json:
    """The same as bare text, for a server that refuses the blocks: an alert must not die of its form."""
    room = TEXT_MAX - len(message.subject) - 10
    # What was escaped is longer: fitted again until it goes in whole, the delivery id with it.
    text = next(fit for fit in _ever_shorter(message, room) if len(slack_text(fit, UNLIMITED)) <= room)
    payload: Json = {"text": f"{_preview(message)}\n{slack_text(text, room)}", "mrkdwn": False}
    return payload | ({"metadata": _metadata(message)} if is_bot else {})


def slack_update(message: Message, *, channel: str, ts: str) -> Json:
    """The first message of an incident as it reads once all is over, for chat.update."""
    told = message.opened.delivery_id if message.opened else message.delivery_id
    over = replace(message, footer=message.footer.replace(message.delivery_id, told), delivery_id=told)
    return slack_payload(over, is_bot=True) | {"channel": channel, "ts": ts}


def _ever_shorter(message: Message, room: int) -> Iterator[str]:
    while room > 50:
        yield plain(message, room)
        room = room * 4 // 5
    yield ""


def _preview(message: Message) -> str:
    return slack_text(f"{_MARK[message.tone]} {message.subject}", TEXT_MAX)


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
    header = slack_text(f"{_MARK[message.tone]} {message.subject}", HEADER_MAX)
    blocks: list[Json] = [{"type": "header", "text": {"type": "plain_text", "text": header, "emoji": False}}]
    blocks += [_section(text) for text in _said(message) if text]
    notes = [slack_text(note, 300) for note in message.notes[:NOTES_MAX] if note]
    if notes:
        blocks.append(_context("\n".join(notes)))
    if not message.body:
        blocks += _details(message)
    if message.footer:
        blocks.append(_context(slack_text(message.footer, 900)))
    return blocks


def _said(message: Message) -> list[str]:
    if not message.body:
        return [slack_text(message.summary, SECTION_MAX)]
    marked = around_links(message.body, message, _escaped, _bare_link)
    # Half a link would be shown as its raw text, so what is too long has none.
    return [marked if len(marked) <= SECTION_MAX else slack_text(message.body, SECTION_MAX)]


def _details(message: Message) -> list[Json]:
    blocks: list[Json] = []
    if message.facts:
        fields = [
            _mrkdwn(f"*{slack_text(label, 60)}*\n{slack_text(value, FIELD_MAX - 70)}")
            for label, value in message.facts[:FIELDS_MAX]
        ]
        blocks.append({"type": "section", "fields": fields})
    blocks += [_section(_group(group)) for group in message.groups[:GROUPS_MAX]]
    if message.sights:
        blocks.append(_section(_list(sight_lines(message))))
    if message.links:
        blocks.append(_section(_slack_links(message)))
    return blocks


def _group(group: Group) -> str:
    title = f"*{slack_text(group.title, 300)}*\n"
    return title + _list(group.lines, SECTION_MAX - len(title))


def _list(lines: Sequence[str], room: int = SECTION_MAX) -> str:
    """One line each, as many as fit whole."""
    shown = ""
    for line in lines:
        piece = f"• {slack_text(line, 320)}\n"
        if len(shown) + len(piece) > room:
            break
        shown += piece
    return shown.rstrip("\n") or "•"


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


def _escaped(text: str) -> str:
    return slack_text(text, UNLIMITED)


def _bare_link(url: str) -> str:
    return f"<{_slack_url(url)}>"
