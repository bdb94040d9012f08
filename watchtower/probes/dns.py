"""One DNS question, put to the named servers or to the system's, over UDP and, when truncated, TCP.

NODATA is not NXDOMAIN, and a refusing server is not a silent one: the socket is connected, so that
ICMP errors arrive. A server that fails is asked no more than the next one; the last word counts.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.inet
import dns.message
import dns.rcode
import dns.rdata
import dns.resolver
from msgspec import Struct

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import DnsTarget
from watchtower.core.text import clean
from watchtower.probes.failures import FAILURES, ProtocolError, failure
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds, shown_address
from watchtower.probes.tools import Tools

PAYLOAD_BYTES: Final = 1_232
"""The EDNS buffer size that passes everywhere without fragments (DNS flag day 2020)."""
ROUNDS: Final = 2
"""How often each server is asked before the deadline: one lost datagram is no outage."""
ANSWERS_MAX: Final = 64


class Reply(Struct, frozen=True, kw_only=True):
    """What a server said. `ttl` is the smallest of the chain's, 0 without an answer."""

    server: str
    rcode: str
    answers: tuple[str, ...] = ()
    ttl: float = 0.0


async def probe(target: DnsTarget, tools: Tools, look: Look) -> Finding:
    """Ask. Without `expect` NOERROR with at least one answer is good."""
    try:
        question = dns.message.make_query(target.name, target.type, use_edns=0, payload=PAYLOAD_BYTES)
    except (dns.exception.DNSException, UnicodeError) as error:
        unfit = Shortfall(Opinion.DOWN, Kind.DNS, clean(f"cannot ask DNS for {target.name}: {error}"))
        return Finding(text=unfit.text, failure=unfit)
    servers = [host_and_port(server) for server in target.servers] or _system_servers()
    reply = await _ask(question, servers, tools, look)
    look.enter("")
    if isinstance(reply, Shortfall):
        return Finding(text=reply.text, failure=reply)
    return _finding(reply, target.type, look)


def _finding(reply: Reply, rdtype: str, look: Look) -> Finding:
    answers = reply.answers
    found = f"{len(answers)} answer{'' if len(answers) == 1 else 's'}: {', '.join(answers)}"
    facts: dict[str, float | str] = {
        "dns.rcode": reply.rcode,
        "ip": reply.server,
        **({"ttl": reply.ttl} if answers else {}),
    }
    good = reply.rcode == "NOERROR" and bool(answers)
    return Finding(
        text=f"{found if good else reply.rcode} in {milliseconds(look.elapsed_s())}",
        facts={**facts, "answers": answers, **look.times()},
        kept={**facts, "answers": float(len(answers))},
        default=None if good else _shortfall(reply, rdtype),
    )


def _shortfall(reply: Reply, rdtype: str) -> Shortfall:
    texts = {
        "NOERROR": f"the name exists, but has no {rdtype} record",
        "NXDOMAIN": "name does not exist (NXDOMAIN)",
    }
    text = texts.get(reply.rcode, f"{reply.rcode} from {reply.server}")
    return Shortfall(Opinion.DOWN, Kind.DNS, text)


async def _ask(
    question: dns.message.QueryMessage, servers: Sequence[tuple[str, int]], tools: Tools, look: Look
) -> Reply | Shortfall:
    """The first sound reply, else the last unsound one, else why there was none."""
    share_s = 0.95 * look.left_s() / (ROUNDS * max(len(servers), 1))
    outcome: Reply | Shortfall = Shortfall(
        Opinion.DOWN, Kind.DNS, "this machine has no DNS server configured"
    )
    for host, port in list(servers) * ROUNDS:
        try:
            async with asyncio.timeout(share_s):
                outcome = await _exchange(question, host, port, tools, look)
        except (*FAILURES, dns.exception.DNSException) as error:
            outcome = outcome if isinstance(outcome, Reply) else _silence(error, host, look)
        if isinstance(outcome, Reply) and outcome.rcode in ("NOERROR", "NXDOMAIN"):
            break
    return outcome


async def _exchange(
    question: dns.message.QueryMessage, host: str, port: int, tools: Tools, look: Look
) -> Reply:
    """One question to one server. Raises FAILURES and DNSException."""
    address = (await tools.resolver.lookup(host, port))[0][4]
    look.address = shown_address(address)
    look.enter("first_byte")
    where, family = str(address[0]), dns.inet.af_for_address(str(address[0]))
    backend: Any = dns.asyncbackend.get_default_backend()
    async with await backend.make_socket(family, socket.SOCK_DGRAM, 0, None, (where, port)) as connected:
        response, _ = await dns.asyncquery.udp_with_fallback(
            question, where, look.left_s(), port, udp_sock=connected
        )
    rcode = dns.rcode.to_text(response.rcode())
    if not isinstance(response, dns.message.QueryMessage):
        raise ProtocolError("the answer is to another kind of question")
    chain = response.resolve_chaining() if rcode == "NOERROR" else None
    if chain is None or chain.answer is None:
        return Reply(server=look.ip, rcode=rcode)
    answers = tuple(_shown(rdata) for rdata in list(chain.answer)[:ANSWERS_MAX])
    return Reply(server=look.ip, rcode=rcode, answers=answers, ttl=float(chain.minimum_ttl))


def _silence(error: BaseException, host: str, look: Look) -> Shortfall:
    if isinstance(error, (TimeoutError, dns.exception.Timeout)):
        return Shortfall(
            Opinion.DOWN, Kind.TIMEOUT, f"timeout after {look.elapsed_s():.1f} s, no answer from {host}"
        )
    if isinstance(error, dns.exception.DNSException):
        return Shortfall(
            Opinion.DOWN, Kind.PROTOCOL, f"the answer of {host} is no DNS ({type(error).__name__})"
        )
    return failure(error, look)


def _shown(rdata: dns.rdata.Rdata) -> str:
    """An answer as people write it: no quotes around text, no dot at the end of a name."""
    strings = getattr(rdata, "strings", None)
    text = b"".join(strings).decode(errors="replace") if strings else rdata.to_text().rstrip(".")
    return clean(text)


def host_and_port(server: str) -> tuple[str, int]:
    """`host`, `host:port`, `[v6]:port` or a bare v6 address; the port is 53 when none is named."""
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]") or (":" in host and not host.startswith("[")):
        return server.strip("[]"), 53
    return host.strip("[]"), int(port)


def _system_servers() -> list[tuple[str, int]]:
    try:
        configured = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return []
    return [(server, configured.port) for server in configured.nameservers if isinstance(server, str)]
