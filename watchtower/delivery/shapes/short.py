"""A Message in one short message of a telephone: 160 characters, 70 when a letter needs more than GSM 7.

A second part of a text message costs money and may arrive alone, so there is never one. What is most
needed comes first; a link is there whole or not at all.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from watchtower.delivery.message import Message, utc
from watchtower.delivery.shapes.text import defused

SHORT_MAX: Final = 160
WIDE_MAX: Final = 70
_ACTING: Final = ("Acknowledge", "All incidents")
_PLAINER: Final = str.maketrans(
    {
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}": "(",
        "\N{FULLWIDTH COMMERCIAL AT}": "(at)",
    }
)
_GSM: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWICE: Final = frozenset("^{}\\[~]|€")
"""The alphabet of 3GPP TS 23.038, and those of it that take the room of two."""


def short(message: Message, limit: int = SHORT_MAX) -> str:
    """The subject, what is most needed besides, and a link to act on, as far as one message holds them."""
    text = _dull(message.subject)
    room = _room(text, limit)
    text = _cut_to(text, room)
    if message.body:
        return text
    links = [link.url for link in message.links if link.label.startswith(_ACTING)][:1]
    extras = [f"since {_hour(message.since_wall)}"] if message.since_wall else []
    for extra in [*extras, *map(_dull, _causes(message)), *links]:
        longer = f"{text} {extra}"
        if _size(longer) <= _room(longer, limit):
            text = longer
    return text


def _causes(message: Message) -> list[str]:
    return [f"{label.lower()}: {value}" for label, value in message.facts if label in ("Cause", "Affected")]


def _hour(at_wall: float) -> str:
    """Day and minute in UTC: `2026-01-31 09:16 UTC`."""
    return utc(at_wall)[:16] + " UTC"


def _dull(text: str) -> str:
    """`text` in few letters; without accents `<é>` would be a tag, so it is defused last."""
    return _plainer(defused(_plainer(text)))


def _plainer(text: str) -> str:
    """Typographic signs and accents that GSM 7 lacks as their plain neighbours, where there are any."""
    text = text.translate(_PLAINER)
    return "".join(char if _is_gsm(char) else _base(char) for char in text)


def _base(char: str) -> str:
    base = unicodedata.normalize("NFKD", char)[0]
    return base if _is_gsm(base) else char


def _is_gsm(char: str) -> bool:
    return char in _GSM or char in _GSM_TWICE


def _size(text: str) -> int:
    """The room that `text` takes, in the units that `_room` counts."""
    if all(map(_is_gsm, text)):
        return sum(2 if char in _GSM_TWICE else 1 for char in text)
    return len(text.encode("utf-16-le")) // 2


def _room(text: str, limit: int) -> int:
    return min(limit, SHORT_MAX if all(map(_is_gsm, text)) else WIDE_MAX)


def _cut_to(text: str, room: int) -> str:
    """`text` shortened until it fits; the ellipsis is three dots, which GSM 7 has."""
    if _size(text) <= room:
        return text
    for length in range(min(len(text), room), 0, -1):
        shorter = f"{text[:length].rstrip()}..."
        if _size(shorter) <= room:
            return shorter
    return text[: max(room, 0)] if _size(text[: max(room, 0)]) <= room else ""
