"""One DNS question, put to the named servers or to the system's, over UDP and, when truncated, TCP.

NODATA is not NXDOMAIN, and a refusing server is not a silent one: the socket is connected, so that
ICMP errors arrive. A server that fails is asked no more than the next one; the last word counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import dns.exception
import dns.resolver
from msgspec import Struct

from watchtower.core.model import Kind, Opinion
from watchtower.core.targets import DnsTarget
from watchtower.core.text import clean
from watchtower.probes.failures import FAILURES, failure
from watchtower.probes.look import Finding, Look, Shortfall, milliseconds, shown_address
from watchtower.probes.tools import Tools
from watchtower.probes.wires.questions import Answer, Question, ask, host_and_port, question
from watchtower.probes.wires.resolver import AddressInfo, is_address

ROUNDS: Final = 2
"""How often each server is asked before the deadline: one lost datagram is no outage."""
_RESOLV_CONF: Final = Path("/etc/resolv.conf")


class Reply(Struct, frozen=True, kw_only=True):
    """What a server said."""

    server: str
    answer: Answer


async def probe(target: DnsTarget, tools: Tools, look: Look) -> Finding:
    """Ask. Without `expect` NOERROR with at least one answer is good."""
    try:
        asked = question(target.name, target.type)
    except (dns.exception.DNSException, UnicodeError) as error:
        unfit = Shortfall(Opinion.DOWN, Kind.DNS, clean(f"cannot ask DNS for {target.name}: {error}"))
        return Finding(text=unfit.text, failure=unfit)
    servers = [host_and_port(server) for server in target.servers] or _system_servers()
    reply = await _ask(asked, servers, tools, look)
    look.enter("")
    if isinstance(reply, Shortfall):
        return Finding(text=reply.text, failure=reply)
    return _finding(reply, target.type, look)


def _finding(reply: Reply, rdtype: str, look: Look) -> Finding:
    rcode, answers = reply.answer.rcode, reply.answer.records
    found = f"{len(answers)} answer{'' if len(answers) == 1 else 's'}: {', '.join(answers)}"
    facts: dict[str, float | str] = {"dns.rcode": rcode, "ip": reply.server}
    if answers:
        facts["ttl"] = reply.answer.ttl
    good = rcode == "NOERROR" and bool(answers)
    return Finding(
        text=f"{found if good else rcode} in {milliseconds(look.elapsed_s())}",
        facts={**facts, "answers": answers, **look.times()},
        kept={**facts, "answers": float(len(answers))},
        default=None if good else _shortfall(reply, rdtype),
    )


def _shortfall(reply: Reply, rdtype: str) -> Shortfall:
    texts = {
        "NOERROR": f"the name exists, but has no {rdtype} record",
        "NXDOMAIN": "name does not exist (NXDOMAIN)",
    }
    text = texts.get(reply.answer.rcode, f"{reply.answer.rcode} from {reply.server}")
    return Shortfall(Opinion.DOWN, Kind.DNS, text)


async def _ask(
    asked: Question, servers: Sequence[tuple[str, int]], tools: Tools, look: Look
) -> Reply | Shortfall:
    """The first sound reply, else the last unsound one, else why there was none."""
    share_s = 0.95 * look.left_s() / (ROUNDS * max(len(servers), 1))
    outcome: Reply | Shortfall = Shortfall(
        Opinion.DOWN, Kind.DNS, "this machine has no DNS server configured"
    )
    for server in (*servers,) * ROUNDS:
        try:
            outcome = await _exchange(asked, server, share_s, tools, look)
        except (*FAILURES, dns.exception.DNSException) as error:
            outcome = outcome if isinstance(outcome, Reply) else _silence(error, server[0], look)
        if isinstance(outcome, Reply) and outcome.answer.rcode in ("NOERROR", "NXDOMAIN"):
            break
    return outcome


async def _exchange(
    asked: Question, server: tuple[str, int], within_s: float, tools: Tools, look: Look
) -> Reply:
    """One question to one server. Raises FAILURES and DNSException."""
    until_s = look.elapsed_s() + within_s
    found = await _address(server, within_s, tools)
    look.address = shown_address(found[4])
    look.enter("first_byte")
    return Reply(server=look.ip, answer=await ask(asked, found, until_s - look.elapsed_s()))


async def _address(server: tuple[str, int], within_s: float, tools: Tools) -> AddressInfo:
    if is_address(server[0]):
        return (await tools.resolver.lookup(*server))[0]
    async with asyncio.timeout(within_s):
        return (await tools.resolver.lookup(*server))[0]


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


def _system_servers() -> Sequence[tuple[str, int]]:
    """What this machine asks; read again when its file has changed."""
    try:
        found = _RESOLV_CONF.stat()
    except OSError:
        return _configured(0, 0, 0)
    return _configured(found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(1)
def _configured(*_stamp: int) -> tuple[tuple[str, int], ...]:
    try:
        configured = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return ()
    return tuple((server, configured.port) for server in configured.nameservers if isinstance(server, str))
