"""Sessions: nothing that an earlier life of a peer proposed has an effect in a later one."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history import History
from simulation.replay import Replay


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every entry with an effect whose proposer had no session any more."""
    yield from replay.strangers
