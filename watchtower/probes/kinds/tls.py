"""A TLS handshake and the certificate that was shown.

The first handshake is verified. When it fails on the certificate, a second one without checks finds
out which certificate it was: OpenSSL drops it before anybody can read it. Used by every kind over TLS but
HTTPS, whose handshakes are libcurl's.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from msgspec import Struct

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import TlsTarget
from watchtower.core.text import clean
from watchtower.probes.failures import FAILURES
from watchtower.probes.look import Finding, Look, Shortfall, aside, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.certificates import NO_PEMS, Certificate, Pems, distrust, pems_of, shown
from watchtower.probes.wires.greetings import STARTTLS
from watchtower.probes.wires.secured import Secured
from watchtower.probes.wires.wire import Wire

SECOND_LOOK_S: Final = 3.0


class Door(Struct, frozen=True, kw_only=True):
    """Where TLS is spoken, the name to ask for, and the protocol whose STARTTLS comes first ("" for none).

    `alpn` are the protocols that the handshake offers.
    """

    host: str
    port: int
    name: str
    starttls: str = ""
    pems: Pems = NO_PEMS
    alpn: tuple[str, ...] = ()


async def probe(target: TlsTarget, tools: Tools, look: Look) -> Finding:
    """Shake hands. Without `expect` an accepted handshake is good."""
    name = target.server_name or target.host
    pems = pems_of(target)
    door = Door(host=target.host, port=target.port, name=name, starttls=target.starttls, pems=pems)
    try:
        wire, _ = await shake(door, tools, look, verify=target.verify)
    except ssl.SSLCertVerificationError as error:
        return await distrusted(error, door, tools, look)
    wire.hang_up()
    said, facts, kept = seen(tools, look)
    return Finding(
        text=f"{kept['tls.version']} in {milliseconds(look.elapsed_s())}{said}",
        facts={"ip": look.ip, **look.times(), **facts},
        kept={"ip": look.ip, **kept},
    )


async def reach(door: Door, tools: Tools, look: Look, *, over_tls: bool, verify: bool) -> tuple[Wire, str]:
    """A connection to be hung up by the caller, after a handshake if wanted; and the greeting before that.

    Raises as `shake` does.
    """
    if over_tls:
        return await shake(door, tools, look, verify=verify)
    return Wire(await tools.connect(door.host, door.port, look), look), ""


async def shake(door: Door, tools: Tools, look: Look, *, verify: bool) -> tuple[Wire, str]:
    """A connection over TLS, to be hung up by the caller, and the greeting that came before it, if any.

    Raises what FAILURES names; SSLCertVerificationError when the certificate is not accepted.
    """
    connected = await tools.connect(door.host, door.port, look)
    # What is said right after a handshake, or after asking for one, must not wait for an acknowledgement.
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        greeting = await _said_before(door.starttls, connected, look)
        look.alpn = door.alpn
        secured = Secured(connected, tools.trust(verify=verify, pems=door.pems), door.name)
        await secured.handshake()
    except BaseException:  # whatever ends it, nobody else knows the socket yet
        connected.close()
        raise
    look.enter("")
    return Wire(connected, look, secured), greeting


async def _said_before(starttls: str, connected: socket.socket, look: Look) -> str:
    if not starttls:
        return ""
    wire = Wire(connected, look)
    greeting = await STARTTLS[starttls](wire)
    wire.check_silence()
    return greeting


def seen(tools: Tools, look: Look) -> tuple[str, dict[str, float | str], dict[str, float | str]]:
    """What a handshake has shown: how long it is valid in words, the facts, and those worth keeping."""
    certificate, now_wall = shown(look.ssl_object), tools.clock.now().wall
    version = (look.ssl_object and look.ssl_object.version()) or ""
    facts = certificate.facts(now_wall) if certificate else {}
    kept = certificate.kept() if certificate else {}
    return _validity(certificate, now_wall), facts, {"tls.version": version, **kept}


async def distrusted(error: BaseException, door: Door, tools: Tools, look: Look) -> Finding:
    """The Finding for a certificate that was not accepted, with what a second look saw of it."""
    look.enter("")
    found = await _second_look(door, tools, min(look.left_s() * 0.8, SECOND_LOOK_S))
    text = clean(distrust(error, door.name, found, tools.clock.now().wall))
    return Finding(
        text=text,
        kept={"ip": look.ip, **(found.told() if found else {})},
        failure=Shortfall(Opinion.DOWN, Kind.TLS, text),
    )


async def _second_look(door: Door, tools: Tools, budget_s: float) -> Certificate | None:
    with aside(tools.clock, budget_s) as beside, contextlib.suppress(*FAILURES):
        async with asyncio.timeout(budget_s):
            wire, _ = await shake(door, tools, beside, verify=False)
        wire.hang_up()
        return shown(beside.ssl_object, with_chain=True)
    return None


def _validity(certificate: Certificate | None, now_wall: float) -> str:
    if certificate is None:
        return ""
    days = (certificate.expires_wall - now_wall) / 86_400
    return (
        f", certificate valid for {days:.0f} days"
        if days >= 0
        else f", certificate expired {-days:.0f} days ago"
    )
