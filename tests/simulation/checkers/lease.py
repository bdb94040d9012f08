"""One alerter: at no instant of true time do two processes hold a valid lease, each by its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from simulation.history import History
from simulation.replay import Replay

ROUNDING_S: Final = 1e-6


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every two stretches of office that overlap."""
    for one, other in combinations(history.offices, 2):
        since, until = max(one.since, other.since), min(one.until, other.until)
        if one.life != other.life and since + ROUNDING_S < until:
            yield f"{one.life} and {other.life} are both in office from {since:.3f} to {until:.3f}"
