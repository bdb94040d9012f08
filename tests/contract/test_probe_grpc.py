"""gRPC health looks at grpcio's own server, and at answers of servers that mean harm or know no better."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from typing import Any

import grpc
import pytest
from hyperframe.frame import ContinuationFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame
from support.looking import condition, look, look_at_all
from support.rpc_servers import (
    OK_HEAD,
    SERVING,
    Aborting,
    Hanging,
    answering,
    asked,
    data,
    frames,
    grpc_server,
    head,
    settings,
)
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

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import GrpcTarget


def see_port(port: int, **fields: Any) -> Result:
    """One look at a port; `service`, `tls` and `verify` are those of the target, the rest the service's."""
    host = str(fields.pop("host", "127.0.0.1"))
    own = {key: fields.pop(key) for key in ("service", "tls", "verify", "server_name") if key in fields}
    return asyncio.run(look(GrpcTarget(host=host, port=port, **own), **fields))


def see(handler: Handler, context: ssl.SSLContext | None = None, **fields: Any) -> Result:
    """One look at what speaks with `handler`, over TLS when there is a context."""

    async def run() -> Result:
        async with Listener(handler, context) as server:
            target = GrpcTarget(host="localhost", port=server.port, tls=context is not None)
            return await look(target, **{"timeout_s": 2.0, **fields})

    return asyncio.run(run())


def test_what_the_health_service_says() -> None:
    """SERVING is good; every other word is down with that word, and unknown names are told apart."""
    statuses = {
        "": "SERVING",
        "shop.Cart": "NOT_SERVING",
        "shop.New": "UNKNOWN",
        "shop.Gone": "SERVICE_UNKNOWN",
    }
    with grpc_server(statuses) as port:
        up = see_port(port)
        assert (up.opinion, up.kind, up.text.partition(" in ")[0]) == (Opinion.UP, Kind.OK, "SERVING")
        assert up.facts == {"ip": "127.0.0.1", "grpc.code": "OK", "grpc.status": "SERVING"}
        assert set(up.phases_ms) == {"connect", "first_byte", "transfer"}
        texts = {
            "shop.Cart": "NOT_SERVING",
            "shop.New": "UNKNOWN",
            "shop.Gone": 'SERVICE_UNKNOWN: the server does not know "shop.Gone"',
            "shop.Nobody": 'NOT_FOUND: the server does not know "shop.Nobody"',
        }
        for service, text in texts.items():
            down = see_port(port, service=service)
            assert (down.opinion, down.kind, down.text) == (Opinion.DOWN, Kind.STATUS, text)
        wanted = condition("grpc.status == NOT_SERVING", "grpc.status", "==", "NOT_SERVING")
        assert see_port(port, service="shop.Cart", expect=(wanted,)).opinion is Opinion.UP
        unmet = see_port(port, expect=(wanted,))
        assert (unmet.kind, unmet.text) == (Kind.CONDITION, 'grpc.status == NOT_SERVING: was "SERVING"')


@pytest.mark.parametrize(
    ("code", "said", "text"),
    [
        (grpc.StatusCode.UNAVAILABLE, "draining", 'UNAVAILABLE: "draining"'),
        (grpc.StatusCode.UNAUTHENTICATED, "nobody: 100 % no", 'UNAUTHENTICATED: "nobody: 100 % no"'),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "", "DEADLINE_EXCEEDED"),
        (grpc.StatusCode.INTERNAL, "käputt\n\x1b[31m at ann:s3cret@db", 'INTERNAL: "käputt'),
    ],
)
def test_how_a_call_may_end(code: grpc.StatusCode, said: str, text: str) -> None:
    """Each code has its word, with what the server says to it, cleaned."""
    servicer = Aborting(code, said)
    with grpc_server(servicer=servicer) as port:
        result = see_port(port, timeout_s=5.0)
    assert 4.0 < servicer.left_s <= 6.0, "the server knows how long we wait, and a second more"
    assert "(peer=a)" in servicer.who
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS)
    assert result.text.startswith(text)
    assert result.text.isprintable()
    assert "s3cret" not in result.text


def test_a_server_without_a_health_service() -> None:
    """UNIMPLEMENTED says what it means, and can be what is expected."""
    with grpc_server() as port:
        result = see_port(port)
        assert result.kind is Kind.STATUS
        assert result.text.startswith("UNIMPLEMENTED: the server has no health service")
        wanted = condition("grpc.code == UNIMPLEMENTED", "grpc.code", "==", "UNIMPLEMENTED")
        assert see_port(port, expect=(wanted,)).opinion is Opinion.UP


def test_a_health_service_that_hangs() -> None:
    """The server speaks HTTP/2, the call is not answered: a timeout while reading, at our deadline."""
    servicer = Hanging()
    with grpc_server(servicer=servicer) as port:
        result = see_port(port, timeout_s=0.5)
        servicer.go_on.set()
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT)
    assert result.text == "timeout after 0.5 s while reading the answer"


def test_over_tls(authority: Authority) -> None:
    """A trusted certificate is good and can be judged, an expired one is told, unless nobody asks."""
    with grpc_server({"": "SERVING"}, pem=authority.pem("localhost")) as port:
        up = see_port(port, host="localhost", tls=True)
        assert up.opinion is Opinion.UP, up.text
        assert "certificate valid for" in up.text
        assert "tls" in up.phases_ms
        soon = condition("cert.expires > 40d", "cert.expires", ">", 40 * 86_400.0)
        assert see_port(port, host="localhost", tls=True, warn=(soon,)).opinion is Opinion.DEGRADED
        wrong = see_port(port, host="127.0.0.1", tls=True)
        assert (wrong.kind, wrong.text) == (Kind.TLS, "certificate is not for 127.0.0.1 but for localhost")
        assert see_port(port, host="127.0.0.1", tls=True, server_name="localhost").opinion is Opinion.UP
    with grpc_server({"": "SERVING"}, pem=authority.pem("localhost", begins_days=-9, ends_days=-3)) as port:
        expired = see_port(port, host="localhost", tls=True)
        assert (expired.opinion, expired.kind) == (Opinion.DOWN, Kind.TLS)
        assert expired.text.startswith("certificate expired 3 days ago, on ")
        assert see_port(port, host="localhost", tls=True, verify=False).opinion is Opinion.UP


def test_tls_and_no_tls_mistaken_for_each_other(authority: Authority) -> None:
    """TLS without HTTP/2, TLS where none was expected, and none where TLS was."""
    context = authority.context("localhost")
    no_h2 = see(hang, context)
    assert (no_h2.kind, no_h2.text) == (
        Kind.PROTOCOL, "speaks TLS, but no HTTP/2 over it (ALPN h2 was not accepted)"
    )  # fmt: skip
    with grpc_server({"": "SERVING"}) as port:
        assert see_port(port, host="localhost", tls=True).kind in (Kind.TLS, Kind.RESET)


def test_an_http1_server() -> None:
    """The plain old web server is recognised."""

    async def run() -> Result:
        async with HttpServer({"*": http(400)}) as server:
            return await look(GrpcTarget(host="127.0.0.1", port=server.port))

    result = asyncio.run(run())
    assert (result.kind, result.text) == (Kind.PROTOCOL, 'speaks HTTP/1.1, not HTTP/2: "HTTP/1.1 400 X"')


UNAVAILABLE = (("grpc-status", "14"), ("grpc-message", "back%20soon"))
HTML = ((":status", "200"), ("content-type", "text/html"))
RESET, BROKEN = RstStreamFrame(1, 7), RstStreamFrame(1, 2)
CALM = GoAwayFrame(0, 0, 11, b"too many")
NONSENSE = HeadersFrame(1, b"\xff\xff\xff", flags=["END_HEADERS"])


def ending(*headers: tuple[str, str]) -> Frame:
    """Headers as gRPC sends them, with which the answer ends: trailers only."""
    return head(*OK_HEAD, *headers, ends=True)


@pytest.mark.parametrize(
    ("said", "kind", "text"),
    [
        ((ending(*UNAVAILABLE),), Kind.STATUS, 'UNAVAILABLE: "back soon"'),
        ((head(*OK_HEAD), head(*UNAVAILABLE, ends=True)), Kind.STATUS, 'UNAVAILABLE: "back soon"'),
        ((ending(("grpc-status", "77")),), Kind.STATUS, "code 77"),
        ((head((":status", "503"), ends=True),), Kind.STATUS, "answers HTTP 503, no gRPC"),
        ((head(*HTML, ends=True),), Kind.PROTOCOL, 'not gRPC: answers "text/html"'),
        ((head((":status", "200"), ends=True),), Kind.PROTOCOL, "not gRPC: answers without a content type"),
        ((head(*OK_HEAD), data(SERVING, ends=True)), Kind.PROTOCOL, "ends without a valid grpc-status"),
        ((ending(("grpc-status", "no")),), Kind.PROTOCOL, 'ends without a valid grpc-status: "no"'),
        ((ending(("grpc-status", "0")),), Kind.PROTOCOL, "says OK with 0 bytes that are not one message"),
        ((RESET,), Kind.STATUS, "breaks the call off: RST_STREAM (REFUSED_STREAM)"),
        ((head(*OK_HEAD), BROKEN), Kind.STATUS, "breaks the call off: RST_STREAM (INTERNAL_ERROR)"),
        ((CALM,), Kind.STATUS, 'takes no calls: GOAWAY (ENHANCE_YOUR_CALM): "too many"'),
        ((NONSENSE,), Kind.PROTOCOL, "breaks the rules of HTTP/2: "),
    ],
)
def test_what_else_may_answer(said: tuple[Frame, ...], kind: Kind, text: str) -> None:
    """Every way not to answer well over HTTP/2 has its own words."""
    result = see(answering(*said))
    assert (result.opinion, result.kind) == (Opinion.DOWN, kind), result.text
    assert result.text.startswith(text), result.text


OK_TAIL = head(("grpc-status", "0"), ends=True)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\x01" + SERVING[1:], "answers compressed, which nobody asked for"),
        (b"\0\0\0\0\x09\x08\x01", "says OK with 7 bytes that are not one message"),
        (b"\0\xff\xff\xff\xff\x08\x01", "says OK with 7 bytes that are not one message"),
        (SERVING * 2, "says OK with 14 bytes that are not one message"),
        (b"\0\0\0\0\x02\x08\xff", "the answer is no HealthCheckResponse"),
        (b"\0\0\0\0\x02\x0f\x01", "the answer is no HealthCheckResponse"),
        (b"\0\0\0\0\x0c\x08" + b"\xff" * 11, "the answer is no HealthCheckResponse"),
        (b"\0\0\0\0\x02\x12\x7f", "the answer is a HealthCheckResponse cut short"),
        (b"\0" * 1025, "a message of more than 1024 bytes"),
    ],
)
def test_messages_that_are_none(body: bytes, text: str) -> None:
    """Wrong lengths, endless numbers and what does not fit are no answer."""
    result = see(answering(head(*OK_HEAD), data(body), OK_TAIL))
    assert (result.kind, result.text) == (Kind.PROTOCOL, text)


@pytest.mark.parametrize(
    ("message", "word"),
    [
        (b"", "UNKNOWN"),
        (b"\x08\x01\x08\x02", "NOT_SERVING"),
        (b"\x12\x02hi\x08\x01\x19" + b"x" * 8 + b"\x25four", "SERVING"),
        (b"\x08\x63", "status 99"),
    ],
)
def test_messages_as_protobuf_has_them(message: bytes, word: str) -> None:
    """What is not written is zero, the last one counts, unknown fields and numbers do no harm."""
    body = b"\0" + len(message).to_bytes(4, "big") + message
    result = see(answering(head(*OK_HEAD), data(body), OK_TAIL))
    assert result.facts["grpc.status"] == word


def test_how_the_bytes_are_cut_does_not_matter() -> None:
    """An answer in single bytes, with pings in between, is the same answer."""
    whole = frames(settings(), PingFrame(0, b"12345678"), head(*OK_HEAD), data(SERVING), OK_TAIL)

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in whole:
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    assert see(bytewise).opinion is Opinion.UP


CUT = answering(head(*OK_HEAD), then=asked(hang_up))
NO_ANSWER = "connection closed while "


@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        (hang, Kind.TIMEOUT, "timeout after 0.4 s while waiting for the answer"),
        (answering(), Kind.TIMEOUT, "timeout after 0.4 s while reading the answer"),
        (answering(head(*OK_HEAD)), Kind.TIMEOUT, "timeout after 0.4 s while reading the answer"),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (answering(then=reset), Kind.RESET, "connection reset while "),
        (asked(hang_up), Kind.RESET, f"{NO_ANSWER}waiting for the answer"),
        (CUT, Kind.RESET, f"{NO_ANSWER}reading the answer"),
        (say(b"SSH-2.0-OpenSSH_9\r\n"), Kind.PROTOCOL, 'not HTTP/2: begins with "SSH-2.0-OpenSSH_9"'),
        (say(b"\xff" * 64), Kind.PROTOCOL, "not HTTP/2: begins with 64 bytes of binary data"),
    ],
)
def test_every_phase_in_which_it_may_end(handler: Handler, kind: Kind, text: str) -> None:
    """Silence, a reset and an end are told apart, each with where the look stood."""
    result = see(handler, timeout_s=0.4)
    assert (result.opinion, result.kind) == (Opinion.DOWN, kind), result.text
    assert result.text.startswith(text), result.text


def test_nobody_listens_and_nobody_accepts() -> None:
    """Refused at once, and a timeout while connecting."""
    port = closed_port()
    refused = see_port(port)
    assert (refused.kind, refused.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")
    with full_backlog() as full:
        silent = see_port(full, timeout_s=0.3)
    assert (silent.kind, silent.text) == (Kind.TIMEOUT, "timeout after 0.3 s while connecting")


@pytest.mark.parametrize(
    "flood",
    [
        frames(PingFrame(0, b"12345678")) * 500,
        frames(settings()) * 500,
        frames(ContinuationFrame(1, b"x" * 100)),
        frames(data(b"x" * 4000)),
    ],
    ids=["pings", "settings", "continuations", "data"],
)
def test_floods_end_soon(flood: bytes) -> None:
    """Frames without end are left after 16 KiB, or at the first that breaks the rules."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frames(settings(), head(*OK_HEAD)))
        await endless(flood)(reader, writer)

    result = see(pour)
    assert result.kind is Kind.PROTOCOL, result.text
    assert result.duration_ms < 1500


def test_a_drip_ends_at_the_deadline() -> None:
    """A ping now and then is no answer."""
    result = see(endless(frames(settings()), 0.02), timeout_s=0.5)
    assert (result.kind, result.duration_ms < 1500) == (Kind.TIMEOUT, True)


def test_headers_that_swell_when_unpacked() -> None:
    """A few hundred bytes of header block that stand for megabytes are refused by their sum."""
    # One entry of 4000 bytes for the dynamic table (0x40: name and value follow), then it 4000 times over.
    block = b"\x88\x40\x01a\x7f" + b"\xa1\x1e" + b"x" * 4000 + b"\xbe" * 4000
    result = see(answering(HeadersFrame(1, block, flags=["END_HEADERS"])))
    assert result.kind is Kind.PROTOCOL
    assert result.text.startswith("breaks the rules of HTTP/2: "), result.text


def test_random_answers_never_surprise() -> None:
    """Whatever bytes come, well-formed frames in part, the look has an outcome that it knows."""
    chance = random.Random(4)  # noqa: S311 - a fixed stream of nonsense
    pieces: list[Frame] = [
        head(*OK_HEAD),
        data(SERVING),
        OK_TAIL,
        PingFrame(0, b"12345678"),
        RstStreamFrame(1, 2),
    ]

    def nonsense() -> bytes:
        said = bytearray(frames(settings(), *chance.choices(pieces, k=4)))
        for _ in range(chance.randrange(4)):
            said[chance.randrange(len(said))] = chance.randrange(256)
        return bytes(said)

    async def run() -> list[Result]:
        async with contextlib.AsyncExitStack() as stack:
            targets = {}
            for number in range(60):
                server = await stack.enter_async_context(Listener(say(nonsense(), hang_up)))
                targets[number] = GrpcTarget(host="127.0.0.1", port=server.port)
            return list((await look_at_all(targets, 5.0)).values())

    results = asyncio.run(run())
    assert {result.kind for result in results} >= {Kind.PROTOCOL, Kind.RESET}
    assert all(result.text.isprintable() and len(result.text) <= 160 for result in results)
