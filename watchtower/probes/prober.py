"""One door for every kind of look: runs it against its deadline and judges what it found.

Decides between failure, default expectation, `expect` and `warn`, in this order. Never raises for
reasons of the target; anything that does escape is a bug of ours, and the scheduler's to report.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from watchtower.core.conditions import Condition
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.ports import Clock
from watchtower.core.settings import Service
from watchtower.core.targets import (
    AmqpTarget,
    DnsTarget,
    ExecTarget,
    GrpcTarget,
    HttpTarget,
    IcmpTarget,
    ImapTarget,
    MysqlTarget,
    PeerTarget,
    PostgresTarget,
    RedisTarget,
    SmtpTarget,
    SshTarget,
    Target,
    TcpTarget,
    TlsTarget,
    WsTarget,
)
from watchtower.core.text import clean
from watchtower.probes.failures import FAILURES, failure
from watchtower.probes.hiding import hidden, secrets_of
from watchtower.probes.judging import EndlessError, unmet
from watchtower.probes.kinds import (
    amqp,
    dns,
    grpc,
    http,
    icmp,
    mail,
    mysql,
    peer,
    plugin,
    postgres,
    redis,
    ssh,
    tcp,
    tls,
)
from watchtower.probes.look import CURRENT, Finding, Look, Shortfall
from watchtower.probes.pace.means import Means
from watchtower.probes.tools import Tools

FIND_S: Final = 1.0


async def _ws(target: WsTarget, tools: Tools, look: Look) -> Finding:
    from watchtower.probes.kinds import ws  # noqa: PLC0415 - aiohttp comes with it, ten megabytes

    return await ws.probe(target, tools, look)


LOOKS: Final[dict[type[Target], Callable[[Any, Tools, Look], Awaitable[Finding]]]] = {
    HttpTarget: http.probe,
    TcpTarget: tcp.probe,
    TlsTarget: tls.probe,
    DnsTarget: dns.probe,
    PeerTarget: peer.probe,
    SmtpTarget: mail.probe,
    ImapTarget: mail.probe,
    SshTarget: ssh.probe,
    IcmpTarget: icmp.probe,
    GrpcTarget: grpc.probe,
    WsTarget: _ws,
    PostgresTarget: postgres.probe,
    ExecTarget: plugin.probe,
    MysqlTarget: mysql.probe,
    RedisTarget: redis.probe,
    AmqpTarget: amqp.probe,
}
"""The table of kinds: which function looks at which target."""


_LATE_MODULES: Final[dict[type[Target], str]] = {
    WsTarget: "kinds.ws",
    GrpcTarget: "wires.healthcall",
    AmqpTarget: "wires.amqp",
}
"""What is imported with the first look of its kind: it takes memory that few peers need, or an extra."""


class Prober:
    """Looks at services from peer `me`. Build it anywhere, use and close it in one event loop."""

    def __init__(self, clock: Clock, me: str, link_up: Callable[[str], bool]) -> None:
        self._clock = clock
        self._tools = Tools(clock, me, link_up)

    async def probe(self, service: Service, deadline_boot: float) -> Result:
        """Look once and be back at `deadline_boot`. Any outcome of the target is a Result."""
        late_s = self._import_for(service.target)
        look = Look(self._clock, deadline_boot + late_s, (*service.expect, *service.warn))
        token = CURRENT.set(look)
        try:
            async with asyncio.timeout(look.budget_s):
                found = await find(service, self._tools, look)
        except FAILURES as error:
            found = _failed(service, failure(error, look), look)
        except EndlessError as error:
            found = _failed(service, _endless(error), look)
        finally:
            CURRENT.reset(token)
        look.enter("")
        if look.own_fault and look.is_lack_shared:
            self.means.note_lack(look.own_fault, self._clock.now().boot)
        return _result(service, found, look)

    @property
    def means(self) -> Means:
        """What looking takes, as the looks so far have found it."""
        return self._tools.means

    async def find(self, host: str, port: int) -> str:
        """The address that `host` leads to just now; "" when nobody says so within FIND_S."""
        try:
            async with asyncio.timeout(FIND_S):
                found = await self._tools.resolver.lookup(host, port)
        except (OSError, UnicodeError):
            return ""
        return str(found[0][4][0]) if found else ""

    async def close(self) -> None:
        """Close connections and stop resolving."""
        await self._tools.close()

    def _import_for(self, target: Target) -> float:
        """Import what only this kind needs, before the stopwatch runs; how long that took, which is ours."""
        late = _LATE_MODULES.get(type(target))
        if late is None or f"watchtower.probes.{late}" in sys.modules:
            return 0.0
        began_boot = self._clock.now().boot
        with contextlib.suppress(OSError):  # without descriptors the look itself fails, and says why
            importlib.import_module(f"watchtower.probes.{late}")
        return self._clock.now().boot - began_boot


async def find(service: Service, tools: Tools, look: Look) -> Finding:
    """One look at what the service points to; ValueError for what calls us instead."""
    look_at = LOOKS.get(type(service.target))
    if look_at is None:
        raise ValueError(f"{service.name} is a heartbeat: it calls us, it is not probed")
    return await look_at(service.target, tools, look)


def shortfall(service: Service, found: Finding) -> Shortfall | None:
    """Why what was found is not good enough; None when it is."""
    if found.failure is not None:
        return found.failure
    if not service.expect and found.default is not None:
        return found.default
    failed = _unmet(service.expect, found.facts)
    if failed:
        return Shortfall(Opinion.DOWN, Kind.CONDITION, failed)
    warned = _unmet(service.warn, found.facts)
    return Shortfall(Opinion.DEGRADED, Kind.CONDITION, warned) if warned else None


def _unmet(conditions: tuple[Condition, ...], facts: Mapping[str, Any]) -> str:
    """The text of the first condition that does not hold, and how many more; "" when all hold."""
    texts = unmet(conditions, facts)
    if not texts:
        return ""
    more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
    return clean(texts[0], 160 - len(more)) + more


def _failed(service: Service, why: Shortfall, look: Look) -> Finding:
    is_peer = isinstance(service.target, PeerTarget) and why.opinion is Opinion.DOWN
    text = clean(peer.NO_ANSWER + why.text) if is_peer else why.text
    kept: dict[str, float | str] = {"ip": look.ip} if look.ip else {}
    return Finding(text=text, kept=kept, failure=Shortfall(why.opinion, why.kind, text))


def _endless(error: EndlessError) -> Shortfall:
    return Shortfall(Opinion.UNKNOWN, Kind.INCONCLUSIVE, f"its condition {error}")


def _result(service: Service, found: Finding, look: Look) -> Result:
    try:
        why = shortfall(service, found) or Shortfall(Opinion.UP, Kind.OK, found.text)
    except EndlessError as error:
        why = _endless(error)
    secrets = secrets_of(service.target)
    return Result(
        service=service.name,
        opinion=why.opinion,
        kind=why.kind,
        text=hidden(clean(why.text), secrets),
        at_wall=look.begun.wall,
        duration_ms=round(look.elapsed_s() * 1000, 3),
        phases_ms=look.phases_ms(),
        facts={
            name: hidden(fact, secrets) if isinstance(fact, str) else fact
            for name, fact in found.kept.items()
        },
    )
