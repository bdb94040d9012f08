"""A Message as Markdown for the channels that show it: Discord, Mattermost, Teams, Google Chat and others.

Everything but our own marks and links is escaped sign by sign, so that what a service said can be
neither bold nor a link, a heading, a mention or code. Which channel takes this is fitting.py's part.
"""

from __future__ import annotations

import re
from typing import Final

from watchtower.delivery.message import Message
from watchtower.delivery.shapes.text import (
    UNLIMITED,
    Part,
    around_links,
    defused,
    fitted,
    sight_lines,
)

_SPECIAL: Final = re.compile(r"([\\`*\[\]#|~<>]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
"""The signs that can begin something: the others mean something only after one of these."""
_STARTS_LIST: Final = re.compile(r"(?m)^(\s*|\s*\d+(?=[.)]))([-+=.)])")
_UNSAFE_IN_URL: Final = {"(": "%28", ")": "%29", "<": "%3C", ">": "%3E", "*": "%2A", "_": "%5F", "~": "%7E",
                         "`": "%60", "\\": "%5C", "[": "%5B", "]": "%5D", "|": "%7C"}  # fmt: skip


def markdown(message: Message, limit: int = UNLIMITED) -> str:
    """Subject and body as Markdown, at most `limit` characters; no part is cut within its marks."""
    return fitted(_parts(message, limit), limit)


def escaped(text: str) -> str:
    """`text` as nothing but text."""
    return _STARTS_LIST.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", defused(text)))


def link(url: str, label: str = "") -> str:
    """A link of ours. What could end it early is written in hexadecimal."""
    return f"[{escaped(label or url)}]({safe_url(url)})"


def safe_url(url: str) -> str:
    """The address without a sign that Markdown knows."""
    return "".join(_UNSAFE_IN_URL.get(char, char) for char in url)


def _parts(message: Message, limit: int) -> list[Part]:
    subject = f"**{escaped(message.subject)}**"
    if len(subject) > limit:
        # Too small a channel for the marks, and half a mark is worse than none.
        return [Part(0, escaped(message.subject)[: max(limit, 0)].rstrip("\\"))]
    notes = "\n".join(escaped(note) for note in message.notes)
    links = " | ".join(link(one.url, one.label) for one in message.links)
    if message.body:
        written = around_links(message.body, message, escaped, safe_url)
        wanted = [Part(0, subject), Part(3, written), Part(1, notes)]
    else:
        wanted = [
            Part(0, subject),
            Part(1, "\n".join(text for text in (escaped(message.summary), notes) if text)),
            Part(4, "\n".join(f"**{escaped(label)}**: {escaped(value)}" for label, value in message.facts)),
            *(Part(2, _group(group.title, group.lines)) for group in message.groups),
            Part(6, _list(sight_lines(message))),
            Part(5, links),
        ]
    return [part for part in (*wanted, Part(3, escaped(message.footer))) if part.text]


def _group(title: str, lines: tuple[str, ...]) -> str:
    return f"**{escaped(title)}**\n{_list(lines)}"


def _list(lines: tuple[str, ...] | list[str]) -> str:
    return "\n".join(f"- {escaped(line)}" for line in lines)
