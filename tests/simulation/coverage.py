"""What a campaign has to have visited before its silence means anything, and whether it has.

Three floors: enough seeds change the alerter while a notification is unfinished, every kind of fault has
happened often enough, and every cell of the incident table (level of the incident, verdict) was met.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from simulation.faults import KINDS
from simulation.history import cell
from simulation.outcome import Outcome

from watchtower.core.model import Level

MOVED_SHARE: Final = 0.30
FAULTS_EACH: Final = 200
LEVELS: Final = (None, Level.PARTIAL, Level.DEGRADED, Level.DOWN)


CELLS: Final = tuple(cell(current, verdict) for current in LEVELS for verdict in Level)


class Coverage:
    """The sums over many outcomes."""

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.runs = self.moved = 0
        self.faults: Counter[str] = Counter()
        self.cells: Counter[str] = Counter()
        for outcome in outcomes:
            self.runs += 1
            self.moved += outcome.moved_with_news > 0
            self.faults.update(outcome.faults)
            self.cells.update(outcome.cells)

    @property
    def moved_share(self) -> float:
        """The share of runs that changed the alerter with a notification unfinished."""
        return self.moved / max(1, self.runs)

    def shortfalls(self) -> Iterator[str]:
        """Every floor that was missed."""
        if self.moved_share < MOVED_SHARE:
            share = f"{self.moved_share:.0%} of the seeds, not {MOVED_SHARE:.0%}"
            yield f"{share}, change the alerter with a notification unfinished"
        for kind in sorted(KINDS):
            if self.faults[kind] < FAULTS_EACH:
                yield f"fault {kind} happened {self.faults[kind]} times, not {FAULTS_EACH}"
        for name in CELLS:
            if not self.cells[name]:
                yield f"the cell {name} of the incident table was never visited"

    def lines(self) -> Iterator[str]:
        """The sums, for people."""
        yield f"alerter changed with a notification unfinished: {self.moved_share:.0%} of {self.runs} seeds"
        yield "faults: " + ", ".join(f"{kind} {self.faults[kind]}" for kind in sorted(KINDS))
        yield "cells (incident > verdict): " + ", ".join(f"{name} {self.cells[name]}" for name in CELLS)
