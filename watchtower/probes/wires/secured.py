"""TLS over a connected socket, pumped by hand: OpenSSL works on buffers in memory, this file on the socket.

One read of the socket takes in all that a server has sent, and no transport, protocol or stream stands in
between: that was half the cost of a handshake. Knows nothing of certificates; what is wrong with one, OpenSSL
says. The deadline of the look ends every wait. The socket stays its maker's, who closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

_PIECE_BYTES: Final = 16_384


class Secured:
    """A connection on which `name` is to speak TLS. Nothing is said before `handshake`."""

    def __init__(self, connected: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    async def handshake(self) -> None:
        """Shake hands. Raises OSError, of which ssl.SSLError is one."""
        while True:
            try:
                self._ssl.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the alert, in which the server reads why we leave
                    self._socket.send(self._outgoing.read())
                raise
            else:
                await self._flush()
                return

    async def receive(self, most: int) -> bytes:
        """At most so many bytes as soon as there are any; b"" at the end, in order or not."""
        while True:
            try:
                return self._ssl.read(most)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take_in()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    async def send(self, words: bytes) -> None:
        """Send all of it."""
        self._ssl.write(words)
        await self._flush()

    def send_now(self, words: bytes) -> None:
        """Send what can be sent without waiting. Raises OSError."""
        self._ssl.write(words)
        self._socket.send(self._outgoing.read())

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._loop.sock_sendall(self._socket, self._outgoing.read())

    async def _take_in(self) -> None:
        received = await self._loop.sock_recv(self._socket, _PIECE_BYTES)
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()
