"""No history: nothing is kept, and whoever asks is told why.

Stands where History would, so that nobody else has to know the difference. It opens no file.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.model import Result
from watchtower.core.samples import Figures, HistoryStats, SamplePage, Transition
from watchtower.core.settings import Settings
from watchtower.errors import HistoryError

WHY: Final = "this peer keeps no history: it runs with --no-history, or with `storage: {history: false}`"


class NoHistory:
    """A history that keeps nothing."""

    def __init__(self) -> None:
        self.stats = HistoryStats(off=WHY)

    def take(self, result: Result) -> None:
        """Forget it."""

    def reload(self, settings: Settings) -> None:
        """Nothing to take."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def results(self, service: str, *, before: int | None, limit: int) -> SamplePage:
        """There are none."""
        raise HistoryError(WHY)

    async def transitions(self, service: str, *, limit: int) -> tuple[Transition, ...]:
        """There are none."""
        raise HistoryError(WHY)

    async def uptime(self, service: str, windows_s: tuple[float, ...]) -> tuple[Figures, ...]:
        """There are none."""
        raise HistoryError(WHY)
