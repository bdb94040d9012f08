"""A Message as plain text, and what every shape for people shares: its parts in order, and fitting a limit.

What a watched service said is only ever text: it cannot become a link or a mention in any channel that
finds such things in plain text by itself. Links come from the configuration alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from watchtower.delivery.message import Message

UNLIMITED: Final = 1_000_000
_SCHEME: Final = re.compile(r"(?<=[a-z0-9]):(?=//)", re.IGNORECASE)
_WWW: Final = re.compile(r"\b(www)\.", re.IGNORECASE)
_NO_TAG: Final = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
_TAG: Final = re.compile(r"<(?=[!@#&/?a-z])", re.IGNORECASE)


class Part(Struct, frozen=True):
    """One paragraph of a message. Of those that do not fit, the part with the highest `rank` goes first."""

    rank: int
    text: str


def defused(text: str) -> str:
    """`text` in which nothing looks like an address or a tag to a channel that makes links on its own.

    `https://evil.example` becomes `https[:]//evil.example`: as readable, and dead.
    """
    return _TAG.sub(_NO_TAG, _WWW.sub(r"\1[.]", _SCHEME.sub("[:]", text)))


def plain(message: Message, limit: int = UNLIMITED) -> str:
    """The body as plain text with visible URLs, at most `limit` characters; the subject travels apart."""
    return fitted(parts(message), limit)


def parts(message: Message) -> list[Part]:
    """The paragraphs of the text, in the order they are read."""
    return [part for part in (*_opening(message), *_details(message), *_closing(message)) if part.text]


def _opening(message: Message) -> list[Part]:
    if message.body:
        return [Part(0, around_links(message.body, message, defused, str)), Part(1, _lines(message.notes))]
    return [Part(0, _lines((message.summary, *message.notes)))]


def _details(message: Message) -> list[Part]:
    if message.body:
        return []
    facts = [f"{label}: {value}" for label, value in message.facts]
    return [
        Part(3, _lines(facts)),
        *(Part(1, _lines((group.title, *(f"- {line}" for line in group.lines)))) for group in message.groups),
        Part(5, _lines(sight_lines(message))),
    ]


def _closing(message: Message) -> list[Part]:
    links = "" if message.body else "\n".join(f"{link.label}: {link.url}" for link in message.links)
    return [Part(4, links), Part(2, defused(message.footer))]


def _lines(lines: Sequence[str]) -> str:
    return "\n".join(defused(line) for line in lines)


def sight_lines(message: Message) -> list[str]:
    """What each peer saw, one line each."""
    return [
        f"{sight.peer}{f' ({sight.zone})' if sight.zone else ''} {sight.told}" for sight in message.sights
    ]


def fitted(wanted: list[Part], limit: int, joint: str = "\n\n") -> str:
    """As many of the parts as fit into `limit` characters; what is said first is cut only when alone."""
    kept = list(wanted)
    while len(kept) > 1 and len(joint.join(part.text for part in kept)) > limit:
        kept.remove(max(kept, key=lambda part: part.rank))
    return cut(joint.join(part.text for part in kept), limit)


def cut(text: str, limit: int) -> str:
    """`text` of at most `limit` characters, with an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + "…"


def around_links(
    text: str, message: Message, escape: Callable[[str], str], link: Callable[[str], str]
) -> str:
    """`text` with `escape` applied, save that addresses of the message's own links go through `link`."""
    urls = sorted({known.url for known in message.links}, key=len, reverse=True)
    if not urls:
        return escape(text)
    pieces = re.split(f"({'|'.join(map(re.escape, urls))})", text)
    return "".join(link(piece) if piece in urls else escape(piece) for piece in pieces)
