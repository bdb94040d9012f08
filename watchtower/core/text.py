"""One way to make foreign text fit for people: a log line, an alert, the page, replicated evidence.

Whatever came from a probed service, a peer, a webhook or a library's exception goes through `clean`
once, where it enters. Markup is not touched: escaping belongs to whoever renders. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from watchtower.core.model import EVIDENCE_TEXT_MAX

HIDDEN: Final = "***"
_READ_MAX: Final = 16_384
"""Longer text is cut before any work is done on it."""

# Each part of a pattern begins at a token's edge, so that a long hostile text costs linear time.
_URL_CREDENTIALS: Final = re.compile(r"(?<=://)[^\s/?#]*@")
_BARE_CREDENTIALS: Final = re.compile(r"(?<![^\s/:@'\"(])[^\s/:@'\"(]+:[^\s/@]+@")
_QUERY_SECRETS: Final = re.compile(
    r"([?&](?:[a-z0-9]+[_-]){0,4}"
    r"(?:token|key|apikey|secret|password|passwd|pwd|sig|signature|credential|session|ticket|code|jwt)=)[^&#\s]+",
    re.IGNORECASE,
)


def clean(text: str, limit: int = EVIDENCE_TEXT_MAX) -> str:
    """`text` on one line without control, format or bidi characters, credentials hidden, cut to `limit`.

    Runs of whitespace become one space. `user:pass@` and secrets in a query become `***`. A text that
    had to be cut ends in an ellipsis, which counts towards `limit` characters.
    """
    text = text[:_READ_MAX]
    # What Python calls printable holds no character of class C and no whitespace but the space itself:
    # nearly every text, and a look cleans several.
    visible = text if text.isprintable() else "".join(map(_visible, text))
    line = redact(" ".join(visible.split()))
    return line if len(line) <= limit else line[: max(limit - 1, 0)].rstrip() + "…"


def redact(text: str) -> str:
    """`text` with the credentials of URLs hidden."""
    if "@" in text:
        text = _URL_CREDENTIALS.sub(f"{HIDDEN}@", text)
        text = _BARE_CREDENTIALS.sub(f"{HIDDEN}@", text)
    return _QUERY_SECRETS.sub(rf"\g<1>{HIDDEN}", text) if "=" in text else text


def _visible(character: str) -> str:
    """The character itself, a space for whitespace, nothing for what cannot be seen."""
    if character.isspace():
        return " "
    # Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private use, Cn unassigned.
    return "" if unicodedata.category(character)[0] == "C" else character


def sight(opinion: str, text: str, *, is_suspect: bool) -> str:
    """What a peer says of a service: `down: timeout after 10 s`; where its latest look is not settled, so.

    The text of an opinion that is still good is that of the look which contradicts it.
    """
    if is_suspect and text and opinion not in ("down", "degraded"):
        return f"{opinion}, but its latest look failed: {text}"
    said = f"{opinion}: {text}" if text else opinion
    return f"{said} (looks again)" if is_suspect else said
