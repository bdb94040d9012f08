"""Elections: a fault costs a few terms, not one for every second that it lasts; nobody deposes for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Replay

FREE: Final = 6
EACH: Final = 2
STRIKES: Final = {"power-cut": 2, "rolling-restart": 6, "lossy": 8, "delay": 3, "slow-disk": 6}
"""Kinds that strike more than once."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """More terms than the faults explain."""
    strikes = sum(count * STRIKES.get(kind, 1) for kind, count in history.faults.items())
    allowed = FREE + EACH * strikes
    if history.terms > allowed:
        yield f"the term is {history.terms} after {strikes} strikes, {allowed} are explained"
