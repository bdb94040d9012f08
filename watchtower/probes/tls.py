"""A TLS handshake and the certificate that was shown.

The first handshake is verified. When it fails on the certificate, a second one without checks finds
out which certificate it was: OpenSSL drops it before anybody can read it. Used by HTTPS as well.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import TlsTarget
from watchtower.core.text import clean
from watchtower.probes.certificates import Certificate, distrust, shown
from watchtower.probes.failures import FAILURES
from watchtower.probes.look import CURRENT, Finding, Look, Shortfall, milliseconds
from watchtower.probes.tools import Tools

SECOND_LOOK_S: Final = 3.0


async def probe(target: TlsTarget, tools: Tools, look: Look) -> Finding:
    """Shake hands. Without `expect` an accepted handshake is good."""
    name = target.server_name or target.host
    try:
        await _handshake(target.host, target.port, name, tools, look, verify=target.verify)
    except ssl.SSLCertVerificationError as error:
        return await distrusted(error, target.host, target.port, tools, look, name=name)
    certificate = shown(look.ssl_object)
    now_wall = tools.clock.now().wall
    version = (look.ssl_object and look.ssl_object.version()) or ""
    return Finding(
        text=f"{version} in {milliseconds(look.elapsed_s())}{_validity(certificate, now_wall)}",
        facts={"ip": look.ip, **look.times(), **(certificate.facts(now_wall) if certificate else {})},
        kept={"ip": look.ip, "tls.version": version, **(certificate.kept() if certificate else {})},
    )


async def distrusted(
    error: BaseException, host: str, port: int, tools: Tools, look: Look, *, name: str = ""
) -> Finding:
    """The Finding for a certificate that was not accepted, with what a second look saw of it."""
    look.enter("")
    seen = await _second_look(host, port, name or host, tools, min(look.left_s() * 0.8, SECOND_LOOK_S))
    text = clean(distrust(error, name or host, seen, tools.clock.now().wall))
    return Finding(
        text=text,
        kept={"ip": look.ip, **(seen.kept() if seen else {})},
        failure=Shortfall(Opinion.DOWN, Kind.TLS, text),
    )


async def _second_look(host: str, port: int, name: str, tools: Tools, budget_s: float) -> Certificate | None:
    aside = Look(tools.clock, tools.clock.now().boot + budget_s)
    token = CURRENT.set(aside)
    try:
        async with asyncio.timeout(budget_s):
            await _handshake(host, port, name, tools, aside, verify=False)
        return shown(aside.ssl_object)
    except FAILURES:
        return None
    finally:
        CURRENT.reset(token)


async def _handshake(host: str, port: int, name: str, tools: Tools, look: Look, *, verify: bool) -> None:
    connected = await tools.connect(host, port, look)
    # asyncio owns the socket from here on and closes it on every failure.
    transport, _ = await asyncio.get_running_loop().create_connection(
        asyncio.Protocol, sock=connected, ssl=tools.trust(verify=verify), server_hostname=name
    )
    look.enter("")
    transport.abort()


def _validity(certificate: Certificate | None, now_wall: float) -> str:
    if certificate is None:
        return ""
    days = (certificate.expires_wall - now_wall) / 86_400
    return (
        f", certificate valid for {days:.0f} days"
        if days >= 0
        else f", certificate expired {-days:.0f} days ago"
    )
