"""aiohttp as WebSocket looks use it: one session a process, which tells the look where it stands.

The only file beside ws.py that imports aiohttp, and both are imported with the first WebSocket: its ten
megabytes are not for every peer. Its errors leave as those that all looks have in common.
"""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from watchtower.probes.failures import BrokenOffError, ProtocolError
from watchtower.probes.look import CURRENT, socket_of_look
from watchtower.probes.wires.dial import NEXT_ADDRESS_AFTER_S
from watchtower.probes.wires.resolver import AddressInfo, Resolver

HEADER_BYTES_MAX: Final = 16_384
READ_BUFFER_BYTES: Final = 65_536


def session(resolver: Resolver) -> aiohttp.ClientSession:
    """A session of this event loop: no cookies, no proxy, no reuse, no cache, no decoding."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=0,
            force_close=True,
            use_dns_cache=False,
            resolver=_Names(resolver),
            happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S,
            socket_factory=socket_of_look,
        ),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trace_configs=[_phases()],
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=HEADER_BYTES_MAX,
        max_field_size=HEADER_BYTES_MAX,
    )


def plain(error: aiohttp.ClientError) -> Exception:
    """The error as looks of all kinds have it: that of the socket or TLS inside, or what it means."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    if isinstance(inner, Exception):
        return inner
    match error:
        case OSError():
            return error
        case aiohttp.ServerDisconnectedError():
            return EOFError()
        case aiohttp.ClientPayloadError():
            return BrokenOffError("the answer broke off")
        case aiohttp.ClientResponseError():
            # Behind the colon stands what came, as Python writes bytes.
            return ProtocolError(f"not a valid HTTP answer: {error.message.partition(':')[0].lower()}")
        case _:
            return ProtocolError(f"{type(error).__name__}: {error}")


class _Names(AbstractResolver):
    """Our resolver in aiohttp's shape; the phase `connect` begins where it ends."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host`, best first."""
        found = await self._resolver.lookup(host, port, family)
        look = CURRENT.get()
        if look is not None:
            look.enter("connect")
        return [_result(host, info) for info in found]

    async def close(self) -> None:
        """The resolver is not ours to close."""


def _result(name: str, info: AddressInfo) -> ResolveResult:
    family, _, proto, _, address = info
    scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
    return ResolveResult(
        hostname=name,
        host=f"{address[0]}{scope}",
        port=address[1],
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST,
    )


def _phases() -> aiohttp.TraceConfig:
    """Tells the current look where aiohttp stands; resolver and trust tell it what lies between."""
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(_connecting)
    tracing.on_connection_create_end.append(_connected)
    tracing.on_request_redirect.append(_redirected)
    return tracing


async def _redirected(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    params: aiohttp.TraceRequestRedirectParams,
) -> None:
    """A WebSocket handshake is the only request that aiohttp would send on by itself, headers and all."""
    answer = params.response
    answer.close()
    raise aiohttp.WSServerHandshakeError(answer.request_info, (), status=answer.status)


async def _connecting(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    _params: aiohttp.TraceConnectionCreateStartParams,
) -> None:
    look = CURRENT.get()
    if look is not None:
        look.hop()


async def _connected(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    _params: aiohttp.TraceConnectionCreateEndParams,
) -> None:
    look = CURRENT.get()
    if look is not None:
        look.connected()
        look.enter("first_byte")
