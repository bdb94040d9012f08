"""WebSocket looks at the servers of websockets and aiohttp, and at servers that break the rules."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from support.looking import condition, look
from support.memory import traced
from support.targets import (
    Authority,
    Handler,
    HttpServer,
    Listener,
    closed_port,
    endless,
    full_backlog,
    hang,
    hang_up,
    http,
    reset,
    say,
)
from websockets.asyncio.server import ServerConnection, serve

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import WsTarget

Talk = Callable[[ServerConnection], Awaitable[None]]
MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def see(talk: Talk, context: ssl.SSLContext | None = None, **fields: Any) -> Result:
    """One look at a server of websockets; `send`, `host` and `verify` are the target's."""
    scheme = "wss" if context else "ws"
    host, send = fields.pop("host", "localhost"), fields.pop("send", None)
    own = {"verify": fields.pop("verify", True), "send": None if send is None else Secret(send)}

    async def run() -> Result:
        async with serve(talk, "127.0.0.1", 0, ssl=context) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            return await look(WsTarget(url=f"{scheme}://{host}:{port}/feed", **own), **fields)

    return asyncio.run(run())


def see_raw(handler: Handler, **fields: Any) -> Result:
    """One look at what speaks with `handler`; `send` is the target's."""
    send = fields.pop("send", None)

    async def run() -> Result:
        async with Listener(handler) as server:
            target = WsTarget(url=f"ws://127.0.0.1:{server.port}/", send=send and Secret(send))
            return await look(target, **{"timeout_s": 2.0, **fields})

    return asyncio.run(run())


def shaken(then: Handler) -> Handler:
    """Shakes hands as it should be done, by hand, and goes on as `then`."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", asked)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + MAGIC).digest())  # noqa: S324 - as RFC 6455 has it
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await writer.drain()
        await then(reader, writer)

    return handler


async def quiet(socket: ServerConnection) -> None:
    """Says nothing; the library answers pings."""
    await socket.wait_closed()


async def hello(socket: ServerConnection) -> None:
    """Greets in JSON."""
    await socket.send('{"type": "hello", "ready": true}')
    await socket.wait_closed()


async def echo(socket: ServerConnection) -> None:
    """Says what it hears."""
    async for message in socket:
        await socket.send(message)


HELLO = condition("json.type == hello", "json.type", "==", "hello")
PONG = condition("message == pong", "message", "==", "pong")


def test_a_quiet_socket_answers_a_ping() -> None:
    """Nothing is awaited: the handshake and a pong are good, each phase has its time."""
    result = see(quiet)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert re.fullmatch(r"connected in \d+ ms", result.text)
    assert list(result.phases_ms) == ["resolve", "connect", "first_byte", "transfer"]
    assert result.facts["status"] == 101


def test_the_first_message_is_judged() -> None:
    """As text and as JSON; another one than wanted is shown."""
    assert see(hello, expect=(HELLO,)).opinion is Opinion.UP
    result = see(hello, expect=(PONG,))
    assert (result.kind, result.text) == (
        Kind.CONDITION,
        'message == pong: was "{"type": "hello", "ready": true}"',
    )
    assert result.facts["message"] == '{"type": "hello", "ready": true}'


def test_what_is_sent_is_answered() -> None:
    """The text arrives as it is, the answer is judged, a binary one is told by its size."""
    assert see(echo, send="pong", expect=(PONG,)).opinion is Opinion.UP
    unmet = see(echo, send="http://ann:s3cret@db/ ä", expect=(PONG,))
    assert unmet.text == 'message == pong: was "http://***@db/ ä"'

    async def binary(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(bytes(range(128, 200)))
        await socket.wait_closed()

    assert see(binary, send="x").text.startswith("72 bytes of binary data in ")


def test_pings_before_the_message_are_answered() -> None:
    """A server that wants a pong first gets it."""

    async def strict(socket: ServerConnection) -> None:
        await (await socket.ping())
        await socket.send("pong")
        await socket.wait_closed()

    assert see(strict, expect=(PONG,)).opinion is Opinion.UP


def test_aiohttp_serves_headers_and_goodbyes() -> None:
    """Headers and the name of this peer arrive; the server hears a close with 1000, not an end."""
    seen: dict[str, Any] = {}

    async def feed(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("pong")
        async for _ in socket:
            pass
        seen.update(headers=dict(request.headers), code=socket.close_code)
        return socket

    async def run() -> Result:
        app = web.Application()
        app.router.add_get("/feed", feed)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        target = WsTarget(url=f"ws://127.0.0.1:{port}/feed", headers=(("x-key", Secret("k")),))
        try:
            return await look(target, expect=(PONG,))
        finally:
            await runner.cleanup()

    assert asyncio.run(run()).opinion is Opinion.UP
    assert seen["code"] == 1000
    assert seen["headers"]["X-Key"] == "k"
    assert "(peer=a)" in seen["headers"]["User-Agent"]


def test_over_tls(authority: Authority) -> None:
    """A trusted certificate is good and can be judged, another one is told, unless nobody asks."""
    good = authority.context("localhost")
    up = see(quiet, good)
    assert up.opinion is Opinion.UP, up.text
    assert "certificate valid for" in up.text
    soon = condition("cert.expires > 40d", "cert.expires", ">", 40 * 86_400.0)
    assert see(quiet, good, warn=(soon,)).opinion is Opinion.DEGRADED
    wrong = see(quiet, good, host="127.0.0.1")
    assert (wrong.kind, wrong.text) == (Kind.TLS, "certificate is not for 127.0.0.1 but for localhost")
    expired = authority.context("localhost", begins_days=-9, ends_days=-3)
    assert see(quiet, expired).text.startswith("certificate expired 3 days ago, on ")
    assert see(quiet, expired, verify=False).opinion is Opinion.UP


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        (1000, "", "closes with 1000"),
        (1011, "db gone", 'closes with 1011: "db gone"'),
        (4401, "at ann:s3cret@db", 'closes with 4401: "at ***@db"'),
    ],
)
def test_close_codes(code: int, reason: str, text: str) -> None:
    """A server that closes at once says so, awaited or not."""

    async def close(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    for awaited in ((), (PONG,)):
        result = see(close, expect=awaited)
        assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, Kind.STATUS, text)


def test_the_handshake_is_refused() -> None:
    """Another status than 101 is down with that status, and can be what is expected."""

    async def run(answer: bytes, **fields: Any) -> tuple[Result, list[str]]:
        async with HttpServer({"/": answer}) as server:
            url = server.url().replace("http", "ws", 1)
            headers = (("X-Key", Secret("s3cret")),)
            return await look(WsTarget(url=url, headers=headers), **fields), server.heads

    refused, _ = asyncio.run(run(http(403)))
    assert (refused.opinion, refused.kind) == (Opinion.DOWN, Kind.STATUS)
    assert refused.text == "answers HTTP 403 instead of the handshake"
    forbidden = condition("status == 403", "status", "==", 403.0)
    assert asyncio.run(run(http(403), expect=(forbidden,)))[0].opinion is Opinion.UP
    assert asyncio.run(run(http(200)))[0].text == "answers HTTP 200 instead of the handshake"
    onward, heads = asyncio.run(run(http(302, Location="/")))
    assert (onward.kind, onward.text) == (Kind.STATUS, "answers HTTP 302 instead of the handshake")
    assert len(heads) == 1, "a redirect is not followed"


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        (hang, Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
        (shaken(hang), Kind.TIMEOUT, "timeout after 0.4 s while reading the answer"),
        (shaken(say(b"\x81\x7e\x10\x00half")), Kind.TIMEOUT, "timeout after 0.4 s while reading the answer"),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (shaken(reset), Kind.RESET, "c.* while reading the answer"),
        (shaken(hang_up), Kind.RESET, "connection closed while reading the answer"),
        (say(b"SSH-2.0-OpenSSH_9\r\n"), Kind.PROTOCOL, "not a valid HTTP answer: bad status line"),
        (say(b"\x00\xff" * 40), Kind.PROTOCOL, "not a valid HTTP answer: bad status line"),
        (
            say(b"HTTP/1.1 101 " + b"x" * 70_000),
            Kind.PROTOCOL,
            r"not a valid HTTP answer: got more than 16384 bytes.*",
        ),
        (
            say(SWITCH, endless(b"X-A: b\r\n" * 500)),
            Kind.PROTOCOL,
            "not a valid HTTP answer: too many headers.*",
        ),
        (say(SWITCH + b"\r\n"), Kind.PROTOCOL, "no WebSocket handshake: invalid connection header"),
        (
            say(SWITCH + b"Connection: Upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n"),
            Kind.PROTOCOL,
            "no WebSocket handshake: invalid challenge response",
        ),
    ],
)
def test_every_phase_in_which_it_may_end(handler: Handler, kind: Kind, text: str) -> None:
    """Silence, a reset, an end and nonsense are told apart, each with where the look stood."""
    result = see_raw(handler, timeout_s=0.4, expect=(PONG,))
    assert (result.opinion, result.kind) == (Opinion.DOWN, kind), result.text
    assert re.fullmatch(text, result.text), result.text
    assert result.duration_ms < 1500


BROKEN = "breaks the rules of WebSocket: .*"


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b"\xf1\x00", BROKEN),
        (b"\x83\x00", BROKEN),
        (b"\x80\x01x", BROKEN),
        (b"\x09\x00", BROKEN),
        (b"\x89\x7e\x01\x00", BROKEN),
        (b"\x81\x02\xff\xfe", BROKEN),
        (b"\x88\x02\x00\x01", BROKEN),
        (b"\x88\x01\x03", BROKEN),
        (b"\x81\x7f\x00\x00\x00\x02\x00\x00\x00\x00", "a message of more than 65536 bytes"),
        (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "a message of more than 65536 bytes"),
        (b"\x01\x7e\xff\xff" + b"x" * 65_535 + b"\x80\x02xx", "a message of more than 65536 bytes"),
    ],
    ids=[
        "reserved bits", "unknown opcode", "continues nothing", "cut ping", "long ping", "no text",
        "bad code", "half a code", "8 GiB", "beyond all", "in pieces",
    ],
)  # fmt: skip
def test_frames_that_break_the_rules(frame: bytes, text: str) -> None:
    """Each is a protocol failure, not a wait."""
    result = see_raw(shaken(say(frame)), expect=(PONG,))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL), result.text
    assert re.fullmatch(text, result.text), result.text
    assert result.duration_ms < 1500


def test_floods_end_soon_and_stay_small() -> None:
    """Messages, pings and pieces without end cost little memory and never the deadline."""
    many = shaken(endless(b"\x81\x04pong" * 10_000))
    first = see_raw(many, expect=(PONG,))
    assert (first.opinion, first.duration_ms < 1500) == (Opinion.UP, True), first.text
    pings = see_raw(shaken(endless(b"\x89\x00" * 10_000)), expect=(PONG,))
    assert (pings.kind, pings.text) == (Kind.PROTOCOL, "more than 100 pings and pongs, and no message")
    with traced() as taken:
        see_raw(shaken(say(b"\x01\x00", endless(b"\x00\x7d" + b"x" * 125))), expect=(PONG,))
    assert taken.peak_bytes < 10_000_000


def test_single_bytes_and_a_drip() -> None:
    """How bytes are cut does not matter; a drip ends at the deadline."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"\x81\x04pong":
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    assert see_raw(shaken(bytewise), expect=(PONG,)).opinion is Opinion.UP
    drip = see_raw(shaken(endless(b"\x8a\x00", 0.02)), expect=(PONG,), timeout_s=0.5)
    assert (drip.kind, drip.duration_ms < 1500) == (Kind.TIMEOUT, True)


def test_nobody_listens_and_nobody_accepts() -> None:
    """Refused at once, and a timeout while connecting."""
    port = closed_port()
    refused = asyncio.run(look(WsTarget(url=f"ws://127.0.0.1:{port}/")))
    assert (refused.kind, refused.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")
    with full_backlog() as full:
        silent = asyncio.run(look(WsTarget(url=f"ws://127.0.0.1:{full}/"), timeout_s=0.3))
    assert (silent.kind, silent.text) == (Kind.TIMEOUT, "timeout after 0.3 s while connecting")
