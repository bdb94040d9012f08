"""HTTP servers that mean harm: each says or does one thing that no honest server would.

They go on until the probe hangs up. What a look makes of them is for the tests to say.
"""

from __future__ import annotations

import asyncio
import zlib

from support.targets import Handler, reset

HEAD = b"HTTP/1.1 200 OK\r\n"
MEBIBYTE = 1_048_576


def asked(words: bytes, then: Handler) -> Handler:
    """Hear the question out, say `words`, go on as `then`: what is reset early would be lost with it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(words)
        await writer.drain()
        await then(reader, writer)

    return handler


def byte_by_byte(words: bytes, pause_s: float = 0.0) -> Handler:
    """Say `words` in segments of one byte each."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(len(words)):
            writer.write(words[at : at + 1])
            await writer.drain()
            await asyncio.sleep(pause_s)  # noqa: TID251 - this server is slow on purpose
        await reader.read()

    return handler


def flood(begin: bytes, piece: bytes, total_bytes: int) -> Handler:
    """Say `begin`, then `piece` again and again as fast as it is taken, up to `total_bytes`."""

    async def handler(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        for _ in range(total_bytes // len(piece)):
            writer.write(piece)
            await writer.drain()

    return handler


def drip(begin: bytes, piece: bytes, pause_s: float) -> Handler:
    """Say `begin`, then `piece` at every `pause_s`, without end."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while not reader.at_eof():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)  # noqa: TID251 - this server is slow on purpose

    return handler


def bomb(mebibytes: int) -> bytes:
    """A gzip body of about a thousandth of the size that it unpacks to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(MEBIBYTE)) for _ in range(mebibytes)) + packer.flush()


def reset_after(words: bytes) -> Handler:
    """Hear the question, say `words`, and reset the connection."""
    return asked(words, reset)


def rss_bytes() -> int:
    """Memory of this process that is in RAM."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - read at once, no path wanted
        return int(statm.read().split()[1]) * 4096
