"""One door for every kind of look: runs it against its deadline and judges what it found.

Decides between failure, default expectation, `expect` and `warn`, in this order. Never raises for
reasons of the target; anything that does escape is a bug of ours, and the scheduler's to report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from watchtower.core.conditions import Condition, judge
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.ports import Clock
from watchtower.core.settings import Service
from watchtower.core.targets import (
    DnsTarget,
    HeartbeatTarget,
    HttpTarget,
    IcmpTarget,
    ImapTarget,
    PeerTarget,
    SmtpTarget,
    SshTarget,
    TcpTarget,
    TlsTarget,
    WireTarget,
)
from watchtower.core.text import clean
from watchtower.probes import dns, http, icmp, mail, peer, ssh, tcp, tls
from watchtower.probes.failures import FAILURES, failure
from watchtower.probes.look import CURRENT, Finding, Look, Shortfall
from watchtower.probes.tools import Tools


class Prober:
    """Looks at services from peer `me`. Build it anywhere, use and close it in one event loop."""

    def __init__(self, clock: Clock, me: str, link_up: Callable[[str], bool]) -> None:
        self._clock = clock
        self._tools = Tools(clock, me, link_up)

    async def probe(self, service: Service, deadline_boot: float) -> Result:
        """Look once and be back at `deadline_boot`. Any outcome of the target is a Result."""
        look = Look(self._clock, deadline_boot)
        token = CURRENT.set(look)
        try:
            async with asyncio.timeout(look.budget_s):
                found = await find(service, self._tools, look)
        except FAILURES as error:
            found = _failed(service, failure(error, look), look)
        finally:
            CURRENT.reset(token)
        look.enter("")
        return _result(service, found, look)

    async def close(self) -> None:
        """Close connections and stop resolving."""
        await self._tools.close()


async def find(service: Service, tools: Tools, look: Look) -> Finding:
    """The table of kinds: which function looks at which target."""
    match service.target:
        case HttpTarget() as target:
            return await http.probe(target, tools, look)
        case TcpTarget() as target:
            return await tcp.probe(target, tools, look, _about("banner", service))
        case TlsTarget() as target:
            return await tls.probe(target, tools, look)
        case DnsTarget() as target:
            return await dns.probe(target, tools, look)
        case PeerTarget() as target:
            return await peer.probe(target, tools, look)
        case SmtpTarget() | ImapTarget() | SshTarget() | IcmpTarget() as target:
            return await _on_the_wire(target, tools, look)
        case HeartbeatTarget():
            raise ValueError(f"{service.name} is a heartbeat: it calls us, it is not probed")


async def _on_the_wire(target: WireTarget, tools: Tools, look: Look) -> Finding:
    match target:
        case SmtpTarget() | ImapTarget():
            return await mail.probe(target, tools, look)
        case SshTarget():
            return await ssh.probe(target, tools, look)
        case IcmpTarget():
            return await icmp.probe(target, tools, look)


def _about(field: str, service: Service) -> tuple[Condition, ...]:
    """The conditions of a service that have something to say about `field`."""
    lines = (*service.expect, *service.warn)
    return tuple(line for line in lines if any(clause.field == field for clause in line.clauses))


def shortfall(service: Service, found: Finding) -> Shortfall | None:
    """Why what was found is not good enough; None when it is."""
    if found.failure is not None:
        return found.failure
    if not service.expect and found.default is not None:
        return found.default
    unmet = _unmet(service.expect, found.facts)
    if unmet:
        return Shortfall(Opinion.DOWN, Kind.CONDITION, unmet)
    warned = _unmet(service.warn, found.facts)
    return Shortfall(Opinion.DEGRADED, Kind.CONDITION, warned) if warned else None


def _unmet(conditions: tuple[Condition, ...], facts: Mapping[str, Any]) -> str:
    """The text of the first condition that does not hold, and how many more; "" when all hold."""
    texts = [text for condition in conditions if (text := judge(condition, facts)) is not None]
    if not texts:
        return ""
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return clean(texts[0], 160 - len(more)) + more


def _failed(service: Service, why: Shortfall, look: Look) -> Finding:
    is_peer = isinstance(service.target, PeerTarget) and why.opinion is Opinion.DOWN
    text = clean(peer.NO_ANSWER + why.text) if is_peer else why.text
    kept: dict[str, float | str] = {"ip": look.ip} if look.ip else {}
    return Finding(text=text, kept=kept, failure=Shortfall(why.opinion, why.kind, text))


def _result(service: Service, found: Finding, look: Look) -> Result:
    why = shortfall(service, found) or Shortfall(Opinion.UP, Kind.OK, found.text)
    return Result(
        service=service.name,
        opinion=why.opinion,
        kind=why.kind,
        text=clean(why.text),
        at_wall=look.begun.wall,
        duration_ms=round(look.elapsed_s() * 1000, 3),
        phases_ms=look.phases_ms(),
        facts=dict(found.kept),
    )
