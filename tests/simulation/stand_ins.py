"""What stands in for the shells that the simulation does not run, and the real lease with a bell on it.

The reference says what the host is told, the web hears everything and answers nobody. None of them judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from simulation.clocks import HostClock

from watchtower.cluster.lease import Lease
from watchtower.core.model import Instant, State
from watchtower.core.settings import Settings
from watchtower.core.view import Standing


class WatchedLease(Lease):
    """The real lease, telling whenever its end moves."""

    def __init__(self, me: str, settings: Settings, moved: Callable[[float], None]) -> None:
        super().__init__(me, settings.cluster.timing)
        self._moved = moved
        self.leads: Callable[[], bool] = lambda: False
        """Asked by a mutant alone (mutants.py): whether this peer leads Raft."""

    def observe(self, state: State, now: Instant) -> None:
        """As the real one."""
        super().observe(state, now)
        self._moved(self.valid_until)

    def step(self, *arguments: Any, **named: Any) -> Any:
        """As the real one."""
        proposal = super().step(*arguments, **named)
        self._moved(self.valid_until)
        return proposal


class SimReference:
    """The looks at reference targets: every five seconds, and soon after something failed."""

    def __init__(
        self, clock: HostClock, holds: Callable[[], bool], note: Callable[[bool, float, str], None]
    ) -> None:
        self._clock = clock
        self._holds = holds
        self._note = note
        self._wake = asyncio.Event()

    def reload(self, settings: Settings) -> None:
        """There is nothing in it that the simulation reads."""

    def check_soon(self) -> None:
        """Something has just failed."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            began_boot = self._clock.now().boot
            await asyncio.sleep(0.05)  # noqa: TID251 - a look takes its time
            self._note(self._holds(), began_boot, "the reference")
            await asyncio.sleep(0.5)  # noqa: TID251 - as the real one paces itself
            try:
                async with asyncio.timeout(5.0):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()


class NoWeb:
    """Nobody asks over HTTP."""

    def on_state(self, state: State, index: int) -> None:
        """Nobody listens."""

    def on_standings(self, standings: Mapping[str, Standing]) -> None:
        """Nobody listens."""

    def reload(self, settings: Settings) -> None:
        """Nothing to take."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""
