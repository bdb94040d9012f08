"""Servers that mean harm to kinds other than HTTP, in every phase of their dialogues: told apart, bounded."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import pytest
from support.looking import condition, look, look_at_all
from support.memory import traced
from support.targets import Authority, Handler, Listener, endless, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import ImapTarget, SmtpTarget, SshTarget, Target, TcpTarget, TlsTarget

DIALOGUES: Final = {
    "smtp": (b"220 hi\r\n", b"250-hi\r\n250 STARTTLS\r\n", b"220 go\r\n"),
    "imap": (b"* OK hi\r\n", b"a OK go\r\n"),
    "pop3": (b"+OK hi\r\n", b"+OK go\r\n"),
    "ftp": (b"220 hi\r\n", b"234 go\r\n"),
}
"""All that a server says in the clear before TLS begins, an answer to each of our lines after the first."""
STAGES: Final = [(name, said) for name, words in DIALOGUES.items() for said in range(len(words) + 1)]


def until(name: str, said: int, then: Handler) -> Handler:
    """Keeps to the protocol for so many answers, hears what we say to the last one, and goes on as `then`."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for words in DIALOGUES[name][:said]:
            writer.write(words)
            await writer.drain()
            await (reader.read(65_536) if words == DIALOGUES[name][-1] else reader.readline())
        await then(reader, writer)

    return handler


def at_every_stage(then: Handler, timeout_s: float = 3.0) -> dict[tuple[str, int], Result]:
    """What a look with STARTTLS sees of each protocol when the server turns to `then` at each stage."""

    async def run() -> dict[tuple[str, int], Result]:
        async with contextlib.AsyncExitStack() as stack:
            targets = {}
            for name, said in STAGES:
                server = await stack.enter_async_context(Listener(until(name, said, then)))
                targets[name, said] = TlsTarget(host="127.0.0.1", port=server.port, starttls=name)
            return await look_at_all(targets, timeout_s)

    return asyncio.run(run())


def doing(name: str, said: int) -> str:
    """Where the look stands at a stage, as people read it."""
    if said == len(DIALOGUES[name]):
        return "in the TLS handshake"
    return "reading the answer" if said else "waiting for the answer"


def test_silence_at_every_stage() -> None:
    """A timeout says where the look stood."""
    for stage, result in at_every_stage(hang, 0.6).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT), stage
        assert result.text == f"timeout after 0.6 s while {doing(*stage)}", stage
        assert result.duration_ms < 1500, stage


def test_a_drip_at_every_stage() -> None:
    """A byte now and then keeps nobody beyond the deadline."""
    for stage, result in at_every_stage(endless(b"\x16", 0.02), 0.6).items():
        assert result.kind in (Kind.TIMEOUT, Kind.TLS), (stage, result.text)
        assert result.duration_ms < 1500, stage


def test_a_reset_at_every_stage() -> None:
    """A reset says where it struck."""
    for stage, result in at_every_stage(reset).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.RESET), stage
        assert result.text == f"connection reset while {doing(*stage)}", stage


def test_an_end_at_every_stage() -> None:
    """So does a close in order; in the handshake it is TLS that was broken off."""
    for stage, result in at_every_stage(hang_up).items():
        if doing(*stage) == "in the TLS handshake":
            assert result.kind in (Kind.TLS, Kind.RESET), stage
            assert "handshake" in result.text, stage
            continue
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.RESET), stage
        assert result.text == f"connection closed while {doing(*stage)}", stage


@pytest.mark.parametrize(
    "words",
    [b"\x00\xff\xfe\x80\n", b"\r\n", b"999999 x\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"],
    ids=["binary", "empty line", "odd code", "http"],
)
def test_nonsense_at_every_stage(words: bytes) -> None:
    """What is not the protocol is told as that, and as no TLS after the go-ahead."""
    for stage, result in at_every_stage(say(words), 1.0).items():
        in_handshake = doing(*stage) == "in the TLS handshake"
        wanted = (Kind.TLS, Kind.TIMEOUT) if in_handshake else (Kind.PROTOCOL, Kind.STATUS)
        assert (result.opinion, result.kind in wanted) == (Opinion.DOWN, True), (stage, result.text)
        assert len(result.text) <= 160
        assert result.text.isprintable()


@pytest.mark.parametrize(
    "flood",
    [b"x" * 65_536, b"220-x\r\n* x\r\n" * 5_000, b"\n" * 65_536, b"\x00" * 65_536],
    ids=["one line", "many lines", "empty lines", "zeros"],
)
def test_a_flood_at_every_stage(flood: bytes) -> None:
    """Left after a few kilobytes, long before the deadline, with little memory."""
    with traced() as taken:
        found = at_every_stage(endless(flood), 5.0)
    for stage, result in found.items():
        assert result.opinion is Opinion.DOWN, stage
        assert result.kind in (Kind.PROTOCOL, Kind.STATUS, Kind.TLS), (stage, result.text)
        assert result.duration_ms < 4000, (stage, result.text)
        assert len(result.text) <= 160, stage
    assert taken.peak_bytes < 20_000_000


def record(kind: int, content: bytes) -> bytes:
    """A TLS record."""
    return bytes([kind, 3, 3]) + len(content).to_bytes(2, "big") + content


ENDLESS_HELLO = record(0x16, b"\x02\xff\xff\xff" + b"\x03" * 16_000)
"""A server's hello that says it is 16 MB long."""
WARNINGS = record(0x15, b"\x01\x5a") * 1_000


@pytest.mark.parametrize(
    "words",
    [
        ENDLESS_HELLO + record(0x16, b"\x03" * 16_000),
        WARNINGS,
        record(0x16, b"") * 1_000,
        record(0x17, b"x" * 16_000),
        record(0x14, b"\x01") * 1_000,
        b"\x16\x03\x03\xff\xff" + b"\x02" * 65_535,
        bytes(range(256)) * 256,
    ],
    ids=["endless hello", "warnings", "empty records", "data", "change of cipher", "long record", "bytes"],
)
def test_handshakes_without_end(words: bytes) -> None:
    """OpenSSL's limits hold in a pump of our own: no handshake takes memory or time without end."""

    async def run() -> Result:
        async with Listener(endless(words)) as server:
            return await look(TlsTarget(host="127.0.0.1", port=server.port), timeout_s=3.0)

    with traced() as taken:
        result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TLS), result.text
    assert result.text.startswith("TLS failed: ")
    assert result.duration_ms < 2500
    assert taken.peak_bytes < 10_000_000


@pytest.mark.parametrize("make", [SmtpTarget, ImapTarget])
@pytest.mark.parametrize(
    ("ending", "outcome"),
    [
        (hang, Kind.TIMEOUT),
        (hang_up, Kind.RESET),
        (reset, Kind.RESET),
        (say(b"\x00\xff\xfe\x80\n"), Kind.PROTOCOL),
        (endless(b"x" * 65_536), Kind.PROTOCOL),
        (endless(b"2", 0.02), Kind.TIMEOUT),
    ],
    ids=["silent", "hung up", "reset", "binary", "flood", "drip"],
)
def test_greetings_over_tls(
    authority: Authority, make: type[SmtpTarget | ImapTarget], ending: Handler, outcome: Kind
) -> None:
    """TLS in front changes neither outcomes nor limits."""

    async def run() -> Result:
        async with Listener(ending, authority.context("localhost")) as server:
            return await look(make(host="localhost", port=server.port, tls=True), timeout_s=0.6)

    result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.DOWN, outcome), result.text
    assert result.duration_ms < 1500


def bytewise(port: int) -> Handler:
    """Passes on to `port` what comes, and what comes back in single bytes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)

        async def forth() -> None:
            while data := await reader.read(65_536):
                far_writer.write(data)

        onward = asyncio.create_task(forth())
        try:
            while byte := await far_reader.read(1):
                writer.write(byte)
                await writer.drain()
        finally:
            onward.cancel()
            far_writer.close()

    return handler


@pytest.mark.parametrize("kind", ["tls", "smtps", "imap", "ssh", "tcp"])
def test_single_bytes(authority: Authority, kind: str) -> None:
    """How the bytes are cut into segments does not matter, neither to lines nor to TLS."""
    context = authority.context("localhost") if kind in ("tls", "smtps") else None
    greeting = {"imap": b"* OK slow\r\n", "ssh": b"SSH-2.0-slow\r\n"}.get(kind, b"220 slow\r\n")

    def target(port: int) -> Target:
        match kind:
            case "tls":
                return TlsTarget(host="localhost", port=port)
            case "smtps":
                return SmtpTarget(host="localhost", port=port, tls=True)
            case "imap":
                return ImapTarget(host="localhost", port=port)
            case "ssh":
                return SshTarget(host="localhost", port=port)
            case _:
                return TcpTarget(host="localhost", port=port)

    async def run() -> Result:
        slow = condition("banner contains slow", "banner", "contains", "slow")
        async with (
            Listener(say(greeting), context) as server,
            Listener(bytewise(server.port)) as front,
        ):
            return await look(target(front.port), expect=() if kind == "tls" else (slow,))

    result = asyncio.run(run())
    assert result.opinion is Opinion.UP, result.text
