"""What one report can carry: the difference between two sets of votes, within the size of an entry.

A report that does not hold everything is no loss: the next comparison with the applied row derives
the rest (protocol.md, "Reporter"). Sizes are counted in bytes, because evidence may hold any script.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from watchtower.core.model import EVIDENCE_TEXT_MAX, Kind, Opinion, Vote

VOTES_MAX: Final = 200
VOTES_BYTES_MAX: Final = 48_000
"""Leaves a quarter of an entry for whatever else it holds."""
_VOTE_BYTES_MAX: Final = 6 * EVIDENCE_TEXT_MAX + 300
"""No vote is larger: JSON spends at most six bytes on a character, and the rest is names and numbers."""


def fits(votes: Mapping[str, Vote]) -> bool:
    """True when one report can carry all of `votes`."""
    if len(votes) * _VOTE_BYTES_MAX <= VOTES_BYTES_MAX:
        return True
    return (
        len(votes) <= VOTES_MAX and sum(_size(name, vote) for name, vote in votes.items()) <= VOTES_BYTES_MAX
    )


def first(changes: Mapping[str, Vote | None]) -> dict[str, Vote | None]:
    """As many of `changes`, in their order, as one report can carry."""
    taken: dict[str, Vote | None] = {}
    left = VOTES_BYTES_MAX
    for name, vote in changes.items():
        left -= _size(name, vote)
        if left < 0 or len(taken) == VOTES_MAX:
            break
        taken[name] = vote
    return taken


def difference(old: Mapping[str, Vote], new: Mapping[str, Vote]) -> dict[str, Vote | None]:
    """What turns `old` into `new`; None takes a vote back. Latency and wording alone do not count."""
    changes: dict[str, Vote | None] = {
        name: vote for name, vote in new.items() if name not in old or essence(old[name]) != essence(vote)
    }
    changes.update((name, None) for name in old if name not in new)
    return changes


def essence(vote: Vote) -> tuple[Opinion, Kind, bool]:
    """The part of a vote whose change is worth an entry in the log."""
    return vote.opinion, vote.kind, vote.suspect


def _size(name: str, vote: Vote | None) -> int:
    return len(name) + 8 + len(msgspec.json.encode(vote))
