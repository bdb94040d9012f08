"""The raft port against strangers and against peers that misbehave: refused, counted, never parsed."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.raft_support import SECRET, Peer, free_ports, remember, settings_of, until

from watchtower.cluster import frames, listener
from watchtower.cluster.frames import FRAME_BYTES_MAX
from watchtower.cluster.links import PATH, PROTOCOL
from watchtower.cluster.listener import Listener
from watchtower.cluster.trust import Trust
from watchtower.core.secret import Secret

HEARTBEAT = {"type": "append_entries", "term": 1, "commit_index": 0}
REQUEST = b"GET /raft HTTP/1.1\r\nHost: x\r\n\r\n"


class Target:
    """Peer a of a cluster of three whose others are not there."""

    def __init__(self, peer: Peer, port: int) -> None:
        self.peer = peer
        self.port = port

    @property
    def rejected(self) -> int:
        """Connections that were refused so far."""
        return self.peer.cluster.status().rejected_connections

    @property
    def listener(self) -> Listener:
        """The door itself."""
        links = self.peer.raft._links
        assert links is not None
        return links._listener

    @property
    def requests(self) -> int:
        """Requests that were ever parsed."""
        return self.listener._server.requests_count

    @asynccontextmanager
    async def call(
        self, name: str, *, path: str = PATH, protocol: str = PROTOCOL
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A WebSocket of somebody who knows the secret and calls itself `name`."""
        trust = Trust(cluster="test", peer=name, secrets=(Secret(SECRET),))
        connector = aiohttp.TCPConnector(ssl=trust.client, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            url = f"https://127.0.0.1:{self.port}{path}"
            async with session.ws_connect(url, protocols=(protocol,), max_msg_size=0) as link:
                yield link


def against(tmp_path: Path, scenario: Callable[[Target], Coroutine[Any, Any, None]]) -> None:
    """Run `scenario` against a started Target; the peer must still be in order afterwards."""

    async def run() -> None:
        ports = dict(zip("abc", free_ports(3), strict=True))
        settings = settings_of("a", ports, tmp_path)
        remember(settings)
        peer = Peer(settings)
        await peer.cluster.start()
        try:
            await scenario(Target(peer, ports["a"]))
            assert not peer.fatal
            assert peer.cluster.status().tick_errors == 0
        finally:
            await peer.cluster.stop()

    asyncio.run(run())


async def ended(reader: asyncio.StreamReader) -> bytes:
    """Everything the other side still says until it closes."""
    try:
        return await asyncio.wait_for(reader.read(), 10)
    except (ConnectionError, ssl.SSLError):
        return b""


@pytest.mark.parametrize("said", [REQUEST, b"\x00\x01\x02\x03" * 50, b"\x80\x02cos\nsystem\n"])
def test_plain_bytes_are_never_parsed(tmp_path: Path, said: bytes) -> None:
    """Somebody without TLS is cut off; not one of its bytes gets an HTTP answer."""

    async def scenario(target: Target) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        writer.write(said)
        assert b"HTTP" not in await ended(reader)
        writer.close()
        await until(lambda: target.rejected == 1)
        assert target.requests == 0

    against(tmp_path, scenario)


def test_tls_without_a_certificate_gets_nothing_parsed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A TLS caller without certificate may send what it likes: it is refused before any of it is read."""

    async def scenario(target: Target) -> None:
        anonymous = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anonymous.check_hostname = False
        anonymous.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port, ssl=anonymous)
        writer.write(REQUEST)
        assert await ended(reader) == b""
        writer.close()
        await until(lambda: target.rejected == 1)
        assert target.requests == 0

    with caplog.at_level(logging.WARNING):
        against(tmp_path, scenario)
    assert "Refused a caller from 127.0.0.1: it showed no certificate" in caplog.text


def test_a_silent_caller_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither an unfinished handshake nor an authenticated caller that says nothing stays."""
    monkeypatch.setattr(listener, "HANDSHAKE_S", 0.3)
    monkeypatch.setattr(listener, "HELLO_S", 0.3)

    async def scenario(target: Target) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
        assert await ended(reader) == b""
        writer.close()
        await until(lambda: target.rejected == 1)
        known = Trust(cluster="test", peer="b", secrets=(Secret(SECRET),)).client
        reader, writer = await asyncio.open_connection("127.0.0.1", target.port, ssl=known)
        assert await ended(reader) == b""
        writer.close()
        await until(lambda: target.rejected == 2)

    against(tmp_path, scenario)


def test_a_crowd_of_idle_strangers_keeps_no_peer_out(tmp_path: Path) -> None:
    """With every place taken by unfinished handshakes, a real peer still gets its link."""

    async def scenario(target: Target) -> None:
        crowd = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(90)]
        async with target.call("b"):
            await until(lambda: target.peer.cluster.status().links["b"], within_s=2.0)
        assert target.rejected >= 90 - listener.CONNECTIONS_MAX
        for _, writer in crowd:
            writer.close()

    against(tmp_path, scenario)


@pytest.mark.parametrize(
    ("name", "why"), [("a", "our own name"), ("z", "no peer"), ("b.c", "no peer"), ("", "no peer")]
)
def test_a_caller_of_our_own_or_an_unknown_name_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, why: str
) -> None:
    """Knowing the secret is not enough: the name must be that of another configured peer."""

    async def scenario(target: Target) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with target.call(name):
                pass
        await until(lambda: target.rejected == 1)
        assert not any(target.peer.cluster.status().links.values())

    with caplog.at_level(logging.WARNING):
        against(tmp_path, scenario)
    assert why in caplog.text


@pytest.mark.parametrize("call", [{"protocol": "watchtower-raft-0"}, {"path": "/other"}], ids=str)
def test_another_protocol_version_is_refused(tmp_path: Path, call: dict[str, str]) -> None:
    """A peer that speaks another protocol gets no link."""

    async def scenario(target: Target) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with target.call("b", **call):
                pass
        await until(lambda: target.rejected == 1)

    against(tmp_path, scenario)


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (frames.encode(HEARTBEAT) + b" " * FRAME_BYTES_MAX, "longer than"),
        (b"not json", "malformed"),
        (b'{"type":"status"}', "unknown type"),
        (
            frames.encode({**HEARTBEAT, "entries": [(b"\2xx", 1, 1)], "prevLogIdx": 0, "prevLogTerm": 0}),
            "none of ours",
        ),
    ],
    ids=["too long", "no JSON", "unknown type", "membership command"],
)
def test_a_bad_frame_ends_the_link_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, frame: bytes, why: str
) -> None:
    """An authenticated peer that sends what no peer sends loses its link; nothing reaches pysyncobj."""

    async def scenario(target: Target) -> None:
        async with target.call("b") as link:
            await until(lambda: target.peer.cluster.status().links["b"])
            await link.send_bytes(frame)
            await until(lambda: not target.peer.cluster.status().links["b"])
        await until(lambda: target.rejected == 1)
        assert target.peer.cluster.status().commit_index == 1

    with caplog.at_level(logging.WARNING):
        against(tmp_path, scenario)
    assert why in caplog.text


def test_text_instead_of_bytes_ends_the_link(tmp_path: Path) -> None:
    """Frames are binary messages."""

    async def scenario(target: Target) -> None:
        async with target.call("b") as link:
            await link.send_str('{"type":"timeout_now","term":1}')
            await until(lambda: target.rejected == 1)

    against(tmp_path, scenario)


def test_a_newer_link_of_a_peer_replaces_the_older(tmp_path: Path) -> None:
    """A peer that dials again after a broken line is served on its new link."""

    async def scenario(target: Target) -> None:
        async with target.call("b") as older, target.call("b") as newer:
            message = await asyncio.wait_for(older.receive(), 5)
            while message.type is aiohttp.WSMsgType.BINARY:
                message = await asyncio.wait_for(older.receive(), 5)
            assert target.peer.cluster.status().links["b"]
            assert not newer.closed

    against(tmp_path, scenario)


def test_votes_and_acknowledgements_of_the_wire_reach_pysyncobj(tmp_path: Path) -> None:
    """A peer that speaks the protocol gets a vote: the allow-list lets the real thing through."""

    async def scenario(target: Target) -> None:
        async with target.call("c") as link:
            vote = {"type": "request_vote", "term": 50, "last_log_index": 9, "last_log_term": 9}
            await link.send_bytes(frames.encode(vote))
            async with asyncio.timeout(5):
                answer = frames.decode((await link.receive()).data)
                while answer["type"] != "response_vote":
                    answer = frames.decode((await link.receive()).data)
            assert answer == {"type": "response_vote", "term": 50, "disks": {}}
            stale = {"type": "append_entries", "term": 3, "commit_index": 0}
            await link.send_bytes(frames.encode(stale))
            async with asyncio.timeout(5):
                told = frames.decode((await link.receive()).data)
            assert told["type"] == "request_vote", "a leader of an old term is told the newer one"
            assert told["term"] == 50

    against(tmp_path, scenario)
