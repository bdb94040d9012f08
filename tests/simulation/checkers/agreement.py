"""Agreement: the same entry with the same effect at each place of the log, in every life of every peer."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history import History
from simulation.replay import Replay, digest


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every place at which two lives applied different entries, and states that differ at one place."""
    yield from history.clashes
    seen: dict[int, tuple[str, bytes]] = {}
    for peer, state in history.finals.items():
        other, known = seen.setdefault(state.entries, (peer, digest(state)))
        if known != digest(state):
            yield f"the states of {other} and {peer} differ after entry {state.entries}"
