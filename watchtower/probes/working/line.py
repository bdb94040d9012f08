"""One end of the socket between a peer and a probe worker: frames in, frames out, never waits.

What cannot be written yet is kept, and `held` says how much that is: who sends decides when it is too much.
Closed, it leaves nothing behind in the loop. Knows no message.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from watchtower.probes.working.messages import Frames

READ_BYTES: Final = 256 * 1024


class Line:
    """Reads until `close`. `on_body` gets each message, `on_end` the reason why there will be no more."""

    def __init__(
        self, end: socket.socket, on_body: Callable[[bytes], None], on_end: Callable[[str], None]
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._on_body, self._on_end = on_body, on_end
        self._frames = Frames()
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._is_open = True
        self._loop.add_reader(end.fileno(), self._read)

    @property
    def held(self) -> int:
        """Bytes that wait to be written."""
        return len(self._unsent)

    def send(self, framed: bytes) -> None:
        """Send, now or as soon as the other end reads; nothing happens on a closed line."""
        if not self._is_open:
            return
        if self._unsent:
            self._unsent += framed
            return
        try:
            sent = self._socket.send(framed)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the other end is gone: reading says so
        if sent < len(framed):
            self._unsent += framed[sent:]
            self._loop.add_writer(self._socket.fileno(), self._write)

    def close(self) -> None:
        """Close this end; the other end reads the end of the stream."""
        if self._is_open:
            self._is_open = False
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._socket.fileno())

    def _read(self) -> None:
        try:
            more = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(f"cannot be read: {error.strerror}")
            return
        if not more:
            self._end("was closed")
            return
        try:
            bodies = self._frames.feed(more)
        except ValueError as error:
            self._end(f"carries nonsense: {error}")
            return
        for body in bodies:
            if self._is_open:
                self._on_body(body)

    def _end(self, why: str) -> None:
        self.close()
        self._on_end(why)
