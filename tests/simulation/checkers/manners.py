"""Manners: as long as a channel asked one sender to wait, every sender waits with that message."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Replay

from watchtower.core.model import Outcome

LOOK_S: Final = 1.5
"""No clock that is wrong shortens a wait by more than one look at the state."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every message that left again before the time that its channel had asked for."""
    for at, life, delivery_id, wait_s in history.asked:
        known = min(
            (
                one.at
                for one in replay.settles
                if (one.id, one.boot) == (delivery_id, life)
                and one.at >= at
                and one.outcome is Outcome.REJECTED
            ),
            default=float("inf"),
        )
        for let in history.lets:
            if let.delivery_id == delivery_id and known < let.at < at + wait_s - LOOK_S:
                yield f"{let.at:.2f} {let.life} sends {delivery_id}, asked at {at:.2f} to wait {wait_s:.0f} s"
