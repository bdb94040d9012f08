"""The addresses that a service is looked at by: from the system's resolver, or from one that it names.

Names never reach libcurl's own resolver, so that nothing is cached, failures of DNS keep their names, and
the phase `resolve` is ours.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from watchtower.probes.look import Look
from watchtower.probes.wires.questions import host_and_port
from watchtower.probes.wires.resolver import ADDRESSES_MAX, Resolver, is_address

_FAMILIES: Final = {"": socket.AF_UNSPEC, "4": socket.AF_INET, "6": socket.AF_INET6}
_TYPES: Final = {"": ("AAAA", "A"), "4": ("A",), "6": ("AAAA",)}


async def addresses(
    host: str, port: int, resolver: Resolver, look: Look, *, ip: str, server: str
) -> list[str]:
    """Addresses of `host`, best first, of the family `ip`; from DNS `server` if one is named.

    Raises socket.gaierror when there are none, UnicodeError for what cannot be a name.
    """
    if server and not is_address(host):
        look.enter("resolve")
        found = await _asked(host, resolver, ip=ip, server=server)
        look.enter("")
        return found
    infos = await resolver.lookup(host, port, _FAMILIES[ip])
    # A link-local address is only good with its scope.
    return [
        f"{where[0]}%{where[3]}" if len(where) == 4 and where[3] else str(where[0])
        for _, _, _, _, where in infos
    ]


async def _asked(host: str, ours: Resolver, *, ip: str, server: str) -> list[str]:
    at, port = host_and_port(server)
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.port = port
    resolver.cache = None
    resolver.nameservers = [str((await ours.lookup(at, port))[0][4][0])]
    replies = await asyncio.gather(*(_reply(resolver, host, kind) for kind in _TYPES[ip]))
    found = [address for reply in replies if isinstance(reply, list) for address in reply]
    if found:
        return found[:ADDRESSES_MAX]
    # One kind of record missing is usual; a server that fails outweighs it.
    number = next((reply for reply in replies if reply != socket.EAI_NODATA), socket.EAI_NODATA)
    raise socket.gaierror(number, f"asked {server}")


async def _reply(resolver: dns.asyncresolver.Resolver, host: str, kind: str) -> list[str] | int:
    """The addresses, or getaddrinfo's number for why there are none."""
    try:
        name = dns.name.from_text(host)
    except dns.exception.DNSException as error:
        raise UnicodeError(str(error)) from error
    try:
        answer = await resolver.resolve(name, kind, search=False, lifetime=300)
    except dns.resolver.NXDOMAIN:
        return socket.EAI_NONAME
    except dns.resolver.NoAnswer:
        return socket.EAI_NODATA
    except dns.resolver.NoNameservers:
        return socket.EAI_FAIL
    except dns.exception.DNSException:
        return socket.EAI_AGAIN
    return [rdata.to_text() for rdata in answer]
