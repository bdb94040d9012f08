"""The services that the simulated peers watch: what each is like now, in truth and as each peer sees it.

A service has one true condition; a sick vantage point sees something else. `probe` is the probe function
of one peer's scheduler: it takes its time on that peer's loop and answers by the condition at its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from simulation.clocks import TrueTime

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.ports import Clock
from watchtower.core.settings import Service
from watchtower.core.targets import PeerTarget

LOOK_S: Final = 0.02

CONDITIONS: Final = {
    "well": (Opinion.UP, Kind.OK, "answers"),
    "refuses": (Opinion.DOWN, Kind.REFUSED, "connection refused"),
    "hangs": (Opinion.DOWN, Kind.TIMEOUT, "no answer in time"),
    "slow": (Opinion.DEGRADED, Kind.CONDITION, "answers slowly"),
    "unlinked": (Opinion.DEGRADED, Kind.UNREACHABLE, "the cluster link is down"),
}

LookAtPeer = Callable[[str, str], str]
"""(who looks, at whom) -> a condition, or `unready`."""


class Targets:
    """Every watched service. `history` holds each true change, as (when, service, condition)."""

    def __init__(self, time: TrueTime, services: tuple[str, ...], look_at_peer: LookAtPeer) -> None:
        self._time = time
        self._look_at_peer = look_at_peer
        self._true = dict.fromkeys(services, "well")
        self._seen: dict[tuple[str, str], str] = {}
        self.history: list[tuple[float, str, str]] = [(0.0, name, "well") for name in services]
        self._misled: dict[tuple[str, str], float] = {}
        self.misled: list[tuple[str, str, float, float]] = []

    def become(self, service: str, condition: str) -> None:
        """The service itself changes."""
        if self._true[service] != condition:
            self._true[service] = condition
            self.history.append((self._time.now, service, condition))

    def mislead(self, peer: str, service: str, condition: str) -> None:
        """What `peer` alone sees of the service from now on; "" puts it right."""
        if condition:
            self._seen[peer, service] = condition
            self._misled.setdefault((peer, service), self._time.now)
        elif self._seen.pop((peer, service), None):
            self.misled.append((peer, service, self._misled.pop((peer, service)), self._time.now))

    def true(self, service: str) -> str:
        """The true condition now."""
        return self._true[service]

    @property
    def names(self) -> tuple[str, ...]:
        """All services."""
        return tuple(self._true)

    async def look(self, me: str, clock: Clock, service: Service, deadline_boot: float) -> Result:
        """One look of `me`."""
        began = clock.now()
        await asyncio.sleep(LOOK_S)  # noqa: TID251 - a look takes its time
        condition = self._condition(me, service)
        if condition == "hangs":
            await asyncio.sleep(max(0.0, deadline_boot - clock.now().boot))  # noqa: TID251 - as above
        opinion, kind, text = CONDITIONS.get(
            condition, (Opinion.UNKNOWN, Kind.INCONCLUSIVE, "app is not ready")
        )
        return Result(
            service=service.name,
            opinion=opinion,
            kind=kind,
            text=text,
            at_wall=began.wall,
            duration_ms=20.0,
        )

    def _condition(self, me: str, service: Service) -> str:
        if isinstance(service.target, PeerTarget):
            return self._look_at_peer(me, service.target.peer)
        return self._seen.get((me, service.name)) or self._true[service.name]
