"""HTTP looks at real servers on loopback: each way to answer badly is told apart, and each is bounded."""

from __future__ import annotations

import asyncio
import gzip
import re
import zlib
from typing import Any

import pytest
from support.looking import condition, look
from support.memory import traced
from support.targets import HttpServer, Listener, closed_port, full_backlog, hang, hang_up, http, reset, say

from watchtower import __version__
from watchtower.core.conditions import Condition
from watchtower.core.model import EVIDENCE_TEXT_MAX, Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget


def see(answer: bytes, **fields: Any) -> Result:
    """The result of one look at a server that gives `answer`."""

    async def run() -> Result:
        async with HttpServer({"/": answer}) as server:
            return await look(HttpTarget(url=server.url()), **fields)

    return asyncio.run(run())


def outcome(result: Result) -> tuple[Opinion, Kind]:
    """The two words that others act on."""
    return result.opinion, result.kind


def test_a_good_answer_is_up_with_its_times() -> None:
    """A 200 is up; the text says status and time, and every phase has its own time."""
    result = see(http(200, b"hello"))
    assert outcome(result) == (Opinion.UP, Kind.OK)
    assert re.fullmatch(r"HTTP 200 in \d+ ms", result.text)
    assert set(result.phases_ms) == {"connect", "first_byte", "transfer"}
    assert sum(result.phases_ms.values()) <= result.duration_ms
    assert result.facts["ip"] == "127.0.0.1"
    assert result.facts["status"] == 200
    assert result.facts["http.version"] == "1.1"


def test_a_name_is_resolved_as_a_phase_of_its_own() -> None:
    """A host name from /etc/hosts is found, and the time it took is told."""

    async def run() -> Result:
        async with HttpServer({"/": http(200)}) as server:
            return await look(HttpTarget(url=server.url(host="localhost")))

    result = asyncio.run(run())
    assert result.opinion is Opinion.UP
    assert "resolve" in result.phases_ms


def test_the_peer_introduces_itself() -> None:
    """The request names version and peer, the configured headers go along, nothing packed is wanted."""

    async def run() -> str:
        async with HttpServer({"/": http(200)}) as server:
            await look(HttpTarget(url=server.url(), headers=(("X-Key", Secret("k")),)))
            return server.heads[0]

    head = asyncio.run(run())
    assert f"User-Agent: watchtower/{__version__} (peer=a)\r\n" in head
    assert "X-Key: k\r\n" in head
    assert "Accept-Encoding: identity\r\n" in head


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", ["", "so"])
def test_each_method_is_asked_as_it_is(method: str, body: str) -> None:
    """Method and body arrive as configured; what carries a body says its length even when there is none."""

    async def run() -> tuple[Result, str]:
        async with HttpServer({"/": http(200, b"" if method == "HEAD" else b"hi")}) as server:
            headers = (("X-Empty", Secret("")), ("Host", Secret("other.example")))
            target = HttpTarget(url=server.url(), method=method, body=body, headers=headers)
            return await look(target), server.heads[0]

    result, head = asyncio.run(run())
    assert result.opinion is Opinion.UP, result.text
    assert head.startswith(f"{method} / HTTP/1.1\r\n")
    assert head.count("Host: other.example\r\n") == head.count("Host:") == 1
    assert "X-Empty:\r\n" in head
    length = {"": 0 if method in ("POST", "PUT", "PATCH") else None, "so": None if method == "HEAD" else 2}[
        body
    ]
    assert (f"Content-Length: {length}\r\n" in head) is (length is not None)
    assert ("Content-Type:" in head) is bool(length)


@pytest.mark.parametrize(("status", "opinion"), [(204, "up"), (304, "up"), (404, "down"), (503, "down")])
def test_without_expect_the_status_decides(status: int, opinion: str) -> None:
    """2xx and 3xx are good, everything else is down and names the status."""
    result = see(http(status))
    assert result.opinion == opinion
    if opinion == "down":
        assert (result.kind, result.text) == (Kind.STATUS, f"HTTP {status}")


IS_503 = condition("status == 503", "status", "==", 503.0)
SAYS_OK = condition("body contains ok", "body", "contains", "ok")
DB_UP = condition("json.db == up", "json.db", "==", "up")
IN_NO_TIME = condition("time < 0ms", "time", "<", 0.0)
TYPED = condition("header.content-type contains json", "header.content-type", "contains", "json")


@pytest.mark.parametrize(
    ("answer", "expect", "wanted"),
    [
        (http(503), (IS_503,), ""),
        (http(200, b"all ok"), (SAYS_OK,), ""),
        (http(200, b"sick"), (SAYS_OK,), "body contains ok: was .*sick.*"),
        (http(200, b'{"db": "up"}', Content_Type="application/json"), (DB_UP, TYPED), ""),
        (http(200, b'{"db": "gone"}'), (DB_UP,), "json.db == up: was .*gone.*"),
        (http(200, b"<html>"), (DB_UP,), "json.db == up: not JSON .*"),
        (http(200, b"[" * 60_000), (DB_UP,), "json.db == up: not JSON .*"),
        (http(200, b"sick"), (SAYS_OK, DB_UP, IS_503), r"body contains ok: .* \(and 2 more\)"),
    ],
)
def test_expect_replaces_the_default(answer: bytes, expect: tuple[Condition, ...], wanted: str) -> None:
    """Conditions decide alone; the text is the first that fails, with how many more there are."""
    result = see(answer, expect=expect)
    assert outcome(result) == ((Opinion.DOWN, Kind.CONDITION) if wanted else (Opinion.UP, Kind.OK))
    assert re.fullmatch(wanted or "HTTP .*", result.text)


def test_warn_degrades() -> None:
    """A failing warning makes degraded; a failing expectation beside it wins with down."""
    assert outcome(see(http(200), warn=(IN_NO_TIME,))) == (Opinion.DEGRADED, Kind.CONDITION)
    assert outcome(see(http(200), warn=(IN_NO_TIME,), expect=(SAYS_OK,))) == (Opinion.DOWN, Kind.CONDITION)
    assert outcome(see(http(500), warn=(IN_NO_TIME,))) == (Opinion.DOWN, Kind.STATUS)


def test_nobody_listens() -> None:
    """A refused connect is told as such, with the address that refused."""
    port = closed_port()
    result = asyncio.run(look(HttpTarget(url=f"http://127.0.0.1:{port}/")))
    assert outcome(result) == (Opinion.DOWN, Kind.REFUSED)
    assert result.text == f"connection refused by 127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        (hang, Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
        (
            say(b"HTTP/1.1 200 OK\r\nX-Slow: "),
            Kind.TIMEOUT,
            "timeout after 0.4 s while waiting for the answer",
        ),
        (
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            Kind.TIMEOUT,
            "timeout after 0.4 s while reading the answer",
        ),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (hang_up, Kind.RESET, "connection closed while waiting for the answer"),
        (
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", hang_up),
            Kind.RESET,
            "the answer broke off",
        ),
        (
            say(b"SSH-2.0-OpenSSH_9.6\r\n", hang),
            Kind.PROTOCOL,
            "not a valid HTTP answer: it has no status line",
        ),
        (
            say(b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n"),
            Kind.PROTOCOL,
            "not a valid HTTP answer.*",
        ),
    ],
    ids=["silent", "slow head", "slow body", "reset", "hung up", "broken off", "no HTTP", "long header"],
)
def test_every_bad_answer_has_its_name(handler: object, kind: Kind, text: str) -> None:
    """Silence, resets, halves and nonsense are told apart, each with where the look stood."""

    async def run() -> Result:
        async with HttpServer({"/": handler}) as server:  # type: ignore[dict-item] # handlers of several shapes
            return await look(HttpTarget(url=server.url()), timeout_s=0.4)

    result = asyncio.run(run())
    assert outcome(result) == (Opinion.DOWN, kind), result.text
    assert re.fullmatch(text, result.text)
    assert result.duration_ms < 2000


def test_a_full_backlog_times_out_while_connecting() -> None:
    """A timeout names the phase in which it struck: here TCP itself gets no answer."""

    async def run() -> Result:
        with full_backlog() as port:
            return await look(HttpTarget(url=f"http://127.0.0.1:{port}/"), timeout_s=0.3)

    result = asyncio.run(run())
    assert outcome(result) == (Opinion.DOWN, Kind.TIMEOUT)
    assert result.text == "timeout after 0.3 s while connecting"


def test_a_name_that_nobody_knows() -> None:
    """A name that cannot be resolved is a DNS failure, whether DNS says no or nothing."""
    result = asyncio.run(look(HttpTarget(url="http://no-such-host.invalid/")))
    assert outcome(result) == (Opinion.DOWN, Kind.DNS)
    assert result.text in ("name does not exist (NXDOMAIN)", "no answer from DNS")


def test_redirects_are_followed_and_counted() -> None:
    """A chain within the limit leads to its last answer, and the text says how long it was."""

    async def run() -> Result:
        answers = {"/": http(302, Location="/b"), "/b": http(307, Location="/c"), "/c": http(200)}
        async with HttpServer(dict(answers)) as server:
            return await look(HttpTarget(url=server.url()))

    result = asyncio.run(run())
    assert re.fullmatch(r"HTTP 200 in \d+ ms after 2 redirects", result.text)
    assert result.facts["redirects"] == 2


@pytest.mark.parametrize(
    ("location", "allowed", "kind", "text"),
    [
        ("/", 3, Kind.PROTOCOL, "more than 3 redirects, the last one to http://127.0.0.1:.*/"),
        ("/", 0, Kind.OK, "HTTP 302 in .*"),
        ("ftp://127.0.0.1/?state=s3cret", 5, Kind.PROTOCOL, "redirects to ftp://127.0.0.1/"),
        ("http://ann:s3cret@[", 5, Kind.PROTOCOL, r"redirects to what is no address: http://\*\*\*@\["),
    ],
)
def test_redirects_have_limits(location: str, allowed: int, kind: Kind, text: str) -> None:
    """A loop ends at the configured number, other schemes are refused, 0 means not to follow at all."""

    async def run() -> tuple[Result, int]:
        async with HttpServer({"/": http(302, Location=location)}) as server:
            target = HttpTarget(url=server.url(), follow_redirects=allowed)
            return await look(target), len(server.heads)

    result, requests = asyncio.run(run())
    assert result.kind is kind
    assert re.fullmatch(text, result.text)
    assert requests == (allowed + 1 if location == "/" else 1)


def test_secrets_stay_with_their_origin() -> None:
    """Configured headers and the body go along within an origin and never to another one."""

    async def run() -> tuple[str, str, str]:
        async with HttpServer({"/there": http(200)}) as other:
            answers = {"/": http(307, Location="/on"), "/on": http(307, Location=other.url("/there"))}
            async with HttpServer(dict(answers)) as first:
                headers = (("Authorization", Secret("Bearer s3cret")), ("X-Api-Key", Secret("s3cret")))
                target = HttpTarget(url=first.url(), method="POST", body="s3cret", headers=headers)
                assert (await look(target)).opinion is Opinion.UP
                return first.heads[0], first.heads[1], other.heads[0]

    before, within, beyond = asyncio.run(run())
    assert before.count("s3cret") == within.count("s3cret") == 2
    assert "s3cret" not in beyond
    assert "Content-Length: 0" in beyond or "Content-Length" not in beyond


def test_see_other_becomes_a_get() -> None:
    """A 303 after a POST is followed with GET and without the body."""

    async def run() -> list[str]:
        async with HttpServer({"/": http(303, Location="/done"), "/done": http(200)}) as server:
            await look(HttpTarget(url=server.url(), method="POST", body="x"))
            return [head.split(" ")[0] for head in server.heads]

    assert asyncio.run(run()) == ["POST", "GET"]


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A body without end."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x" * 65_536)
        await writer.drain()


def test_a_body_without_end_is_cut() -> None:
    """An endless body is read up to the limit, and the look is good."""

    async def run() -> Result:
        async with HttpServer({"/": _pour}) as server:
            return await look(HttpTarget(url=server.url()))

    result = asyncio.run(run())
    assert result.opinion is Opinion.UP
    assert result.facts["body.bytes"] == 65_536


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (gzip.compress(b"all ok"), "gzip"),
        (zlib.compress(b"all ok"), "deflate"),
        (zlib.compress(b"all ok")[2:-4], "deflate"),
        (b"all ok", "br"),
        (b"all ok", "gzip"),
    ],
    ids=["gzip", "deflate", "headless deflate", "unknown", "a lie"],
)
def test_a_packed_body_is_unpacked(packed: bytes, encoding: str) -> None:
    """A server that packs although nobody asked is understood; what cannot be unpacked stays as it is."""
    assert see(http(200, packed, Content_Encoding=encoding), expect=(SAYS_OK,)).opinion is Opinion.UP


def test_a_bomb_does_not_go_off() -> None:
    """A body that unpacks to 60 MB costs neither the memory nor the time of one."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(b"\0" * 1_000_000) for _ in range(60)) + packer.flush()
    assert len(bomb) < 65_536
    with traced() as taken:
        result = see(http(200, bomb, Content_Encoding="gzip"))
    assert result.opinion is Opinion.UP
    assert result.facts["body.bytes"] == 65_536
    assert taken.peak_bytes < 10_000_000


def test_what_a_service_says_is_hostile() -> None:
    """Evidence keeps no control characters, no credentials, and no more than its limit."""
    body = b"\x1b[31m <!channel>\r\n\x00" + "\u202e".encode() + b"http://ann:s3cret@db/ " + b"x" * 999
    text = see(http(200, body), expect=(SAYS_OK,)).text
    assert text.isprintable()
    assert len(text) <= EVIDENCE_TEXT_MAX
    assert "s3cret" not in text


def test_a_strange_charset_breaks_nothing() -> None:
    """A charset that is none, or is no text at all, is read as UTF-8."""
    for charset in ("klingon", "rot13", "hex"):
        answer = http(200, b"all ok", Content_Type=f"text/plain; charset={charset}")
        assert see(answer, expect=(SAYS_OK,)).opinion is Opinion.UP


def test_each_look_asks_on_a_connection_of_its_own() -> None:
    """Nothing is kept alive between looks: a service that takes no new connections is seen."""

    async def run() -> tuple[Opinion, Kind]:
        async with HttpServer({"/": http(200, Connection="keep-alive")}) as server:
            url = server.url()
            assert (await look(HttpTarget(url=url))).opinion is Opinion.UP
        return outcome(await look(HttpTarget(url=url)))

    assert asyncio.run(run()) == (Opinion.DOWN, Kind.REFUSED)


def test_plain_http_where_tls_was_expected() -> None:
    """HTTPS at a port that speaks no TLS is a TLS failure, not a hang."""

    async def run() -> Result:
        async with Listener(say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
            return await look(HttpTarget(url=f"https://127.0.0.1:{server.port}/"))

    result = asyncio.run(run())
    assert outcome(result) == (Opinion.DOWN, Kind.TLS)
    assert result.text.startswith("TLS failed: ")
