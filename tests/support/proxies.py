"""A proxy on loopback for HTTP: it tunnels (CONNECT) or passes on, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from support.targets import Listener


class Proxy(Listener):
    """Sends all to 127.0.0.1 at the port asked for, whatever host is named; or refuses with `status`.

    `onward` names another port for some of what is asked for, as {"hooks.slack.com:443": 8443}, and under
    `*` one for everything else.
    """

    def __init__(self, status: int = 200, onward: dict[str, int] | None = None) -> None:
        super().__init__(self._pass_on)
        self.is_cut = ""
        """`refused` hangs up at once, `silent` takes what comes and never answers; "" passes on."""
        self._status = status
        self._onward = onward or {}
        self.heads: list[str] = []

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        if self.is_cut:
            await (reader.read() if self.is_cut == "silent" else writer.drain())
            return
        method, where, _ = head.decode().split(" ", 2)
        if self._status != 200:
            writer.write(f"HTTP/1.1 {self._status} No\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        authority = where if method == "CONNECT" else where.split("/")[2]
        port = self._onward.get(authority) or self._onward.get("*") or int(authority.split(":")[1])
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connected\r\nX-Of-The-Proxy: yes\r\n\r\n")
        else:
            lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Proxy-")]
            lines[0] = lines[0].replace(b"http://" + authority.encode(), b"", 1)
            onward_writer.write(b"\r\n".join(lines))
        try:
            await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
        finally:
            onward_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


@contextmanager
def in_thread(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy at work in a loop of its own, for tests that block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def done(work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(5)  # type: ignore[arg-type] # both are coroutines

    done(proxy.__aenter__())
    try:
        yield proxy
    finally:
        done(proxy.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
