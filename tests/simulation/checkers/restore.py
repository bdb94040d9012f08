"""Restoring equals replaying: a state come about by snapshots and restarts is that of the whole log."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history import History
from simulation.replay import Replay, digest


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every peer whose final state is not, byte for byte, what replaying all entries gives."""
    if replay.gaps:
        yield f"nobody ever applied the entries {replay.gaps[:5]}"
        return
    wanted = digest(replay.state)
    for peer, state in history.finals.items():
        if state.entries == replay.state.entries and digest(state) != wanted:
            yield f"{peer} ends with another state than replaying its {state.entries} entries gives"
