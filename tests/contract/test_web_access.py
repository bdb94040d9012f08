"""Who may do what: every kind of path against every kind of caller, the cookie, and what leaks.

Real requests over loopback; nothing stands in for the server, and no secret may come back.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from support.web_support import ADMIN, READ, WRITE, World, bearer, serving, world

from watchtower.core.secret import Secret
from watchtower.core.settings import Token
from watchtower.web.access import COOKIE

CALLERS = {
    "nobody": {},
    "read": bearer(READ),
    "write": bearer(WRITE),
    "admin": bearer(ADMIN),
    "wrong": bearer("no-such-token"),
    "empty": bearer(""),
    "basic": {"Authorization": "Basic dXNlcjpwYXNz"},
}
READS = ("/api/v1/status", "/api/v1/services/shop", "/api/v1/notifications", "/metrics", "/", "/incidents")
OPEN = ("/livez", "/readyz", "/quorum", "/login", "/static/live.js")


async def _status(http: aiohttp.ClientSession, path: str, method: str = "GET", **more: Any) -> int:
    async with http.request(method, path, allow_redirects=False, **more) as answer:
        return answer.status


@pytest.mark.parametrize("anonymous", [True, False])
def test_reading(anonymous: bool) -> None:
    """Any token reads; without one it depends on anonymous_read; a wrong one never does."""

    async def main() -> None:
        async with serving(world(anonymous_read=anonymous)) as (_, http):
            for caller, headers in CALLERS.items():
                may = caller in {"read", "write", "admin"} or (caller == "nobody" and anonymous)
                for path in READS:
                    assert await _status(http, path, headers=headers) == (200 if may else 401), (caller, path)
                for path in OPEN:
                    assert await _status(http, path, headers=headers) == 200, (caller, path)

    asyncio.run(main())


@pytest.mark.parametrize("anonymous", [True, False])
def test_writing(anonymous: bool) -> None:
    """A write needs scope write whoever may read; 401 for nobody, 403 for a token of too low a scope."""

    async def main() -> None:
        made = world(anonymous_read=anonymous)
        async with serving(made) as (_, http):
            wanted = {
                "nobody": 401,
                "read": 403,
                "write": 200,
                "admin": 200,
                "wrong": 401,
                "empty": 401,
                "basic": 401,
            }
            for caller, status in wanted.items():
                assert await _status(http, "/-/reload", "POST", headers=CALLERS[caller]) == status, caller
        assert len(made.reloads) == 2

    asyncio.run(main())


def test_a_peer_without_tokens_lets_nobody_write() -> None:
    """Not even with an empty token."""

    async def main() -> None:
        made = world(tokens=())
        async with serving(made) as (_, http):
            for headers in ({}, bearer(""), bearer("x")):
                assert await _status(http, "/-/reload", "POST", headers=headers) == 401
        assert made.reloads == []

    asyncio.run(main())


def test_a_refusal_says_what_to_do_and_challenges() -> None:
    """API callers get JSON and a challenge; a browser gets the form, which tells nothing of the cluster."""

    async def main() -> None:
        async with serving(world(anonymous_read=False)) as (_, http):
            async with http.get("/api/v1/status") as answer:
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert "Authorization: Bearer" in (await answer.json())["detail"]
            async with http.get("/", headers={"Accept": "text/html"}) as answer:
                page = await answer.text()
                assert (answer.status, answer.content_type) == (401, "text/html")
            assert 'name="token"' in page
            for leak in ("prod", "shop", "Shop", "orders-db"):
                assert leak not in page

    asyncio.run(main())


async def _log_in(http: aiohttp.ClientSession, token: str) -> aiohttp.ClientResponse:
    async with http.post("/login", data={"token": token}, allow_redirects=False) as answer:
        return answer


def test_logging_in_gives_a_cookie_that_reads_and_does_not_hold_the_token() -> None:
    """HttpOnly, SameSite=Strict; wrong tokens get the form again; logging out takes it back."""

    async def main() -> None:
        async with serving(world(anonymous_read=False)) as (_, http):
            assert (await _log_in(http, "nope")).status == 401
            assert await _status(http, "/") == 401
            answer = await _log_in(http, READ)
            assert (answer.status, answer.headers["Location"]) == (303, "/")
            cookie = answer.headers["Set-Cookie"]
            for piece in ("HttpOnly", "SameSite=Strict", "Path=/"):
                assert piece in cookie
            assert READ not in cookie
            assert await _status(http, "/") == 200
            assert await _status(http, "/-/reload", "POST") == 403
            await _status(http, "/logout", "POST")
            assert await _status(http, "/") == 401

    asyncio.run(main())


def test_a_cookie_ends_with_its_time_its_token_and_its_name() -> None:
    """Expiry, a changed token and every forged byte void it."""

    async def main() -> None:
        made = world(anonymous_read=False)
        async with serving(made) as (server, http):
            cookie = (await _log_in(http, READ)).cookies[COOKIE].value
            http.cookie_jar.clear()

            async def may(value: str) -> bool:
                return await _status(http, "/api/v1/peers", headers={"Cookie": f"{COOKIE}={value}"}) == 200

            assert await may(cookie)
            name, expires, signature = cookie.rsplit(".", 2)
            for forged in (
                f"root.{expires}.{signature}", f"{name}.{int(expires) + 1}.{signature}", f"{name}.{expires}.",
                f"{name}.{expires}.{signature[:-1]}0x", "", "...", f"{name}.٣.{signature}", "x" * 5000,
            ):  # fmt: skip
                assert not await may(forged), forged
            changed = tuple(
                Token(name=token.name, scope=token.scope, token=Secret(token.token.reveal() + "-new"))
                for token in made.snap.settings.http.tokens
            )
            server.reload(_with_tokens(made, changed))
            assert not await may(cookie)
            server.reload(made.snap.settings)
            assert await may(cookie)
            made.turn(now=replace(made.snap.now, wall=made.snap.now.wall + 8 * 86_400))
            assert not await may(cookie)

    asyncio.run(main())


def _with_tokens(made: World, tokens: tuple[Token, ...]) -> Any:
    http = replace(made.snap.settings.http, tokens=tokens)
    return replace(made.snap.settings, http=http)


def test_a_cookie_is_good_at_another_peer_of_the_cluster() -> None:
    """A load balancer may send the next request elsewhere."""

    async def main() -> None:
        async with serving(world(anonymous_read=False)) as (_, first):
            cookie = (await _log_in(first, WRITE)).cookies[COOKIE].value
        async with serving(world(anonymous_read=False)) as (_, second):
            assert await _status(second, "/", headers={"Cookie": f"{COOKIE}={cookie}"}) == 200

    asyncio.run(main())


def test_a_write_that_a_foreign_page_started_is_refused_although_the_cookie_came_along() -> None:
    """The second lock behind SameSite: Origin must be our own."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http):
            await _log_in(http, WRITE)
            evil = {"Origin": "https://evil.example.com"}
            assert await _status(http, "/-/reload", "POST", headers=evil) in {401, 403}
            own = {"Origin": f"http://127.0.0.1:{server.port}"}
            assert await _status(http, "/-/reload", "POST", headers=own) == 200
        assert len(made.reloads) == 1

    asyncio.run(main())


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "null", "//", "\xff"])
def test_an_origin_that_is_no_address_is_foreign(origin: str) -> None:
    """Refused like any other, and no fault of the server."""

    async def main() -> None:
        async with serving(world()) as (_, http):
            await _log_in(http, WRITE)
            assert await _status(http, "/-/reload", "POST", headers={"Origin": origin}) in {401, 403}

    asyncio.run(main())


def test_a_cookie_of_low_scope_does_not_read_less_than_nobody() -> None:
    """And a void cookie is no reason to refuse what everybody may read."""

    async def main() -> None:
        async with serving(world(anonymous_read=True)) as (_, http):
            assert await _status(http, "/", headers={"Cookie": f"{COOKIE}=gone.1.x"}) == 200

    asyncio.run(main())


def test_reload_swaps_tokens_and_anonymous_reading_while_serving() -> None:
    """The old token stops working at once."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http):
            assert await _status(http, "/api/v1/peers") == 200
            token = Token(name="new", scope="read", token=Secret("brand-new-token"))
            server.reload(
                replace(
                    made.snap.settings,
                    http=replace(made.snap.settings.http, tokens=(token,), anonymous_read=False),
                )
            )
            assert await _status(http, "/api/v1/peers") == 401
            assert await _status(http, "/api/v1/peers", headers=bearer(READ)) == 401
            assert await _status(http, "/api/v1/peers", headers=bearer("brand-new-token")) == 200

    asyncio.run(main())


def test_every_answer_carries_the_security_headers() -> None:
    """Pages, JSON, errors and files alike."""

    async def main() -> None:
        async with serving(world()) as (_, http):
            for path in ("/", "/api/v1/status", "/nope", "/static/style.css", "/livez"):
                async with http.get(path) as answer:
                    policy = answer.headers["Content-Security-Policy"]
                    assert "default-src 'none'" in policy
                    assert "unsafe" not in policy
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert answer.headers["Server"] == "watchtower"

    asyncio.run(main())
