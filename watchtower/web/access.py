"""Who may do what: named bearer tokens with scopes, a signed cookie for the page, the ping key.

Every comparison takes the same time whatever was presented. The cookie carries a name, an expiry and
a signature over both and the token's digest: no token in clear, no memory of sessions, void as soon
as the token leaves the config, and valid at every peer that holds the same cluster secret.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from enum import IntEnum
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from watchtower.core.settings import Settings, Token

COOKIE: Final = "watchtower_session"
SESSION_S: Final = 7 * 24 * 3600
_COOKIE_MAX: Final = 512


class Scope(IntEnum):
    """What a caller may do; each scope includes those before it."""

    READ = 1
    WRITE = 2
    ADMIN = 3


SCOPES: Final = {"read": Scope.READ, "write": Scope.WRITE, "admin": Scope.ADMIN}


class Denied(Exception):  # noqa: N818 - not a fault of the program: an answer on its way out
    """The caller may not. `status` is 401 (who are you?) or 403 (you may not); the text says what to do."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Access:
    """The rules of one Settings; `reload` swaps them while requests go on."""

    def __init__(self, settings: Settings, now_wall: Callable[[], float]) -> None:
        self._now_wall = now_wall
        self._own_key = secrets.token_bytes(32)
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Take tokens, ping key and anonymous reading from `settings`."""
        http = settings.http
        self._tokens = http.tokens
        self._anonymous_read = http.anonymous_read
        self._ping_key = http.ping_key.reveal() if http.ping_key else ""
        self._https = http.public_url.startswith("https://")
        self._cookie_path = http.base_path.rstrip("/") or "/"
        # The first secret signs, every secret is accepted: a rotation logs nobody out.
        shared = [_derive(secret.reveal()) for secret in settings.cluster.secrets]
        self._keys = shared or [self._own_key]

    def admit(self, request: web.Request, scope: Scope) -> str:
        """The name of the caller's token ("" for nobody) when it has `scope`; raise Denied when not."""
        token = self._presented_token(request)
        granted = max(_scope(token) if token else 0, self._unasked(request))
        if granted >= scope:
            return token.name if token else ""
        if scope is Scope.READ:
            raise Denied(
                401, "reading needs a token: send 'Authorization: Bearer <token>' or log in at /login"
            )
        if token is not None:
            raise Denied(403, f"this needs a token of scope {scope.name.lower()}; yours is of a lower scope")
        raise Denied(
            401,
            f"this needs a token of scope {scope.name.lower()} (http.tokens in the config): "
            "send 'Authorization: Bearer <token>'",
        )

    def who_may(self, request: web.Request, scope: Scope) -> str:
        """The name of the caller's token when it has `scope`, else ""; never raises."""
        try:
            return self.admit(request, scope)
        except Denied:
            return ""

    def knows_ping_key(self, presented: str) -> bool:
        """True when `presented` is the ping key; without one configured nothing is."""
        return _same(presented, self._ping_key) and bool(self._ping_key)

    def log_in(self, presented: str) -> str | None:
        """A cookie value for whoever presents a token; None for an unknown one."""
        token = self._token_of(presented)
        if token is None:
            return None
        expires = int(self._now_wall()) + SESSION_S
        return f"{token.name}.{expires}.{_sign(self._keys[0], token, expires)}"

    def set_cookie(self, request: web.Request, response: web.StreamResponse, value: str) -> None:
        """Hand the cookie out: HttpOnly, SameSite=Strict, and Secure wherever TLS is in front."""
        response.set_cookie(
            COOKIE,
            value,
            max_age=SESSION_S,
            path=self._cookie_path,
            secure=request.secure or self._https,
            httponly=True,
            samesite="Strict",
        )

    def clear_cookie(self, response: web.StreamResponse) -> None:
        """Take the cookie back."""
        response.del_cookie(COOKIE, path=self._cookie_path, httponly=True, samesite="Strict")

    def _unasked(self, request: web.Request) -> int:
        """What anybody may do who sends no token in the header."""
        return Scope.READ if self._anonymous_read and "Authorization" not in request.headers else 0

    def _presented_token(self, request: web.Request) -> Token | None:
        """The token in the header, or behind the cookie. One that is presented and wrong is refused."""
        header = request.headers.get("Authorization")
        if header is None:
            cookie = request.cookies.get(COOKIE)
            return self._token_of_cookie(cookie, request) if cookie else None
        token = self._token_of(header[7:].strip()) if header[:7].lower() == "bearer " else None
        if token is None:
            raise Denied(401, "the token is not known here; check http.tokens in the config")
        return token

    def _token_of(self, presented: str) -> Token | None:
        """The token that was presented; looks at all of them, so time tells nothing."""
        found = None
        for token in self._tokens:
            if _same(presented, token.token.reveal()):
                found = token
        return found if presented else None

    def _token_of_cookie(self, cookie: str, request: web.Request) -> Token | None:
        """The token a cookie was made from; None when forged, expired, or sent from a foreign page."""
        name, _, rest = cookie[:_COOKIE_MAX].rpartition(".")[0].rpartition(".")
        signature = cookie[:_COOKIE_MAX].rpartition(".")[2]
        if not rest.isascii() or not rest.isdigit() or len(rest) > 12 or not is_same_site(request):
            return None
        expires = int(rest)
        found = None
        for token in self._tokens:
            good = any(_same(signature, _sign(key, token, expires)) for key in self._keys)
            if good and token.name == name:
                found = token
        return found if expires > self._now_wall() else None


def _scope(token: Token) -> Scope:
    return SCOPES[token.scope]


def _same(presented: str, known: str) -> bool:
    """Constant-time comparison that also hides the length."""
    left = hashlib.sha256(presented.encode(errors="surrogateescape")).digest()
    right = hashlib.sha256(known.encode()).digest()
    return hmac.compare_digest(left, right)


def _derive(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"watchtower page session", "sha256")


def _sign(key: bytes, token: Token, expires: int) -> str:
    digest = hashlib.sha256(token.token.reveal().encode()).hexdigest()
    return hmac.new(key, f"{token.name}\n{expires}\n{digest}".encode(), "sha256").hexdigest()


def is_same_site(request: web.Request) -> bool:
    """False for a write that another site's page started: a second lock behind SameSite=Strict."""
    if request.method in {"GET", "HEAD"}:
        return True
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("Host", "")
    except ValueError:  # an address that is none, as `http://[`
        return False
