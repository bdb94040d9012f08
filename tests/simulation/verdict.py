"""Hands the history of a run to every checker and gathers what they object to.

A checker is a function of the facts that yields one sentence per objection; each stands in a file of its
own under checkers/. Nothing here knows what any of them looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct
from simulation.checkers import (
    acknowledged,
    agreement,
    alarms,
    convergence,
    detection,
    lease,
    manners,
    order,
    resources,
    restore,
    rights,
    sessions,
    silence,
    surprises,
    terms,
    voice,
)
from simulation.history import History
from simulation.replay import Replay

Checker = Callable[[History, Replay], Iterator[str]]

CHECKERS: Final[dict[str, Checker]] = {
    "agreement": agreement.check,
    "acknowledged": acknowledged.check,
    "restore": restore.check,
    "lease": lease.check,
    "rights": rights.check,
    "voice": voice.check,
    "order": order.check,
    "silence": silence.check,
    "alarms": alarms.check,
    "detection": detection.check,
    "convergence": convergence.check,
    "manners": manners.check,
    "sessions": sessions.check,
    "terms": terms.check,
    "resources": resources.check,
    "surprises": surprises.check,
}
"""In this order: the first objection is usually the cause of those after it."""

OBJECTIONS_MAX: Final = 5


class Objection(Struct, frozen=True):
    """What one checker found wrong."""

    checker: str
    text: str


def objections(history: History, replay: Replay) -> list[Objection]:
    """Everything that is wrong with a run, at most a few sentences of each checker."""
    found = []
    for name, check in CHECKERS.items():
        for number, text in enumerate(check(history, replay)):
            if number == OBJECTIONS_MAX:
                break
            found.append(Objection(name, text))
    return found
