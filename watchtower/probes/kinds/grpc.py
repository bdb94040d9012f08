"""The gRPC health service of a server: grpc.health.v1.Health/Check over HTTP/2, in the clear or over TLS.

Good when it answers SERVING. What is said on HTTP/2 is healthcall.py, which needs the extra `grpc`.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import GrpcTarget
from watchtower.probes.failures import ProtocolError
from watchtower.probes.kinds import tls
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds
from watchtower.probes.tools import Tools
from watchtower.probes.wires.certificates import pems_of
from watchtower.probes.wires.wire import Wire, quoted

if TYPE_CHECKING:
    from watchtower.probes.wires.healthcall import Answer


async def probe(target: GrpcTarget, tools: Tools, look: Look) -> Finding:
    """Call Check. Without `expect` SERVING is good."""
    from watchtower.probes.wires import healthcall  # noqa: PLC0415 - h2 is an extra, and 7 MB

    name = target.server_name or target.host
    door = tls.Door(host=target.host, port=target.port, name=name, pems=pems_of(target), alpn=("h2",))
    try:
        wire = await _connected(target, door, tools, look)
    except ssl.SSLCertVerificationError as error:
        return await tls.distrusted(error, door, tools, look)
    try:
        answer = await healthcall.check(wire, target, left_s=look.left_s(), user_agent=tools.user_agent)
    finally:
        wire.hang_up()
    look.enter("")
    return _finding(target, answer, tools, look)


async def _connected(target: GrpcTarget, door: tls.Door, tools: Tools, look: Look) -> Wire:
    wire, _ = await tls.reach(door, tools, look, over_tls=target.tls, verify=target.verify)
    chosen = look.ssl_object.selected_alpn_protocol() if look.ssl_object else None
    if target.tls and chosen != "h2":
        wire.hang_up()
        raise ProtocolError("speaks TLS, but no HTTP/2 over it (ALPN h2 was not accepted)")
    return wire


def _finding(target: GrpcTarget, answer: Answer, tools: Tools, look: Look) -> Finding:
    said, cert_facts, cert_kept = tls.seen(tools, look) if look.ssl_object else ("", {}, {})
    word = answer.status or answer.code
    kept = {"grpc.code": answer.code, **({"grpc.status": answer.status} if answer.status else {})}
    is_good = answer.status == "SERVING"
    return Finding(
        text=f"{word} in {milliseconds(look.elapsed_s())}{said}",
        facts={"ip": look.ip, **look.times(), **kept, **cert_facts},
        kept={"ip": look.ip, **kept, **cert_kept},
        default=None if is_good else Shortfall(Opinion.DOWN, Kind.STATUS, _why(target, answer)),
    )


def _why(target: GrpcTarget, answer: Answer) -> str:
    """The word, what it means where that is not plain, and what the server says to it."""
    meant = {
        "UNIMPLEMENTED": "the server has no health service",
        "NOT_FOUND": f"the server does not know {quoted(target.service)}",
        "SERVICE_UNKNOWN": f"the server does not know {quoted(target.service)}",
    }
    word = answer.status or answer.code
    told = [part for part in (meant.get(word, ""), quoted(answer.message) if answer.message else "") if part]
    return word + (f": {', '.join(told)}" if told else "")
