"""What every sink shares: what arrived and when, how long it keeps others waiting, how it hangs up."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from typing import Any

LATE_S = 1.0
HANG_S = 60.0


@dataclass(frozen=True)
class Received:
    """One request or mail as it arrived. `mode` is what the sink was doing then."""

    at_wall: float
    path: str
    headers: dict[str, str]
    body: str
    mode: str

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Log:
    """What arrived, readable from any thread."""

    items: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def add(self, item: Received) -> None:
        """Record one arrival."""
        with self.changed:
            self.items.append(item)
            self.changed.notify_all()

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Received]:
        """Block until `count` things arrived; AssertionError when they do not."""
        with self.changed:
            arrived = self.changed.wait_for(lambda: len(self.items) >= count, timeout_s)
            assert arrived, f"only {len(self.items)} of {count} arrived within {timeout_s} s"
            return list(self.items)


async def hung_up(transports: set[asyncio.BaseTransport]) -> None:
    """Abort the connections and give the loop the turns it needs to let go of them."""
    for transport in transports:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    transports.clear()
    await turns()


async def turns() -> None:
    """Let the loop see what has ended."""
    for _ in range(10):
        await asyncio.sleep(0)  # noqa: TID251 - gives the loop its turns, waits for nothing


async def until(event: asyncio.Event, timeout_s: float) -> bool:
    """Whether the event came within the time."""
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return False
    return True
