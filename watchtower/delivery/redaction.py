"""Keeps secrets of channels out of logs and out of what is replicated.

A Redactor knows every secret part of the configured channel URLs and replaces it wherever it turns up,
as it does with the links in our own messages by which anybody may act; as a logging filter it does so for
whole log records, tracebacks included. It decides nothing about what is logged, and it is a second wall:
details of attempts are built from fixed words first.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from watchtower.core.settings import Channel

MASK: Final = "***"
_PART_MIN: Final = 6
"""Shorter parts of a URL (a port, `ops`) are no secrets, and masking them would garble texts."""
_CREDENTIALS: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^/\s@]{1,300}@", re.IGNORECASE)
_SLASH: Final = r"(?:\\?/|%2f)"
_ACTING: Final = re.compile(rf"(?P<way>{_SLASH}a{_SLASH}[0-9]{{1,15}}{_SLASH})[a-z0-9_-]+", re.IGNORECASE)
"""The link of an incident; a provider may repeat our message as it is, in JSON, or quoted for a URL."""
_NOISY: Final = (
    "apprise",
    "requests",
    "urllib3",
    "urllib3.connectionpool",
    "urllib3.connection",
    "urllib3.util.retry",
)


class Redactor(logging.Filter):
    """Masks the secrets of the channels it was last told about."""

    def __init__(self, channels: Iterable[Channel] = ()) -> None:
        super().__init__()
        self._pattern: re.Pattern[str] | None = None
        self.learn(channels)

    def learn(self, channels: Iterable[Channel]) -> None:
        """Replace what is masked by the secrets of `channels`."""
        parts = {part for channel in channels for part in _secret_parts(channel.url.reveal())}
        longest_first = sorted(parts, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if parts else None

    def redact(self, text: str) -> str:
        """`text` without any known secret, `user:password@` in URLs, and the code of a link to act by."""
        text = _CREDENTIALS.sub(rf"\g<scheme>{MASK}@", text)
        text = _ACTING.sub(rf"\g<way>{MASK}", text)
        return self._pattern.sub(MASK, text) if self._pattern else text

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask the record in place; never drops it."""
        record.msg, record.args = self.redact(record.getMessage()), None
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_text, record.exc_info = self.redact(text), None
        return True


def quiet(redactor: Redactor) -> None:
    """Pin apprise and its HTTP libraries to levels at which they print no URL, and filter them.

    At DEBUG they print whole webhook URLs and payloads, so DEBUG is never handed down to them.
    """
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING if name == "apprise" else logging.INFO)
        for old in [known for known in logger.filters if isinstance(known, Redactor)]:
            logger.removeFilter(old)
        logger.addFilter(redactor)


def _secret_parts(url: str) -> set[str]:
    """The URL and all of it that could be a token, as written, quoted and unquoted."""
    split = urlsplit(url)
    _, _, host = split.netloc.rpartition("@")
    pieces = [url, split.netloc.rpartition("@")[0], split.username or "", split.password or ""]
    # A host with a dot is one; what else stands in its place may be a token, as in tgram://bot:token/.
    pieces += host.split(":") if "." not in host else []
    if split.password:
        login = f"{unquote(split.username or '')}:{unquote(split.password)}"
        pieces.append(base64.b64encode(login.encode()).decode())
    pieces += split.path.split("/")
    for pair in split.query.split("&"):
        key, _, value = pair.partition("=")
        # Whatever is put into a header or a payload may be a token; `to=ops@example.com` is an address.
        if key[:1] in "+:-" or key in ("token", "pass", "password", "key", "apikey", "auth", "user"):
            pieces += [value, *unquote(value).split()]
    shapes = {shape for piece in pieces for shape in (piece, unquote(piece), quote(piece, safe=""))}
    return {shape for shape in shapes if len(shape) >= _PART_MIN}
