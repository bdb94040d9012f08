"""HTTP looks at servers that mean harm: the right outcome, in bounded time, with bounded memory."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from support.core_support import service
from support.hostile import HEAD, MEBIBYTE, asked, bomb, byte_by_byte, drip, flood, reset_after, rss_bytes
from support.looking import condition, look
from support.memory import traced
from support.targets import Handler, HttpServer, Listener, hang, hang_up, http, say

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import HttpTarget
from watchtower.probes.prober import Prober

TIMEOUT_S = 0.6
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
WAITING = rf"timeout after {TIMEOUT_S} s while waiting for the answer"
READING = rf"timeout after {TIMEOUT_S} s while reading the answer"
NO_HTTP = "not a valid HTTP answer: .+"
TOO_LONG = "not a valid HTTP answer: its head is too long"
BROKEN_OFF = "the answer broke off"

OUTCOMES: dict[str, tuple[Handler, Kind, str]] = {
    "drips its head": (drip(HEAD, b"X-Drip: 1\r\n", 0.01), Kind.TIMEOUT, WAITING),
    "drips one endless line": (drip(HEAD + b"X-Drip: ", b"x", 0.01), Kind.TIMEOUT, WAITING),
    "drips its body": (drip(HEAD + b"\r\n", b"x", 0.01), Kind.TIMEOUT, READING),
    "drips chunks": (drip(CHUNKED, b"1\r\nx\r\n", 0.01), Kind.TIMEOUT, READING),
    "a huge header": (say(HEAD + b"X-Huge: " + b"x" * MEBIBYTE + b"\r\n\r\n"), Kind.PROTOCOL, TOO_LONG),
    "headers without end": (flood(HEAD, b"X-More: 1\r\n" * 500, 512 * MEBIBYTE), Kind.PROTOCOL, TOO_LONG),
    "a line without end": (flood(HEAD + b"X: ", b"x" * 65_536, 512 * MEBIBYTE), Kind.PROTOCOL, TOO_LONG),
    "only informs": (
        flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500, 64 * MEBIBYTE),
        Kind.PROTOCOL,
        TOO_LONG,
    ),
    "a body of 10 GB": (
        flood(HEAD + b"Content-Length: 10737418240\r\n\r\n", b"x" * 65_536, 10_240 * MEBIBYTE),
        Kind.OK,
        r"HTTP 200 in \d+ ms",
    ),
    "chunks without end": (
        flood(CHUNKED, b"10000\r\n" + b"x" * 65_536 + b"\r\n", 10_240 * MEBIBYTE),
        Kind.OK,
        r"HTTP 200 in \d+ ms",
    ),
    "less than it promised": (
        asked(HEAD + b"Content-Length: 9\r\n\r\nhalf", hang_up),
        Kind.RESET,
        BROKEN_OFF,
    ),
    "more than it promised": (
        say(HEAD + b"Content-Length: 2\r\n\r\n" + b"x" * 999),
        Kind.OK,
        "HTTP 200 in .*",
    ),
    "a length below nothing": (say(HEAD + b"Content-Length: -5\r\n\r\nhello"), Kind.PROTOCOL, NO_HTTP),
    "two lengths": (
        say(HEAD + b"Content-Length: 5\r\nContent-Length: 7\r\n\r\nhello"),
        Kind.PROTOCOL,
        NO_HTTP,
    ),
    "a chunk of no length": (say(CHUNKED + b"ZZZ\r\nhello\r\n"), Kind.PROTOCOL, NO_HTTP),
    "a chunk of 16 exabytes": (say(CHUNKED + b"ffffffffffffffffff\r\nhello\r\n"), Kind.PROTOCOL, NO_HTTP),
    "chunks that stop": (asked(CHUNKED + b"5\r\nhel", hang_up), Kind.RESET, BROKEN_OFF),
    "a trailer without end": (
        flood(CHUNKED + b"2\r\nok\r\n0\r\n", b"X-More: 1\r\n" * 500, 64 * MEBIBYTE),
        Kind.PROTOCOL,
        TOO_LONG,
    ),
    "hangs up in the head": (asked(HEAD + b"X-Half: ", hang_up), Kind.RESET, BROKEN_OFF),
    "hangs up after a line": (asked(HEAD + b"X-Half: no\r\n", hang_up), Kind.RESET, BROKEN_OFF),
    "resets at once": (reset_after(b""), Kind.RESET, "connection reset while waiting for the answer"),
    "resets in the head": (reset_after(HEAD), Kind.RESET, "connection reset while .*"),
    "resets in the body": (
        reset_after(HEAD + b"Content-Length: 9\r\n\r\nhalf"),
        Kind.RESET,
        "connection reset while .*",
    ),
    "HTTP/0.9": (asked(b"<html>welcome to 1991</html>", hang_up), Kind.PROTOCOL, NO_HTTP),
    "another protocol": (say(b"220 mail.example.com ESMTP\r\n"), Kind.PROTOCOL, NO_HTTP),
    "binary": (say(bytes(range(256)) * 64), Kind.PROTOCOL, NO_HTTP),
    "binary in the status line": (say(b"HTTP/1.1 \x00\xff\x1b[2J OK\r\n\r\n"), Kind.PROTOCOL, NO_HTTP),
    "a NUL in a header": (say(HEAD + b"X: a\x00b\r\n\r\n"), Kind.PROTOCOL, NO_HTTP),
    "a version of the future": (say(b"HTTP/9.9 200 OK\r\n\r\n"), Kind.PROTOCOL, NO_HTTP),
    "one byte at a time": (byte_by_byte(http(200, b"hello")), Kind.OK, r"HTTP 200 in \d+ ms"),
    "all of it empty lines": (flood(b"", b"\r\n" * 4096, 64 * MEBIBYTE), Kind.PROTOCOL, NO_HTTP),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_malice_has_its_outcome(name: str) -> None:
    """The look ends soon, says what happened in printable words, and keeps nothing of a flood."""
    handler, kind, text = OUTCOMES[name]

    async def run() -> Result:
        async with Listener(handler) as server:
            return await look(HttpTarget(url=server.url()), timeout_s=TIMEOUT_S)

    before_bytes, began = rss_bytes(), time.monotonic()
    result = asyncio.run(run())
    assert result.kind is kind, result.text
    assert result.opinion is (Opinion.UP if kind is Kind.OK else Opinion.DOWN)
    assert re.fullmatch(text, result.text), result.text
    assert result.text.isprintable()
    assert time.monotonic() - began < TIMEOUT_S + 1
    assert rss_bytes() - before_bytes < 24 * MEBIBYTE


@pytest.mark.parametrize(
    ("words", "kind", "text"),
    [
        (
            b"\x16\x03\x03\x00\x50\xff\xff",
            Kind.TIMEOUT,
            rf"timeout after {TIMEOUT_S} s while in the TLS handshake",
        ),
        (b"", Kind.TIMEOUT, rf"timeout after {TIMEOUT_S} s while in the TLS handshake"),
        (b"\x16\x03\x03\x00\x04\xff\xff\xff\xff", Kind.TLS, "TLS failed: .+"),
        (bytes(range(256)) * 256, Kind.TLS, r"TLS failed: what answers does not speak TLS \(.+\)"),
        (HEAD + b"\r\n", Kind.TLS, r"TLS failed: what answers does not speak TLS \(.+\)"),
        (b"\x15\x03\x03\x00\x02\x02\x28", Kind.TLS, r"TLS failed: the server refuses, as it does .+"),
        (b"\x15\x03\x03\x00\x02\x02\x70", Kind.TLS, r"TLS failed: the server does not know the name .+"),
    ],
    ids=[
        "stalls in a record",
        "stalls",
        "nonsense in a record",
        "noise",
        "plain HTTP",
        "refuses",
        "no such name",
    ],
)
def test_a_bad_handshake_has_its_outcome(words: bytes, kind: Kind, text: str) -> None:
    """Silence, nonsense and refusal within the handshake are told apart, as tls looks tell them."""

    async def run() -> Result:
        async with Listener(say(words, hang)) as server:
            return await look(HttpTarget(url=f"https://127.0.0.1:{server.port}/"), timeout_s=TIMEOUT_S)

    result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.DOWN, kind), result.text
    assert re.fullmatch(text, result.text), result.text


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_no_bomb_goes_off(encoding: str) -> None:
    """What would unpack to 512 MiB is unpacked up to the limit, or not at all."""
    body = bomb(512)
    answer = http(200, body, Content_Encoding=encoding)
    wants_text = condition("body contains x", "body", "contains", "x")

    async def run() -> Result:
        async with HttpServer({"/": answer}) as server:
            return await look(HttpTarget(url=server.url()), expect=(wants_text,))

    began = time.monotonic()
    with traced() as taken:
        result = asyncio.run(run())
    assert result.kind is Kind.CONDITION
    assert time.monotonic() - began < 2
    assert taken.peak_bytes < 4 * MEBIBYTE


def test_a_hall_of_mirrors_ends() -> None:
    """Redirects that never repeat an address end at the configured number, and nothing else grows."""
    count = 0

    async def onward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: /{count}?{'x' * 1500}\r\n\r\n".encode())
        await writer.drain()

    async def run() -> Result:
        async with Listener(onward) as server:
            return await look(HttpTarget(url=server.url(), follow_redirects=20), timeout_s=5)

    result = asyncio.run(run())
    assert (result.opinion, result.kind, count) == (Opinion.DOWN, Kind.PROTOCOL, 21)
    assert result.text.startswith("more than 20 redirects, the last one to http://127.0.0.1:")


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "FILE:/etc/passwd",
        "gopher://127.0.0.1:1/",
        "ldap://127.0.0.1/",
        "javascript:1",
    ],
)
def test_redirects_lead_to_no_other_scheme(location: str) -> None:
    """Only http and https are followed, however the others are written."""

    async def run() -> Result:
        async with HttpServer({"/": http(302, Location=location)}) as server:
            return await look(HttpTarget(url=server.url()))

    result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.PROTOCOL)
    assert result.text.startswith("redirects to ")


def test_many_evil_looks_leave_nothing_behind() -> None:
    """Hundreds of looks at floods, resets and silence: memory and descriptors are what they were."""

    async def round_of(prober: Prober, urls: list[str]) -> None:
        targets = [service("web", HttpTarget(url=url), timeout_s=0.3) for url in urls]
        clock = SystemClock()
        await asyncio.gather(*(prober.probe(one, clock.now().boot + 0.3) for one in targets))

    async def run() -> tuple[int, int]:
        prober = Prober(SystemClock(), "a", lambda _: True)
        names = ("drips its head", "headers without end", "a body of 10 GB", "resets in the body", "binary")
        async with (
            Listener(OUTCOMES[names[0]][0]) as one,
            Listener(OUTCOMES[names[1]][0]) as two,
            Listener(OUTCOMES[names[2]][0]) as three,
            Listener(OUTCOMES[names[3]][0]) as four,
            Listener(OUTCOMES[names[4]][0]) as five,
        ):
            urls = [server.url() for server in (one, two, three, four, five)] * 4
            for _ in range(3):
                await round_of(prober, urls)
            before = (rss_bytes(), _descriptors())
            for _ in range(12):
                await round_of(prober, urls)
            after = (rss_bytes(), _descriptors())
        await prober.close()
        return after[0] - before[0], after[1] - before[1]

    grown_bytes, more_descriptors = asyncio.run(run())
    assert grown_bytes < 12 * MEBIBYTE
    assert more_descriptors < 10  # the servers' own ends may still be closing


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
