"""No false alarm: nothing opens unless enough peers saw it fail, in the ledger's votes and in truth.

In truth: when the service was well all the time, and fewer than a majority of the peers were misled about
it, over as long as a vote may be old, then no incident of it may open. In the calm after the healing
nothing opens at all but what the run itself breaks there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Closed, Opened, Replay

from watchtower.core.model import Level, Opinion
from watchtower.probes.weighing.selfdoubt import STEP_REMEMBERED_S

OLD_VOTE_S: Final = 22.0
CALM_AFTER_S: Final = 20.0
DOUBT_S: Final = 10.0
"""What was failing all the time may be found so long after the doubts of a clock that jumped are over."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every opening, and every end, that the votes or the truth do not bear out."""
    services = {service for _, service, _ in history.truth if service != "nightly"}
    for opened in replay.opened.values():
        if opened.service in services:
            yield from _unjustified(opened)
            if not _was_in_trouble(history, opened):
                yield f"#{opened.number} {opened.service} opens at {opened.at:.2f}, though it was well"
        calm_at = max(history.healed_at + CALM_AFTER_S, history.clock_set_at + STEP_REMEMBERED_S + DOUBT_S)
        if opened.at > calm_at and opened.service != history.calm_service:
            yield f"#{opened.number} {opened.service} opens at {opened.at:.2f}, in perfect calm"
    for closed in replay.closed.values():
        if closed.service in services:
            yield from _too_soon(closed)


def _unjustified(opened: Opened) -> Iterator[str]:
    majority = opened.majority
    down, degraded = opened.votes[Opinion.DOWN], opened.votes[Opinion.DEGRADED]
    enough = {
        Level.DOWN: down >= majority,
        Level.DEGRADED: down + degraded >= majority,
        Level.PARTIAL: down + degraded >= 1,
    }
    if not enough.get(opened.level, False):
        level, votes = opened.level.value, _shown(opened.votes)
        yield f"#{opened.number} {opened.service} opens as {level} on the votes {votes}"


def _too_soon(closed: Closed) -> Iterator[str]:
    if closed.votes[Opinion.UP] < closed.majority and closed.reason != "no longer configured":
        yield f"#{closed.number} {closed.service} ends on the votes {_shown(closed.votes)}"


def _shown(votes: dict[Opinion, int]) -> str:
    return ", ".join(f"{count} {opinion.value}" for opinion, count in votes.items() if count)


def _was_in_trouble(history: History, opened: Opened) -> bool:
    since = opened.at - OLD_VOTE_S
    condition = "well"
    for at, service, became in history.truth:
        if service == opened.service and at <= opened.at:
            if at > since and "well" not in (condition, became):
                return True
            if at > since and became != condition:
                return True
            condition = became
    if condition != "well":
        return True
    misled = {
        peer
        for peer, service, began, ended in history.misled
        if service == opened.service and began <= opened.at and ended >= since
    }
    needed = 1 if opened.level is Level.PARTIAL else opened.majority
    return len(misled) >= needed
