"""What all probe functions of a process share: resolver, trust, the HTTP engine, one way to connect.

Holds no knowledge of services or of what is good. Built once by the Prober; engine and session are made at
first use because they belong to the running event loop.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import aiohappyeyeballs

from watchtower import __version__
from watchtower.core.ports import Clock
from watchtower.probes.curl.engine import Engine
from watchtower.probes.curl.roots import roots
from watchtower.probes.curl.tokens import Tokens
from watchtower.probes.failures import OwnFaultError
from watchtower.probes.look import Look, socket_of_look
from watchtower.probes.pace.means import Means
from watchtower.probes.programs.children import Children
from watchtower.probes.wires.certificates import NO_PEMS, Pems, Trust, trust
from watchtower.probes.wires.dial import NEXT_ADDRESS_AFTER_S, dial
from watchtower.probes.wires.echoes import Echoes
from watchtower.probes.wires.resolver import Resolver

if TYPE_CHECKING:
    import aiohttp

PEMS_KEPT_S: Final = 600.0
"""After that long a service's own PEM files are read again: libcurl does the same for HTTP."""


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
        """The session that WebSockets begin in, in this event loop."""
        if self._session is None:
            from watchtower.probes.wires.websession import session  # noqa: PLC0415 - aiohttp is for WebSockets alone

            self._session = session(self.resolver)
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
                found, happy_eyeballs_delay=NEXT_ADDRESS_AFTER_S, interleave=1, socket_factory=socket_of_look
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
