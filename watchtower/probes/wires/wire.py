"""One connection on which lines are spoken, in the clear or over TLS: bounded reading, checked dialogue.

Whatever comes is hostile: no line longer than LINE_BYTES_MAX, no more than READ_BYTES_MAX in all, or
ANSWER_BYTES_MAX once a phase was named, and the deadline of the look ends every wait. Memory is taken for
what has come, never for what was announced. Knows no protocol; greetings.py does.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from watchtower.core.text import clean
from watchtower.probes.failures import ProtocolError
from watchtower.probes.look import Look
from watchtower.probes.wires.secured import Secured

LINE_BYTES_MAX: Final = 4_096
READ_BYTES_MAX: Final = 16_384
ANSWER_BYTES_MAX: Final = 262_144
"""Where somebody logs in and asks for something: login and answer together."""
SHOWN_MAX: Final = 80


class Wire:
    """Lines over a connected socket, in the clear or over the TLS that is spoken on it."""

    def __init__(self, connected: socket.socket, look: Look, secured: Secured | None = None) -> None:
        self._socket = connected
        self._look = look
        self._secured = secured
        self._pending = b""
        self._read_bytes = 0
        self._phase = ""

    def begin(self, phase: str) -> None:
        """From here on waiting belongs to `phase`, where it was the first byte and the transfer before."""
        self._phase = phase
        self._look.enter(phase)

    @property
    def is_secured(self) -> bool:
        """True over TLS."""
        return self._secured is not None

    @property
    def unread(self) -> bytes:
        """What has come and was not taken yet."""
        return self._pending

    @property
    def local_ip(self) -> str:
        """Our own address on this connection."""
        return str(self._socket.getsockname()[0])

    def left_s(self) -> float:
        """Seconds until the deadline of the look."""
        return self._look.left_s()

    async def line(self) -> str:
        """The next line without its end. Raises ProtocolError beyond the limits, EOFError at the end."""
        while b"\n" not in self._pending:
            if len(self._pending) > LINE_BYTES_MAX:
                raise ProtocolError(f"a line of more than {LINE_BYTES_MAX} bytes: {quoted(self._pending)}")
            if not await self.more():
                raise EOFError if not self._pending else _broken_off(self._pending)
        line, _, self._pending = self._pending.partition(b"\n")
        if len(line) > LINE_BYTES_MAX:
            raise ProtocolError(f"a line of more than {LINE_BYTES_MAX} bytes: {quoted(line)}")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    async def exactly(self, count: int) -> bytes:
        """The next `count` bytes. Raises ProtocolError when they would be too many, EOFError at the end."""
        if self._read_bytes - len(self._pending) + count > self._most():
            raise self._too_much()
        while len(self._pending) < count:
            if not await self.more():
                raise EOFError if not self._pending else _broken_off(self._pending, "message")
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken

    async def more(self) -> bytes:
        """Everything received and not yet taken, after waiting for more; b"" at the end."""
        chunk = await self.take()
        self._pending += chunk
        return self._pending if chunk else b""

    async def take(self) -> bytes:
        """What comes next, as it comes; b"" at the end. Raises ProtocolError beyond the limit."""
        if self._read_bytes >= self._most():
            raise self._too_much()
        if not self._phase and not self._read_bytes:
            self._look.enter("first_byte")
        if self._read_bytes > READ_BYTES_MAX:
            # What has come already is had without waiting: a flood would keep everybody else waiting.
            await asyncio.sleep(0)  # noqa: TID251 - gives the others their turn
        chunk = await self._receive(LINE_BYTES_MAX)
        if chunk and not self._phase:
            self._look.enter("transfer")
        self._read_bytes += len(chunk)
        return chunk

    async def say(self, line: str) -> None:
        """Send a line."""
        await self.send(line.encode() + b"\r\n")

    async def send(self, words: bytes) -> None:
        """Send `words` as they are."""
        if self._secured is not None:
            await self._secured.send(words)
        else:
            await asyncio.get_running_loop().sock_sendall(self._socket, words)

    def take_leave(self, line: str) -> None:
        """Say a last line if that can be done without waiting, so that no log complains; then hang up."""
        self.part(line.encode() + b"\r\n")

    def part(self, words: bytes) -> None:
        """The same with `words` as they are."""
        self._look.enter("")
        with contextlib.suppress(OSError):
            if self._secured is not None:
                self._secured.send_now(words)
            else:
                self._socket.send(words)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection, whatever state it is in."""
        self._socket.close()

    def check_silence(self) -> None:
        """Raise ProtocolError when something is left unread where TLS is to begin.

        What came in the clear after the go-ahead would be taken for protected text (CVE-2011-0411).
        """
        if self._pending:
            raise ProtocolError(f"says more in the clear where TLS begins: {quoted(self._pending)}")

    def _most(self) -> int:
        return ANSWER_BYTES_MAX if self._phase else READ_BYTES_MAX

    def _too_much(self) -> ProtocolError:
        if not self._phase:
            return ProtocolError(f"more than {READ_BYTES_MAX} bytes where a short answer belongs")
        return ProtocolError(f"sends or announces more than {ANSWER_BYTES_MAX // 1024} KiB: ask for less")

    async def _receive(self, most: int) -> bytes:
        if self._secured is not None:
            return await self._secured.receive(most)
        return await asyncio.get_running_loop().sock_recv(self._socket, most)


def quoted(words: bytes | str) -> str:
    """Foreign words as evidence: one short clean line in quotes; what is binary is told by its size."""
    text = words.decode("utf-8", "replace") if isinstance(words, bytes) else words
    odd = sum((not char.isprintable() and not char.isspace()) or char == "\ufffd" for char in text)
    if odd * 4 > len(text):
        return f"{len(words)} bytes of binary data"
    return f'"{clean(text, SHOWN_MAX)}"'


def _broken_off(pending: bytes, what: str = "line") -> ProtocolError:
    return ProtocolError(f"closed in the middle of a {what}: {quoted(pending)}")
