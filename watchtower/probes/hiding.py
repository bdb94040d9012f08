"""What a look says, without the secrets that it asked with: services repeat what they were sent.

Header values, what is said first and a proxy's login go out in clear to the service, and come back in
its error pages and banners. Programs and logins hide their own. Knows no protocol and judges nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final
from urllib.parse import unquote, urlsplit

from watchtower.core.targets import HttpTarget, Target, TcpTarget, WsTarget
from watchtower.core.text import HIDDEN

_TARGETS_MAX: Final = 10_000
_SHORTEST: Final = 6
"""Shorter words are no secrets, and hiding them would garble what a service says."""
_OPEN_HEADERS: Final = frozenset(
    ("accept", "accept-encoding", "accept-language", "cache-control", "content-type", "origin", "user-agent")
)
_BETWEEN: Final = re.compile(r"[\s=;,&\"']+")
_CUT: Final = "…"


@lru_cache(maxsize=_TARGETS_MAX)
def secrets_of(target: Target) -> tuple[str, ...]:
    """The words that are secret in what a look at `target` says, the longest first."""
    words = {word for value in _values(target) for word in _BETWEEN.split(value)}
    return tuple(sorted((word for word in words if len(word) >= _SHORTEST), key=len, reverse=True))


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """`text` with every secret as `***`, also where a cut has left its beginning only."""
    for secret in secrets:
        at = text.find(secret[:_SHORTEST])
        while at >= 0:
            end = at + _shared(text[at:], secret)
            if end - at == len(secret) or text[end : end + 1] in ("", _CUT):
                text = text[:at] + HIDDEN + text[end:]
            at = text.find(secret[:_SHORTEST], at + 1)
    return text


def _shared(text: str, secret: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(text, secret, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(text), len(secret)))


def _values(target: Target) -> Iterator[str]:
    if isinstance(target, HttpTarget | WsTarget):
        for name, value in target.headers:
            if name.lower() not in _OPEN_HEADERS:
                yield from _header(name, value.reveal())
    if isinstance(target, TcpTarget | WsTarget) and target.send is not None:
        yield target.send.reveal()
    if isinstance(target, HttpTarget) and target.proxy is not None:
        yield unquote(urlsplit(target.proxy.reveal()).password or "")


def _header(name: str, value: str) -> Iterator[str]:
    """The value, the password of basic authentication, cookies without their names."""
    if name.lower() == "cookie":
        yield from (pair.partition("=")[2] for pair in value.split(";"))
        return
    scheme, _, rest = value.partition(" ")
    yield rest if rest and scheme.lower() in ("basic", "bearer") else value
    if scheme.lower() == "basic":
        with contextlib.suppress(binascii.Error):
            yield base64.b64decode(rest).decode("utf-8", "replace").partition(":")[2]
