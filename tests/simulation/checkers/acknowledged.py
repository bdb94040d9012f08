"""No acknowledged write is lost: whatever was answered stands in the one log, and every peer ends with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Replay

from watchtower.core.commands import decode

ON_THE_WAY_S: Final = 3.0
"""What was written so shortly before the end may not have reached everybody."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every answered proposal that the log, or a peer at the end, does not have."""
    places = {(a.entry.by, a.entry.boot, a.entry.seq): number for number, a in history.log.items()}
    last = 0
    for ack in history.acks:
        entry = decode(ack.text)
        place = places.get((entry.by, entry.boot, entry.seq))
        if place is None:
            yield f"{ack.at:.2f} {ack.life} was answered for {entry.command}, which is in no log"
        elif ack.at < history.ended_at - ON_THE_WAY_S:
            last = max(last, place)
    for peer, state in history.finals.items():
        if state.entries < last:
            yield f"{peer} ends with {state.entries} entries, number {last} was acknowledged"
