"""TCP looks and looks at peers, at real listeners on loopback."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from support.core_support import service
from support.looking import condition, look
from support.targets import (
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

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import PeerTarget, TcpTarget
from watchtower.probes.prober import Prober
from watchtower.probes.wires.resolver import AddressInfo, Resolver


def test_an_open_port_is_up() -> None:
    """A listener that accepts is up, whether it says anything or not; the name was resolved on the way."""

    async def run() -> Result:
        async with Listener(hang) as server:
            return await look(TcpTarget(host="localhost", port=server.port))

    result = asyncio.run(run())
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK)
    assert result.text.startswith("connected in ")
    assert set(result.phases_ms) == {"resolve", "connect"}
    assert result.facts["ip"] in ("127.0.0.1", "::1")


def test_a_closed_port_is_refused() -> None:
    """Nobody listens: down at once, with who refused."""
    port = closed_port()
    result = asyncio.run(look(TcpTarget(host="127.0.0.1", port=port)))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")
    assert result.duration_ms < 1000


def test_a_name_with_a_dead_and_a_live_address_is_up() -> None:
    """An address that stays silent is given a quarter of a second before the next one is tried."""

    class TwoAddresses(Resolver):
        async def lookup(self, host: str, port: int, family: int = socket.AF_INET) -> list[AddressInfo]:
            found = [await Resolver.lookup(self, ip, port, family) for ip in ("127.0.0.1", "127.0.0.2")]
            return [info for infos in found for info in infos]

    async def run() -> Result:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        prober._tools.resolver = TwoAddresses()
        with full_backlog() as port:
            async with Listener(hang, host="127.0.0.2", port=port):
                target = TcpTarget(host="two.example", port=port)
                result = await prober.probe(service("web", target), clock.now().boot + 3.0)
        await prober.close()
        return result

    result = asyncio.run(run())
    assert (result.opinion, result.facts["ip"]) == (Opinion.UP, "127.0.0.2")
    assert 240 < result.duration_ms < 1500


def test_silence_times_out_while_connecting() -> None:
    """A port that answers nothing is a timeout, at the deadline and not later."""

    async def run() -> Result:
        with full_backlog() as port:
            return await look(TcpTarget(host="127.0.0.1", port=port), timeout_s=0.3)

    result = asyncio.run(run())
    assert (result.kind, result.text) == (Kind.TIMEOUT, "timeout after 0.3 s while connecting")
    assert 290 < result.duration_ms < 1500


def see_peer(answer: bytes, *, is_linked: bool) -> Result:
    """One look at peer b, whose `/readyz` gives `answer`."""

    async def run() -> Result:
        async with HttpServer({"/base/readyz": answer}) as server:
            target = PeerTarget(peer="b", url=server.url("/base/"))
            return await look(target, links=("b",) if is_linked else ())

    return asyncio.run(run())


def test_a_ready_and_linked_peer_is_up() -> None:
    """Ready by HTTP and linked by Raft: up."""
    result = see_peer(http(200, b'{"status": "pass"}'), is_linked=True)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK)
    assert result.text.startswith("ready in ")


def test_a_ready_peer_without_link_is_degraded() -> None:
    """The app answers, but our cluster link to it is down: degraded, and it says so."""
    result = see_peer(http(200), is_linked=False)
    assert (result.opinion, result.text) == (Opinion.DEGRADED, "cluster link to b is down")


def test_a_peer_that_says_it_is_not_ready_settles_nothing() -> None:
    """A health document that says `fail` comes from a live app: unknown, with its own words, cleaned."""
    body = b'{"status": "fail", "output": "no\\u001b[31m quorum\\u202e"}'
    result = see_peer(http(503, body), is_linked=True)
    assert (result.opinion, result.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
    assert result.text == "app is not ready: no[31m quorum"


@pytest.mark.parametrize(
    "answer",
    [
        http(500, b'{"status": "fail"}'),
        http(503, b"<html>"),
        http(503, b"[]"),
        http(503, b'{"error": "busy"}'),
        http(503, b"[" * 60_000),
        http(404),
    ],
)
def test_a_peer_that_answers_nonsense_is_down(answer: bytes) -> None:
    """Anything but ready or a health document is not the app that should be there."""
    result = see_peer(answer, is_linked=True)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS)
    assert result.text.startswith("app answers HTTP ")


def test_a_dead_peer_is_down_and_says_how() -> None:
    """A peer whose app cannot be asked is down, with the reason behind the words."""
    url = f"http://127.0.0.1:{closed_port()}"
    result = asyncio.run(look(PeerTarget(peer="b", url=url), links=("b",)))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.REFUSED)
    assert result.text.startswith("app does not answer: connection refused by 127.0.0.1:")


def hear(handler: Handler, send: str | None = None, **fields: Any) -> Result:
    """One TCP look that says `send` to what speaks with `handler`."""

    async def run() -> Result:
        async with Listener(handler) as server:
            said = None if send is None else Secret(send)
            return await look(TcpTarget(host="127.0.0.1", port=server.port, send=said), **fields)

    return asyncio.run(run())


async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers a PING as Redis does, and anything else by what it was."""
    line = await reader.readline()
    writer.write(b"+PONG\r\n" if line == b"PING\r\n" else b"-ERR " + line)
    await reader.read()


def test_what_is_sent_is_answered_and_judged() -> None:
    """The answer is the field `banner`, the look ends with its line, and what was sent is not shown."""
    is_pong = condition("banner == +PONG", "banner", "==", "+PONG")
    good = hear(pong, "PING\r\n", expect=(is_pong,))
    assert (good.opinion, good.facts["banner"]) == (Opinion.UP, "+PONG")
    assert good.duration_ms < 400, "a whole line needs no waiting for silence"
    bad = hear(pong, "AUTH me:hunter2@x\r\n", expect=(is_pong,))
    assert (bad.kind, bad.text) == (Kind.CONDITION, 'banner == +PONG: was "-ERR AUTH ***@x"')


def test_bytes_are_sent_as_they_are() -> None:
    """Every byte value arrives, zero and what is no text included; a binary answer is told by its size."""
    got = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readexactly(4))
        writer.write(b"\x01\x02\x03\x04")
        await reader.read()

    result = hear(listen, "\x00\xff\x80a")
    assert got == b"\x00\xff\x80a"
    assert (result.opinion, result.text.partition(" in ")[0]) == (Opinion.UP, "4 bytes of binary data")


def test_a_banner_is_read_only_when_it_matters() -> None:
    """A condition on `banner` makes a look wait for it, over several lines if need be."""
    ready = condition("banner contains ready", "banner", "contains", "ready")

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)  # noqa: TID251 - two segments, as a slow server sends them
        writer.write(b"ready\r\n")
        await reader.read()

    assert hear(slowly, expect=(ready,)).opinion is Opinion.UP
    assert "banner" not in hear(slowly).facts


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (hang, Kind.TIMEOUT, "timeout after 0.8 s while waiting for the answer"),
        (hang_up, Kind.RESET, "connection closed while waiting for the answer"),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (say(b"not yet"), Kind.CONDITION, 'banner contains ready: was "not yet"'),
        (say(b"bye", hang_up), Kind.CONDITION, 'banner contains ready: was "bye"'),
    ],
)
def test_a_banner_that_does_not_come(handler: Handler, outcome: Kind, text: str) -> None:
    """Silence, an end and other words are told apart."""
    ready = condition("banner contains ready", "banner", "contains", "ready")
    result = hear(handler, expect=(ready,), timeout_s=0.8)
    assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, outcome, text)


def test_a_banner_without_end() -> None:
    """A flood is judged by its first 4 KiB, a drip by what came before the deadline."""
    ready = condition("banner contains ready", "banner", "contains", "ready")
    for handler in (endless(b"x\n" * 65_536), endless(b"x\n", 0.02)):
        result = hear(handler, expect=(ready,), timeout_s=0.8)
        assert (result.kind, result.text[:28]) == (Kind.CONDITION, 'banner contains ready: was "')
        assert len(result.text) <= 160
        assert result.duration_ms < 1500
