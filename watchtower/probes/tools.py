"""What all probe functions of a process share: resolver, trust, one HTTP session, one way to connect.

Holds no knowledge of services or of what is good. Built once by the Prober; the session is made at
first use because it belongs to the running event loop.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohappyeyeballs
import aiohttp

from watchtower import __version__
from watchtower.core.ports import Clock
from watchtower.probes.certificates import NO_PEMS, Pems, Trust, trust
from watchtower.probes.children import Children
from watchtower.probes.curl import Engine
from watchtower.probes.dial import dial
from watchtower.probes.echoes import Echoes
from watchtower.probes.failures import OwnFaultError
from watchtower.probes.look import CURRENT, Look
from watchtower.probes.means import Means
from watchtower.probes.resolver import AddressInfo, Resolver
from watchtower.probes.roots import roots
from watchtower.probes.tokens import Tokens

NEXT_ADDRESS_AFTER_S: Final = 0.25
"""A host with several addresses: how long one may stay silent before the next is tried (RFC 8305)."""
PEMS_KEPT_S: Final = 600.0
"""After that long a service's own PEM files are read again: libcurl does the same for HTTP."""
HEADER_BYTES_MAX: Final = 16_384
READ_BUFFER_BYTES: Final = 65_536


class Tools:
    """What looking is done with. `link_up(peer)` says whether our cluster link to `peer` is up."""

    def __init__(self, clock: Clock, me: str, link_up: Callable[[str], bool]) -> None:
        self.clock = clock
        self.link_up = link_up
        self.user_agent = f"watchtower/{__version__} (peer={me})"
        self.means = Means()
        self.resolver = Resolver(self._resolved)
        # Read now: OpenSSL passes over a bundle that it cannot open, and a context made in a moment
        # without free descriptors would distrust everybody from then on.
        self._verified = trust(verify=True)
        self._unverified = trust(verify=False)
        self._own: dict[tuple[bool, Pems], tuple[Trust, float]] = {}
        self.echoes = Echoes(clock)
        self.roots = roots()
        self.tokens = Tokens(clock)
        self._engine: Engine | None = None
        self.children = Children()
        self._session: aiohttp.ClientSession | None = None

    def _resolved(self, name: str, is_answered: bool) -> None:  # noqa: FBT001 - an answer, or none
        self.means.note_resolved(name, self.clock.now().boot, answered=is_answered)

    def trust(self, *, verify: bool, pems: Pems = NO_PEMS) -> Trust:
        """The shared context for this setting. Raises OwnFaultError when a file of it cannot be used."""
        if pems == NO_PEMS:
            return self._verified if verify else self._unverified
        now_boot = self.clock.now().boot
        made, read_boot = self._own.get((verify, pems), (None, 0.0))
        if made is None or now_boot - read_boot > PEMS_KEPT_S:
            try:
                made = trust(verify=verify, pems=pems)
            except OSError as error:
                why = getattr(error, "reason", "") or error.strerror or type(error).__name__
                raise OwnFaultError(f"a PEM file of this service cannot be used here ({why})") from None
            self._own[verify, pems] = made, now_boot
        return made

    def engine(self) -> Engine:
        """What every HTTP request goes through, in this event loop."""
        if self._engine is None:
            self._engine = Engine()
        return self._engine

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session of this event loop: no cookies, no proxy, no reuse, no cache, no decoding."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    force_close=True,
                    use_dns_cache=False,
                    resolver=self.resolver,
                    happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S,
                    socket_factory=_socket_of_look,
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                trace_configs=[_phases()],
                read_bufsize=READ_BUFFER_BYTES,
                max_line_size=HEADER_BYTES_MAX,
                max_field_size=HEADER_BYTES_MAX,
            )
        return self._session

    async def connect(self, host: str, port: int, look: Look) -> socket.socket:
        """A socket connected to the first address of `host` that answers. The caller closes it.

        Raises OSError, and UnicodeError for what cannot be a name.
        """
        found = await self.resolver.lookup(host, port)
        look.hop()
        look.enter("connect")
        if len(found) == 1:
            connected = await dial(found[0], look)
        else:
            connected = await aiohappyeyeballs.start_connection(
                found, happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S, interleave=1, socket_factory=_socket_of_look
            )
            look.connected()
        look.enter("")
        return connected

    async def close(self) -> None:
        """Close the session, the resolver, what pings, and what runs."""
        if self._session is not None:
            await self._session.close()
        if self._engine is not None:
            self._engine.close()
        self.echoes.close()
        await self.children.close()
        await self.resolver.close()


def _socket_of_look(info: AddressInfo) -> socket.socket:
    family, kind, proto, _, address = info
    look = CURRENT.get()
    if look is None:
        return socket.socket(family, kind, proto)
    return look.open_socket(family, kind, proto, address)


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
        look.enter("connect")


async def _connected(
    _session: aiohttp.ClientSession,
    _context: SimpleNamespace,
    _params: aiohttp.TraceConnectionCreateEndParams,
) -> None:
    look = CURRENT.get()
    if look is not None:
        look.connected()
        look.enter("first_byte")
