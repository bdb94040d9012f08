"""Tries from this machine what a peer will need: ports, names, the other peers, the channels.

A port of ours that is free is bound for a moment; one in use is taken as ours, running. Nothing is
changed anywhere, and a message leaves only when sending was asked for. Never raises for what it finds.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Iterable
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from watchtower.clock import SystemClock
from watchtower.core.commands import Answer, Command
from watchtower.core.settings import Channel, PeerSettings, Service, Settings
from watchtower.core.targets import (
    DnsTarget,
    GrpcTarget,
    HttpTarget,
    IcmpTarget,
    LoginTarget,
    MailTarget,
    PeerTarget,
    SshTarget,
    TcpTarget,
    TlsTarget,
    WsTarget,
)
from watchtower.core.text import clean
from watchtower.delivery import channels
from watchtower.delivery.carrier import ThreadCarrier
from watchtower.delivery.courier import Courier
from watchtower.delivery.trace import Trace
from watchtower.errors import DeliveryError

TIMEOUT_S: Final = 4.0
AT_ONCE: Final = 20


class Finding(Struct, frozen=True):
    """What was tried, whether it is well (None: cannot be told from here), and in words."""

    what: str
    ok: bool | None
    text: str


async def try_out(settings: Settings, me: str, *, connect: bool, send: bool) -> list[Finding]:
    """Everything that can be tried from here, as peer `me` ("" when this machine is none of them)."""
    findings: list[Finding] = []
    if connect:
        findings += await _peers(settings, me)
        findings += await _names(settings)
    findings += [_channel(settings, name) for name in settings.channels]
    if send:
        usable = [f.what.removeprefix("channel ") for f in findings if f.what.startswith("channel ") and f.ok]
        findings += await _messages(settings, usable)
    return findings


async def _peers(settings: Settings, me: str) -> list[Finding]:
    tries: list[Awaitable[Finding]] = []
    for peer in settings.cluster.peers:
        http = urlsplit(peer.http_url)
        http_port = http.port or (443 if http.scheme == "https" else 80)
        if peer.name == me:
            listen = (settings.http.listen_host, settings.http.listen_port)
            tries += [_own("raft", peer, (peer.raft_host, peer.raft_port)), _own("http", peer, listen)]
        else:
            tries.append(_reach(f"peer {peer.name} raft", peer.raft_host, peer.raft_port))
            tries.append(_reach(f"peer {peer.name} http", http.hostname or "", http_port))
    return await _all(tries)


async def _own(door: str, peer: PeerSettings, address: tuple[str, int]) -> Finding:
    """Our own port: free, or in use by what is then taken for ourselves."""
    host, port = address
    what = f"peer {peer.name} {door} (this machine)"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as made:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(found[0][4])
    except OSError as error:
        if error.errno is not None and "in use" in (error.strerror or "").lower():
            return Finding(what, None, f"port {port} is in use: by this peer, if it runs already")
        return Finding(what, False, f"cannot listen on {host}:{port}: {_why(error)}")
    return Finding(what, True, f"can listen on {host}:{port}")


async def _reach(what: str, host: str, port: int) -> Finding:
    """Somebody else's port. A refusal proves the way there, so it is no fault of the network."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        return Finding(what, None, f"{host}:{port} refuses: the way is open, the peer does not run")
    except (OSError, TimeoutError) as error:
        return Finding(what, False, f"{host}:{port}: {_why(error)}")
    writer.close()
    return Finding(what, True, f"{host}:{port} accepts")


async def _names(settings: Settings) -> list[Finding]:
    by_host: dict[str, list[str]] = {}
    for service in settings.services.values():
        host = _host(service)
        if host:
            by_host.setdefault(host, []).append(service.name)
    return await _all(_resolves(host, names) for host, names in by_host.items())


async def _resolves(host: str, services: list[str]) -> Finding:
    shown = ", ".join(services[:3]) + (f" and {len(services) - 3} more" if len(services) > 3 else "")
    try:
        async with asyncio.timeout(TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        return Finding(f"name {host}", False, f"{_why(error)} (for {shown})")
    addresses = sorted({str(entry[4][0]) for entry in found})
    return Finding(f"name {host}", True, f"{', '.join(addresses[:4])} (for {shown})")


def _host(service: Service) -> str:
    match service.target:
        case HttpTarget(url=url) | WsTarget(url=url):
            return urlsplit(url).hostname or ""
        case TcpTarget(host=host) | TlsTarget(host=host) | GrpcTarget(host=host):
            return host
        case MailTarget(host=host) | LoginTarget(host=host) | SshTarget(host=host) | IcmpTarget(host=host):
            return host
        case DnsTarget() | PeerTarget():
            return ""
        case _:
            return ""


def _channel(settings: Settings, name: str) -> Finding:
    channel = settings.channels[name]
    try:
        channels.validate(channel)
    except DeliveryError as error:
        return Finding(f"channel {name}", False, str(error))
    return Finding(f"channel {name}", True, f"{channel.schema}:// can be used")


async def _messages(settings: Settings, names: Iterable[str]) -> list[Finding]:
    """A labelled test message on each channel, sent the way notices are, and searched where that works."""
    carrier, findings = ThreadCarrier(), []
    for name in names:
        delivery_id = secrets.token_hex(8)
        courier = Courier(
            settings,
            me=settings.me,
            clock=SystemClock(),
            submit=_no_log,
            new_id=lambda delivery_id=delivery_id: delivery_id,  # type: ignore[misc] # the id is known beforehand
            carrier=carrier,
            has_lost_office=lambda _: False,
        )
        lines = ("This is a test of the channel. Nothing is wrong, and nothing needs to be done.",)
        refusal = await courier.tell(name, "Test message", lines)
        findings.append(
            Finding(f"test message on {name}", not refusal, refusal or "accepted: look whether it came")
        )
        if settings.channels[name].search and not refusal:
            findings.append(await _searched(carrier, settings.channels[name], delivery_id))
    return findings


async def _searched(carrier: ThreadCarrier, channel: Channel, delivery_id: str) -> Finding:
    """Whether the receiver has what was just sent, and not what never was."""
    now_wall = SystemClock().now().wall
    sent = await carrier.search(channel, delivery_id, now_wall)
    other = await carrier.search(channel, secrets.token_hex(8), now_wall)
    is_well = (sent.trace, other.trace) == (Trace.PRESENT, Trace.ABSENT)
    said = f"for the test message: {sent.detail}; for an unknown one: {other.detail}"
    return Finding(f"search on {channel.name}", is_well, "works" if is_well else f"does not work; {said}")


async def _no_log(command: Command, *, timeout_s: float = 2.0) -> Answer | None:  # noqa: ARG001 - the shape of Submit
    """There is no replicated log here."""
    return None


async def _all(tries: Iterable[Awaitable[Finding]]) -> list[Finding]:
    """All of them, a few at once, in their order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(attempt: Awaitable[Finding]) -> Finding:
        async with gate:
            return await attempt

    return list(await asyncio.gather(*(one(attempt) for attempt in tries)))


def _why(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} s"
    return clean(str(getattr(error, "strerror", "") or error).lower())
