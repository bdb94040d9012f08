"""Bounded resources: log, state, queues, tasks and timers stay small, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Replay

LIMITS: Final = {
    "frames in flight": 5_000,
    "inbox": 5_000,
    "timers": 400,
    "tasks": 200,
    "log bytes": 8 * 2**20,
    "notifications": 1_000,
}


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every size that went over its limit."""
    for what, limit in LIMITS.items():
        if history.peaks[what] > limit:
            yield f"{history.peaks[what]} {what}, the limit is {limit}"
