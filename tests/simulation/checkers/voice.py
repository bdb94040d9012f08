"""One voice: a message arrives twice only in the named window, says so, and never on a searchable channel.

The window: after the channel had taken it and before that was in the log, its sender crashed, was paused,
was cut off, had no disk, or lost the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.channels import Receipt
from simulation.history import History
from simulation.replay import Replay
from simulation.scene import WAYS

from watchtower.core.model import Outcome

LOST_ANSWERS: Final = ("hangs", "loses answers", "is away")
TROUBLES: Final = ("no quorum", "paused", "full disk", "slow disk")


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every repeat that nothing excuses, and every one that does not say what it is."""
    before: dict[tuple[str, str], Receipt] = {}
    for receipt in history.receipts:
        if receipt.delivery_id not in replay.items:
            continue
        key = receipt.channel, receipt.delivery_id
        earlier = before.get(key)
        before[key] = receipt
        if earlier is not None and WAYS[receipt.channel] != "merging":
            yield from _objections(history, replay, earlier, receipt)


def _objections(history: History, replay: Replay, earlier: Receipt, again: Receipt) -> Iterator[str]:
    what = f"{again.at:.2f} {again.life} repeats {again.delivery_id} on {again.channel}"
    claimed = max(
        (one.at for one in replay.claims if (one.id, one.boot) == (again.delivery_id, again.life)),
        default=0.0,
    )
    known = min(
        (
            one.at
            for one in replay.settles
            if one.id == again.delivery_id and one.outcome is Outcome.ACCEPTED and one.at >= earlier.at
        ),
        default=float("inf"),
    )
    if known < claimed:
        yield f"{what}, which the log knew to be accepted since {known:.2f}"
    elif earlier.mood not in LOST_ANSWERS and not _is_excused(history, earlier, min(known, again.at)):
        yield f"{what}, and {earlier.life} could have settled it since {earlier.at:.2f}"
    is_blind = (again.life, again.delivery_id) in history.unsearched
    if WAYS[again.channel] == "searchable" and not is_blind:
        yield f"{what}, which can be searched"
    elif not again.is_marked:
        yield f"{what} and does not say so"


def _is_excused(history: History, earlier: Receipt, until: float) -> bool:
    """Whether something kept the earlier sender from writing down what had happened."""
    life = history.lives[earlier.life]
    if life.died <= until:
        return True
    return any(
        spell.since <= until and spell.until >= earlier.at
        for what in TROUBLES
        for spell in history.of(what, earlier.peer)
    )
