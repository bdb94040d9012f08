"""Nothing that no fault explains: exceptions in the product, and processes that ended by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History, LifeSpan
from simulation.replay import Replay

ON_PURPOSE: Final = (
    "crashes",
    "loses",
    "dies beside",
    "is set up anew",
    "killed while writing",
    "ends with 0",
    "the run is over",
)
BY_THE_DISK: Final = ("No space left", "cannot be used")
STUCK_S: Final = 12.0
"""A disk that takes a second for each sync can keep Raft so long that the watchdog ends the process."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every problem noted while the run went on, and every end that nobody asked for."""
    yield from history.problems
    for life in history.lives.values():
        if not any(word in life.how for word in (*ON_PURPOSE, *BY_THE_DISK)) and not _was_stuck(
            history, life
        ):
            yield f"{life.died:.2f} {life.id} ended by itself: {life.how or 'still running'}"


def _was_stuck(history: History, life: LifeSpan) -> bool:
    spells = history.of("slow disk", life.peer)
    return life.how == "ends with 1" and any(spell.until > life.died - STUCK_S for spell in spells)
