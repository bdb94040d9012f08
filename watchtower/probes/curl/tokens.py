"""OAuth2 client credentials: a token for whoever a service is asked as, kept until it expires.

Tokens come through the same engine as every look. Without one the service was not asked at all, so the
look says nothing about it: unknown, with the reason. The secret is sent to the token's URL only, and
neither it nor a token is ever part of a text.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from watchtower.core.ports import Clock
from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget, OAuth2
from watchtower.probes.failures import FAILURES, OwnFaultError, failure
from watchtower.probes.look import Look, aside

WAIT_SHARE: Final = 0.9
BUDGET_SHARE: Final = 0.7
"""Of the time that a look has left: for having a token, and for asking for one."""
EARLY_S: Final = 20.0
"""A token is renewed so long before it expires, or at half its life if that is shorter."""
REFUSED_S: Final = 2.0
"""Whoever was refused a token, or got no answer, asks again after so long."""
UNSAID_S: Final = 300.0
"""The life of a token that does not say."""
LIFE_MAX_S: Final = 86_400.0
TOKEN_BYTES_MAX: Final = 16_384

Ask = Callable[[HttpTarget, Look], Awaitable[tuple[int, bytes]]]
"""Asks a target: status and body. Raises what FAILURES names."""


class _Granted(Struct, frozen=True):
    """What a token endpoint answers (RFC 6749, 5.1)."""

    access_token: str
    expires_in: float | str | None = None


class _Kept(Struct, frozen=True):
    """A token, or why there is none."""

    until_boot: float
    token: Secret | None = None
    why: str = ""


class Tokens:
    """The tokens of a process; services with the same credentials share one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[OAuth2, _Kept] = {}
        self._asking: dict[OAuth2, asyncio.Lock] = {}

    async def token(self, oauth2: OAuth2, look: Look, ask: Ask) -> Secret:
        """A token that has not expired. Raises OwnFaultError: without it nobody can be asked."""
        began_boot = self._clock.now().boot
        try:
            async with asyncio.timeout(look.left_s() * WAIT_SHARE), self._of(oauth2):
                kept = self._kept.get(oauth2)
                if kept is None or kept.until_boot <= self._clock.now().boot:
                    kept = self._kept[oauth2] = await self._granted(oauth2, look, ask)
        except TimeoutError:
            raise OwnFaultError(_without(oauth2, "no answer in time")) from None
        finally:
            look.aside_s += self._clock.now().boot - began_boot
        if kept.token is None:
            raise OwnFaultError(_without(oauth2, kept.why))
        return kept.token

    def forget(self, oauth2: OAuth2) -> None:
        """The service refuses the token: the next look asks for another."""
        self._kept.pop(oauth2, None)

    def _of(self, oauth2: OAuth2) -> asyncio.Lock:
        """Who asks for this token; all others wait for the answer."""
        return self._asking.setdefault(oauth2, asyncio.Lock())

    async def _granted(self, oauth2: OAuth2, look: Look, ask: Ask) -> _Kept:
        now_boot = self._clock.now().boot
        budget_s = look.left_s() * BUDGET_SHARE
        with aside(self._clock, budget_s) as beside:
            try:
                async with asyncio.timeout(budget_s):
                    status, body = await ask(_question(oauth2), beside)
            except FAILURES as error:
                why = failure(error, beside).text
                return _Kept(self._clock.now().boot + REFUSED_S, why=why)
        try:
            token, life_s = _read(status, body)
        except ValueError as error:
            return _Kept(self._clock.now().boot + REFUSED_S, why=str(error))
        return _Kept(now_boot + max(life_s - EARLY_S, life_s / 2), token)


def _read(status: int, body: bytes) -> tuple[Secret, float]:
    """A token and how long it lives. Raises ValueError with a text that holds nothing of it."""
    if status != 200:
        raise ValueError(f"HTTP {status}{_reason(body)}")
    try:
        granted = msgspec.json.decode(body, type=_Granted, strict=False)
    except (ValueError, RecursionError):
        raise ValueError("the answer holds no token") from None
    token = granted.access_token
    if not token.isascii() or not token.isprintable() or not 0 < len(token) <= TOKEN_BYTES_MAX:
        raise ValueError("the answer holds no token that could be sent")
    return Secret(token), _seconds(granted.expires_in)


def _question(oauth2: OAuth2) -> HttpTarget:
    """The request for a token (RFC 6749, 4.4.2), with the client's secret in a header."""
    pair = f"{quote(oauth2.client_id, safe='')}:{quote(oauth2.client_secret.reveal(), safe='')}"
    said = {"grant_type": "client_credentials", **({"scope": oauth2.scope} if oauth2.scope else {})}
    return HttpTarget(
        url=oauth2.token_url,
        method="POST",
        body=urlencode(said),
        headers=(
            ("Accept", Secret("application/json")),
            ("Authorization", Secret(f"Basic {base64.b64encode(pair.encode()).decode()}")),
            ("Content-Type", Secret("application/x-www-form-urlencoded")),
        ),
        follow_redirects=0,
    )


def _without(oauth2: OAuth2, why: str) -> str:
    return f"no token from {oauth2.token_url.partition('?')[0]}: {why}"


def _reason(body: bytes) -> str:
    """The error code of a refusal (RFC 6749, 5.2): one word, whatever else the answer says."""
    try:
        said: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    word = said.get("error") if isinstance(said, dict) else None
    return (
        f" ({word})" if isinstance(word, str) and len(word) <= 40 and word.replace("_", "").isalnum() else ""
    )


def _seconds(expires_in: float | str | None) -> float:
    try:
        said = float(expires_in or UNSAID_S)
    except ValueError:
        said = UNSAID_S
    return min(max(said, 1.0), LIFE_MAX_S) if said == said else UNSAID_S  # noqa: PLR0124 - a NaN equals nothing
