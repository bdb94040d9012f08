"""A WebSocket: the handshake, and a sign of life over it, by aiohttp's client.

With `send`, or a condition on what is said, the first message is read and judged; else a ping must be
answered, or something said. Redirects are not followed, so that no header reaches another origin.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Final, Literal

import aiohttp
from aiohttp import hdrs
from yarl import URL

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import WsTarget
from watchtower.core.text import clean
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.kinds import tls
from watchtower.probes.look import Finding, Look, Shortfall, json_facts, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.certificates import pems_of
from watchtower.probes.wires.resolver import is_address
from watchtower.probes.wires.websession import plain
from watchtower.probes.wires.wire import SHOWN_MAX, quoted

MESSAGE_BYTES_MAX: Final = 65_536
FRAMES_MAX: Final = 100
"""Pings and pongs that are passed over before a message; nobody honest sends more within a look."""
_SWITCHED: Final = 101

Socket = aiohttp.ClientWebSocketResponse[Literal[True]]


async def probe(target: WsTarget, tools: Tools, look: Look) -> Finding:
    """Shake hands and hear something. Without `expect` that is good."""
    try:
        return await _looked(target, tools, look)
    except aiohttp.ClientError as error:
        raise plain(error) from None


async def _looked(target: WsTarget, tools: Tools, look: Look) -> Finding:
    url = URL(target.url)
    if is_address(url.host or ""):
        look.enter("connect")  # a name has a phase of its own before, which websession.py ends
    try:
        socket = await _shaken(target, url, tools)
    except aiohttp.ClientConnectorCertificateError as error:
        pems = pems_of(target)
        door = tls.Door(host=error.host, port=error.port or 443, name=error.host, pems=pems)
        return await tls.distrusted(error.certificate_error, door, tools, look)
    except aiohttp.WSServerHandshakeError as error:
        return _not_shaken(error, tools, look)
    try:
        message = await _heard(target, socket, look)
        look.enter("")
        said = "connected" if message is None else quoted(message)
        return _finding(said, _SWITCHED, tools, look, message=message)
    finally:
        await _part(socket)


async def _shaken(target: WsTarget, url: URL, tools: Tools) -> Socket:
    """The open socket, to be closed by the caller; whoever looks answers pings and ends himself."""
    configured = {name.title(): value.reveal() for name, value in target.headers}
    return await tools.session().ws_connect(
        url,
        headers={hdrs.USER_AGENT: tools.user_agent, **configured},
        ssl=tools.trust(verify=target.verify, pems=pems_of(target)),
        autoping=False,
        autoclose=False,
        max_msg_size=MESSAGE_BYTES_MAX,
    )


async def _heard(target: WsTarget, socket: Socket, look: Look) -> str | None:
    """The first message; None when only the ping was answered. Raises what FAILURES names."""
    look.enter("transfer")
    awaited = target.send is not None or any(
        clause.field.startswith(("message", "json")) for line in look.judged for clause in line.clauses
    )
    if target.send is not None:
        await socket.send_str(target.send.reveal())
    elif not awaited:
        await socket.ping()
    for _ in range(FRAMES_MAX):
        frame = await socket.receive()
        match frame.type:
            case aiohttp.WSMsgType.TEXT:
                return str(frame.data)
            case aiohttp.WSMsgType.BINARY:
                return bytes(frame.data).decode("utf-8", "replace")
            case aiohttp.WSMsgType.PING:
                await socket.pong(frame.data)
            case aiohttp.WSMsgType.PONG if not awaited:
                return None
            case aiohttp.WSMsgType.PONG:
                continue
            case _:
                raise _ended(frame)
    raise ProtocolError(f"more than {FRAMES_MAX} pings and pongs, and no message")


def _ended(frame: aiohttp.WSMessage) -> Exception:
    """What a frame means that is neither message nor ping."""
    if frame.type is aiohttp.WSMsgType.CLOSE:
        code, reason = frame.data or "no code", f": {quoted(frame.extra)}" if frame.extra else ""
        return RefusalError(f"closes with {code}{reason}")
    if not isinstance(frame.data, aiohttp.WebSocketError):
        return EOFError()
    if frame.data.code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
        return ProtocolError(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
    return ProtocolError(f"breaks the rules of WebSocket: {clean(str(frame.data), SHOWN_MAX)}")


async def _part(socket: Socket) -> None:
    """Say goodbye and hang up. Waiting for the answer would count as time of the look."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0):
            await socket.close()


def _not_shaken(error: aiohttp.WSServerHandshakeError, tools: Tools, look: Look) -> Finding:
    if error.status == _SWITCHED:
        raise ProtocolError(f"no WebSocket handshake: {error.message.lower()}") from error
    said = f"answers HTTP {error.status} instead of the handshake"
    default = Shortfall(Opinion.DOWN, Kind.STATUS, said)
    return _finding(said, error.status, tools, look, default=default)


def _finding(
    said: str,
    status: int,
    tools: Tools,
    look: Look,
    *,
    message: str | None = None,
    default: Shortfall | None = None,
) -> Finding:
    cert_said, cert_facts, cert_kept = tls.seen(tools, look) if look.ssl_object else ("", {}, {})
    facts: dict[str, Any] = {"status": status, "ip": look.ip, **look.times(), **cert_facts}
    kept: dict[str, float | str] = {"status": float(status), "ip": look.ip, **cert_kept}
    if message is not None:
        facts |= {"message": message, **json_facts(message)}
        kept["message"] = clean(message, SHOWN_MAX)
    text = f"{said} in {milliseconds(look.elapsed_s())}{cert_said}"
    return Finding(text=text, facts=facts, kept=kept, default=default)
