"""Do all peers hold the same ledger? Every so many entries each reports the hash of its state.

Equal logs must give equal states, so two hashes at one entry that differ are a defect or a broken disk,
and nothing the ledger says can be trusted until people have looked. Compares what is in the rows and
decides nothing else; hashes at different entries say nothing about each other.
"""

from __future__ import annotations

from itertools import combinations
from typing import Final

from watchtower.core.model import Checkpoint, Level, State, Verdict
from watchtower.core.settings import CLUSTER_SUBJECT

_DIFFERS: Final = "the state of peers "
"""How the reason of such a verdict begins, by which its incident is known again."""


def judge(state: State) -> Verdict | None:
    """The verdict on the cluster by its checkpoints alone; None when they have nothing to say.

    What was found once stays until all members agree at one entry: between two checkpoints nothing can
    be compared, and that must not look like the end of it.
    """
    known = {name: mark for name in state.members if (mark := state.row(name).checkpoint) is not None}
    for (one, mine), (other, theirs) in combinations(known.items(), 2):
        if mine.entries == theirs.entries and mine.hash != theirs.hash:
            return Verdict(level=Level.DOWN, reason=_difference(one, mine, other, theirs))
    incident = state.open_incident(CLUSTER_SUBJECT)
    was_found = incident is not None and incident.reason.startswith(_DIFFERS)
    live = [state.row(name).checkpoint for name in state.members if state.row(name).boot_id]
    if was_found and (None in live or len(set(live)) != 1):
        return Verdict(level=None, reason="waiting for checkpoints of one entry, to compare them again")
    return None


def _difference(one: str, mine: Checkpoint, other: str, theirs: Checkpoint) -> str:
    """What people read: who, where, and what to do about it."""
    return (
        f"{_DIFFERS}{one} and {other} differs at entry {mine.entries}: "
        f"{one} has {mine.hash[:12]}, {other} has {theirs.hash[:12]}"
    )
