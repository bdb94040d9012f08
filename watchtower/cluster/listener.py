"""Where other peers call: the raft port, with nothing behind it until TLS has named the caller.

It binds `raft_host` alone when that is an IP address of this machine, or `localhost`; for any other name
it binds all interfaces, because a name may mean 127.0.1.1 here and something else elsewhere. At most
64 connections are open; when more come, the oldest unfinished handshake gives way, so that a crowd of
idle strangers keeps no peer out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from weakref import WeakSet

from aiohttp import web

from watchtower.cluster.strangers import Strangers, handshake_reason
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 2.0
HELLO_S: Final = 2.0
CONNECTIONS_MAX: Final = 64
_PAUSE_S: Final = 0.2

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """Accepts, authenticates, and hands each caller that names itself in time to `answer`."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext, answer: Answer, strangers: Strangers
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._answer = answer
        self._strangers = strangers
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._open: WeakSet[asyncio.Transport] = WeakSet()
        self._welcome: set[asyncio.BaseTransport] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []

    async def start(self) -> None:
        """Bind and accept. Raises ClusterError when the address is taken or not allowed."""
        self._sockets = _bind(self._host, self._port)
        self._server = web.Server(self._answer, access_log=None)
        self._tasks = [asyncio.create_task(self._accept(listening)) for listening in self._sockets]

    async def stop(self) -> None:
        """Stop accepting and close what is open."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        while self._handshakes:
            self._give_up_oldest()
        await asyncio.gather(*self._ending, return_exceptions=True)
        if self._sockets:
            await self._server.shutdown(timeout=1.0)
        for transport in self._open:
            # On Python 3.11.2 (Debian 12) aborting a TLS transport that was closed twice raises this.
            with suppress(AttributeError):
                transport.abort()

    def welcome(self, transport: asyncio.BaseTransport | None) -> None:
        """This caller has said who it is; it may stay."""
        if transport is not None:
            self._welcome.add(transport)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                caller, address = await loop.sock_accept(listening)
            except OSError as error:  # too many open files: wait until some are closed
                _log.warning("Cannot accept a connection from a peer: %s.", error.strerror)
                await asyncio.sleep(_PAUSE_S)  # noqa: TID251 - the accept pump paces itself
                continue
            if not self._make_room():
                self._strangers.turn_away(f"a caller from {address[0]}", "too many connections are open")
                caller.close()
                continue
            caller.setblocking(False)
            task = asyncio.create_task(self._admit(caller, str(address[0])))
            self._handshakes[task] = caller
            task.add_done_callback(self._handshake_done)

    def _make_room(self) -> bool:
        """Keep the number of connections in its limit; False when nothing can give way."""
        if len(self._handshakes) + len(self._server.connections) < CONNECTIONS_MAX:
            return True
        if not self._handshakes:
            return False
        self._give_up_oldest()
        return True

    def _give_up_oldest(self) -> None:
        """Hang up on the oldest unfinished handshake: it then fails by itself and closes everything."""
        # Cancelling its task instead could leak the socket.
        task, caller = next(iter(self._handshakes.items()))
        del self._handshakes[task]
        self._ending.add(task)
        with suppress(OSError):
            caller.shutdown(socket.SHUT_RDWR)

    def _handshake_done(self, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)
        self._ending.discard(task)

    async def _admit(self, caller: socket.socket, address: str) -> None:
        """Authenticate one caller. Not a byte is parsed before that, and none at all if it fails."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.connect_accepted_socket(
                self._server,
                caller,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=0.5,
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            self._strangers.turn_away(f"a caller from {address}", handshake_reason(error))
        else:
            self._open.add(transport)
            loop.call_later(HELLO_S, self._cut_off_silent, transport, address)

    def _cut_off_silent(self, transport: asyncio.Transport, address: str) -> None:
        if transport in self._welcome:
            self._welcome.discard(transport)
        elif not transport.is_closing():
            self._strangers.turn_away(f"a caller from {address}", "it did not say what it wants in time")
            transport.abort()


def _bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for `host`. Raises ClusterError with the address and what to do."""
    try:
        return _sockets(host, port)
    except OSError as error:
        raise ClusterError(
            f"cannot listen for other peers on {host}:{port}: {error.strerror or error}. "
            "Is another process using the port? `raft:` of this peer names host and port."
        ) from error


def _sockets(host: str, port: int) -> list[socket.socket]:
    literal = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if _is_local(literal):
        family = socket.AF_INET6 if ":" in literal else socket.AF_INET
        return [_listening((literal, port), family=family)]
    if socket.has_dualstack_ipv6():
        return [_listening(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)]
    return [_listening(("0.0.0.0", port), family=socket.AF_INET)]  # noqa: S104 - peers call from anywhere; TLS decides


def _listening(address: tuple[str, int], **options: Any) -> socket.socket:
    listening = socket.create_server(address, backlog=CONNECTIONS_MAX, **options)
    listening.setblocking(False)
    return listening


def _is_local(literal: str) -> bool:
    """True when `literal` is an IP address that this machine has."""
    try:
        version = ipaddress.ip_address(literal).version
    except ValueError:
        return False
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((literal, 0))
        except OSError:
            return False
    return True
