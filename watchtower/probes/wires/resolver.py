"""Names to addresses, asked anew at every look, the way every other program on this machine asks.

`getaddrinfo` honours /etc/hosts, search domains and nsswitch. It blocks, so it runs in threads of
its own, shared with nobody; when all of them hang in a dead name server, a look that waits for one
says so instead of blaming its service. No name is cached: a failover in DNS is seen at once.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, Final

from watchtower.probes.look import CURRENT, Look

THREADS: Final = 32
ADDRESSES_MAX: Final = 8
REMEMBERED_MAX: Final = 4_096

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, canonical name and socket address, as getaddrinfo gives them."""

Note = Callable[[str, bool], None]
"""(name, whether it was answered: that there is no such name is an answer)"""

_NO_ANSWER: Final = (socket.EAI_AGAIN, socket.EAI_FAIL)


class Resolver:
    """Resolves for every probe kind."""

    def __init__(self, note: Note | None = None) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="resolve")
        self._note = note or _forget

    async def lookup(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[AddressInfo]:
        """Addresses of `host` for TCP, best first, at most ADDRESSES_MAX.

        Enters the phase `resolve` of the current look. Raises socket.gaierror when there are none,
        UnicodeError for what cannot be a name.
        """
        if is_address(host):
            # The number of an interface (fe80::1%eth0) may change; nothing else about an address does.
            return (_numeric if "%" in host else _remembered)(host, port, family).copy()
        look = CURRENT.get()
        if look is not None:
            look.enter("resolve")
        asked = self._threads.submit(_ask, host, port, family)
        try:
            found = await asyncio.wrap_future(asked)
        except asyncio.CancelledError:
            _blame_self(look, was_waiting=asked.cancel())
            self._note(host, False)
            raise
        except socket.gaierror as error:
            self._note(host, error.errno not in _NO_ANSWER)
            raise
        self._note(host, True)
        if look is not None:
            look.enter("")
        return found[:ADDRESSES_MAX]

    async def close(self) -> None:
        """Stop taking questions; threads that hang in a dead name server are not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@lru_cache(REMEMBERED_MAX)
def is_address(host: str) -> bool:
    """True for an IP address, which needs no resolving."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _numeric(host: str, port: int, family: int) -> list[AddressInfo]:
    return _ask(host, port, family, socket.AI_NUMERICHOST)


_remembered: Final = lru_cache(REMEMBERED_MAX)(_numeric)


def _ask(host: str, port: int, family: int, flags: int = 0) -> list[AddressInfo]:
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    except OSError:
        # Without a free descriptor getaddrinfo claims that the name does not exist. This tells the truth.
        socket.socket().close()
        raise
    return [(int(af), int(kind), proto, name, address) for af, kind, proto, name, address in found]


def _forget(_name: str, _is_answered: bool) -> None:  # noqa: FBT001 - the shape of Note
    """Nobody wants to know."""


def _blame_self(look: Look | None, *, was_waiting: bool) -> None:
    if look is not None and was_waiting:
        look.own_fault = f"all {THREADS} resolver threads of this peer are busy"
