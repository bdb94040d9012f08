"""Mail servers for probes: aiosmtpd, and a small one of ours that speaks IMAP, with STARTTLS or without.

They are real on the wire: greeting, commands, TLS by Python's ssl. What they do is all they decide.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from aiosmtpd.smtp import SMTP
from support.targets import Handler


@contextlib.asynccontextmanager
async def smtp_server(context: ssl.SSLContext | None = None, *, over_tls: bool = False) -> AsyncIterator[int]:
    """The port of an aiosmtpd; a context is for STARTTLS, or for TLS from the first byte on."""
    loop = asyncio.get_running_loop()
    talks: list[SMTP] = []

    def conversation() -> SMTP:
        starttls = None if over_tls else context
        talks.append(SMTP(object(), hostname="mail.example", tls_context=starttls, loop=loop))
        return talks[-1]

    server = await loop.create_server(conversation, "127.0.0.1", 0, ssl=context if over_tls else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for talk in talks:
            if talk.transport is not None:
                talk.transport.close()
            if talk._handler_coroutine is not None:
                talk._handler_coroutine.cancel()
                await asyncio.gather(talk._handler_coroutine, return_exceptions=True)
        await server.wait_closed()


def imap(context: ssl.SSLContext | None = None) -> Handler:
    """A handler that greets as IMAP servers do and knows LOGOUT, and STARTTLS when it has a context."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1] Test IMAP ready.\r\n")
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            if command.upper() == "STARTTLS" and context is not None:
                writer.write(f"* CAPABILITY IMAP4rev1\r\n{tag} OK Begin TLS negotiation now.\r\n".encode())
                await writer.drain()
                await writer.start_tls(context)
            elif command.upper() == "LOGOUT":
                writer.write(f"* BYE Logging out\r\n{tag} OK Logout completed.\r\n".encode())
                await writer.drain()
                return
            else:
                writer.write(f"{tag} BAD Unknown command.\r\n".encode())

    return handler
