"""One real look for a test: a Prober of peer `a`, used once and closed."""

from __future__ import annotations

from typing import Any

from support.core_support import service

from watchtower.clock import SystemClock
from watchtower.core.conditions import Clause, Condition, Value
from watchtower.core.model import Result
from watchtower.core.targets import Target
from watchtower.probes.prober import Prober


async def look(target: Target, *, links: tuple[str, ...] = (), **fields: Any) -> Result:
    """What peer `a`, linked to `links`, sees of `target`; `fields` are those of a Service."""
    looked_at = service("web", target, **{"timeout_s": 5.0, **fields})
    clock = SystemClock()
    prober = Prober(clock, "a", lambda peer: peer in links)
    try:
        return await prober.probe(looked_at, clock.now().boot + looked_at.timeout_s)
    finally:
        await prober.close()


def condition(text: str, field: str, op: str, value: Value) -> Condition:
    """A condition with one clause."""
    return Condition(text=text, clauses=(Clause(field=field, op=op, value=value),))
