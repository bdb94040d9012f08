"""The wires between peers: WebSockets over mutual TLS 1.3, one per pair; the higher name dials the lower.

A caller is authenticated by TLS before anything it sent is parsed; its name is the one in its
certificate, and it must be a configured peer other than this one. Handshakes, connections, frames and
queues have limits; who exceeds them is counted, logged and cut off. Names resolve without blocking.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

import aiohttp
from aiohttp import WSMsgType, web
from yarl import URL

from watchtower.cluster import frames
from watchtower.cluster.frames import FRAME_BYTES_MAX, FrameError, Message
from watchtower.cluster.listener import Listener
from watchtower.cluster.strangers import Strangers, handshake_reason
from watchtower.cluster.trust import Trust
from watchtower.core.settings import LAN, PeerSettings

_log = logging.getLogger(__name__)

PROTOCOL: Final = "watchtower-raft-1"
PATH: Final = "/raft"
_DIAL_S: Final = 2.0
_REDIAL_S: Final = 0.5
_LAST_LOOK_S: Final = 0.02
_BACKLOG_BYTES_MAX: Final = 64 * 2**20
_BACKLOG_FRAMES_MAX: Final = 10_000

Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


class Receiver(Protocol):
    """Who wants to know what the links do."""

    def connected(self, peer: str) -> None:
        """A link to `peer` is up."""

    def disconnected(self, peer: str) -> None:
        """The link to `peer` is gone."""

    def received(self, peer: str, message: Message) -> None:
        """`peer` sent `message`."""


class Links:
    """All links of peer `me`. Belongs to the loop that starts it."""

    def __init__(
        self, me: str, peers: tuple[PeerSettings, ...], trust: Trust, silence_s: float = LAN.connection_s
    ) -> None:
        self._me = me
        # A silent link is asked after this, and dead after half as much again.
        self._ask_after_s = silence_s / 1.5
        self._trust = trust
        self._partners = {peer.name: peer for peer in peers if peer.name != me}
        self._strangers = Strangers()
        own = next(peer for peer in peers if peer.name == me)
        self._listener = Listener(own.raft_host, own.raft_port, trust.server, self._answer, self._strangers)
        self._session: aiohttp.ClientSession | None = None
        self._links: dict[str, _Link] = {}
        self._dialling: dict[str, asyncio.Task[None]] = {}

    @property
    def up(self) -> dict[str, bool]:
        """Each partner, and whether a link to it is up."""
        return {name: name in self._links for name in self._partners}

    @property
    def rejected(self) -> int:
        """Connections refused so far."""
        return self._strangers.count

    async def start(self, receiver: Receiver) -> None:
        """Listen, and begin to dial. Raises ClusterError when this peer's address cannot be bound."""
        self._receiver = receiver
        await self._listener.start()
        connector = aiohttp.TCPConnector(ssl=self._trust.client, force_close=True, ttl_dns_cache=5, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=False)
        self._dial_all(self._session)

    def relink(self, peers: tuple[PeerSettings, ...]) -> None:
        """Peers have moved, come or gone: the names stay who they are, the addresses are these."""
        before, self._partners = self._partners, {peer.name: peer for peer in peers if peer.name != self._me}
        for name in [name for name, peer in before.items() if self._partners.get(name) != peer]:
            if name in self._dialling:
                self._dialling.pop(name).cancel()
            if name in self._links:
                self._links[name].abandon()
        if self._session is not None:
            self._dial_all(self._session)

    def _dial_all(self, session: aiohttp.ClientSession) -> None:
        """The higher name dials the lower, so that there is one link for two."""
        for name, peer in self._partners.items():
            if name < self._me and name not in self._dialling:
                self._dialling[name] = asyncio.create_task(self._keep_dialling(session, peer))

    async def stop(self) -> None:
        """Close every link and the listener."""
        for task in self._dialling.values():
            task.cancel()
        await asyncio.gather(*self._dialling.values(), return_exceptions=True)
        for link in list(self._links.values()):
            await link.close()
        await self._listener.stop()
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(_LAST_LOOK_S)  # noqa: TID251 - the loop must still see the sockets end

    def send(self, peer: str, message: Message) -> bool:
        """Queue `message` for `peer`; False when there is no link."""
        link = self._links.get(peer)
        return link is not None and link.queue(frames.encode(message))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve one authenticated caller until its link ends."""
        transport = request.transport
        tls = transport.get_extra_info("ssl_object") if transport is not None else None
        peer = self._trust.peer_name(tls)
        refusal = self._refusal(request, peer)
        if refusal or peer is None:
            self._strangers.turn_away(f"a caller from {request.remote} named {peer!r}", refusal)
            return web.Response(status=403)
        answer = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            heartbeat=self._ask_after_s,
            max_msg_size=FRAME_BYTES_MAX,
            compress=False,
            timeout=_REDIAL_S,
        )
        await answer.prepare(request)
        self._listener.welcome(transport)
        await self._run(peer, answer)
        return answer

    def _refusal(self, request: web.BaseRequest, peer: str | None) -> str:
        """Why this caller gets no link; "" when it does."""
        if peer == self._me:
            return "it has our own name: two peers run under one name, or a peer calls itself"
        if peer not in self._partners:
            return "it is no peer of this configuration"
        if request.path != PATH or PROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
            return "it speaks another version of the protocol between peers"
        return ""

    async def _keep_dialling(self, session: aiohttp.ClientSession, peer: PeerSettings) -> None:
        """Keep a link to `peer`, for ever."""
        said = ""
        while True:
            try:
                trouble = await self._dial(session, peer)
            except Exception:  # noqa: BLE001 - the root of dialling: one bad try must not be the last
                _log.exception("Dialling peer %s failed.", peer.name)
                trouble = "it failed here, see above"
            if trouble != said:
                _log.info("Link to peer %s: %s.", peer.name, trouble or "closed")
            said = trouble
            await asyncio.sleep(_REDIAL_S)  # noqa: TID251 - redialling paces itself

    async def _dial(self, session: aiohttp.ClientSession, peer: PeerSettings) -> str:
        """Connect once and serve the link until it ends. Returns why there was none, else ""."""
        url = URL.build(scheme="https", host=peer.raft_host, port=peer.raft_port, path=PATH)
        try:
            async with asyncio.timeout(_DIAL_S):
                answer = await session.ws_connect(
                    url,
                    protocols=(PROTOCOL,),
                    heartbeat=self._ask_after_s,
                    max_msg_size=FRAME_BYTES_MAX,
                    timeout=aiohttp.ClientWSTimeout(ws_close=_REDIAL_S),
                )
        except aiohttp.ClientConnectorCertificateError as error:
            return self._wrong_host(peer, handshake_reason(error.certificate_error))
        except aiohttp.ClientConnectorSSLError as error:
            return self._wrong_host(peer, handshake_reason(error.os_error))
        except aiohttp.WSServerHandshakeError as error:
            return f"it refused us (status {error.status}); its log says why"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return f"not reachable at {peer.raft_host}:{peer.raft_port} ({type(error).__name__})"
        return await self._serve_dialled(peer, answer)

    async def _serve_dialled(self, peer: PeerSettings, answer: aiohttp.ClientWebSocketResponse) -> str:
        name = self._trust.peer_name(answer.get_extra_info("ssl_object"))
        if name != peer.name:
            await answer.close()
            return self._wrong_host(peer, f"it is peer {name!r}")
        if answer.protocol != PROTOCOL:
            await answer.close()
            return self._wrong_host(peer, "it speaks another version of the protocol between peers")
        await self._run(peer.name, answer)
        return ""

    def _wrong_host(self, peer: PeerSettings, why: str) -> str:
        self._strangers.turn_away(f"the host at {peer.raft_host}:{peer.raft_port}, asked as {peer.name}", why)
        return why

    async def _run(self, peer: str, answer: Socket) -> None:
        """Serve one link from its first frame to its last. A newer link ends an older one."""
        older = self._links.get(peer)
        if older is not None:
            _log.warning("Peer %s connected anew while its link was up; the older link is closed.", peer)
            self._ended(peer, older)
            older.abandon()
        link = _Link(answer)
        self._links[peer] = link
        _log.info("Link to peer %s is up.", peer)
        try:
            self._receiver.connected(peer)
            await link.serve(lambda frame: self._took(peer, link, frame))
        except FrameError as error:
            self._strangers.turn_away(f"a frame of peer {peer}", str(error))
        except aiohttp.ClientConnectionResetError:
            _log.info("Link to peer %s broke.", peer)
        except Exception:  # noqa: BLE001 - the root of a link: one bad message ends the link, not the peer
            _log.exception("Link to peer %s failed.", peer)
        finally:
            self._ended(peer, link)
            await link.close()

    def _took(self, peer: str, link: _Link, frame: bytes) -> None:
        """A frame of the link that counts; what an abandoned one still brings is of the past."""
        if self._links.get(peer) is link:
            self._receiver.received(peer, frames.decode(frame))

    def _ended(self, peer: str, link: _Link) -> None:
        if self._links.get(peer) is link:
            del self._links[peer]
            _log.info("Link to peer %s is down.", peer)
            self._receiver.disconnected(peer)


class _Link:
    """One open WebSocket with its queue of outgoing frames."""

    def __init__(self, answer: Socket) -> None:
        self._answer = answer
        self._socket = answer.get_extra_info("socket")
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._closed = False

    def queue(self, frame: bytes) -> bool:
        """Queue one frame; a link that cannot keep up is closed."""
        if self._closed:
            return False
        if self._bytes > _BACKLOG_BYTES_MAX or len(self._frames) >= _BACKLOG_FRAMES_MAX:
            _log.warning("A link cannot keep up with %d bytes to send; it is closed.", self._bytes)
            self.abandon()
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        self._wake.set()
        return True

    async def serve(self, on_frame: Callable[[bytes], None]) -> None:
        """Write what is queued and hand over what arrives, until either side ends. Raises FrameError."""
        writer = asyncio.create_task(self._write())
        try:
            async for message in self._answer:
                if message.type is WSMsgType.ERROR:
                    _judge(message.data)
                    return
                if message.type is not WSMsgType.BINARY:
                    raise FrameError("not a binary message")
                on_frame(message.data)
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    def abandon(self) -> None:
        """End the link without waiting for the other side."""
        self._closed = True
        self._wake.set()

    async def close(self) -> None:
        """End the link: politely within half a second, then for certain."""
        self._closed = True
        await self._answer.close()
        # TLS would wait half a minute for the other side to say goodbye.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    async def _write(self) -> None:
        while not self._closed:
            while self._frames:
                frame = self._frames.popleft()
                self._bytes -= len(frame)
                await self._answer.send_bytes(frame)
            self._wake.clear()
            await self._wake.wait()
        await self._answer.close()


def _judge(error: object) -> None:
    """Raise FrameError when a link ended by what the other side sent, not because the connection broke."""
    if not isinstance(error, aiohttp.WebSocketError):
        return
    if error.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        raise FrameError(f"longer than {FRAME_BYTES_MAX} bytes")
    raise FrameError("broken WebSocket framing")
