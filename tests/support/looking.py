"""One real look for a test: a Prober of peer `a`, used once and closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from support.core_support import service
from support.targets import Handler, Listener

from watchtower.clock import SystemClock
from watchtower.core.conditions import Clause, Condition, Value
from watchtower.core.model import Result
from watchtower.core.targets import Target
from watchtower.probes.prober import Prober

K = TypeVar("K")


async def look(target: Target, *, links: tuple[str, ...] = (), **fields: Any) -> Result:
    """What peer `a`, linked to `links`, sees of `target`; `fields` are those of a Service."""
    looked_at = service("web", target, **{"timeout_s": 5.0, **fields})
    clock = SystemClock()
    prober = Prober(clock, "a", lambda peer: peer in links)
    try:
        return await prober.probe(looked_at, clock.now().boot + looked_at.timeout_s)
    finally:
        await prober.close()


async def look_at_all(targets: Mapping[K, Target], timeout_s: float) -> dict[K, Result]:
    """What one prober sees of all of them at the same time."""
    clock = SystemClock()
    prober = Prober(clock, "a", lambda _peer: True)

    async def one(target: Target) -> Result:
        return await prober.probe(service("web", target), clock.now().boot + timeout_s)

    try:
        return dict(zip(targets, await asyncio.gather(*map(one, targets.values())), strict=True))
    finally:
        await prober.close()


def look_at(handler: Handler, target_at: Callable[[int], Target], **fields: Any) -> Result:
    """One look at a server whose connections are handled by `handler`, wherever its free port is."""

    async def run() -> Result:
        async with Listener(handler) as server:
            result = await look(target_at(server.port), **fields)
            await server.settled()
            return result

    return asyncio.run(run())


def condition(text: str, field: str, op: str, value: Value) -> Condition:
    """A condition with one clause."""
    return Condition(text=text, clauses=(Clause(field=field, op=op, value=value),))
