"""Votes in, verdict out: how many peers must agree before a service is anything.

n = peers configured for the service, q = n // 2 + 1. The first rule that holds:

    down >= q                                      -> down
    down + degraded >= q                           -> degraded
    up >= 1 and a down or degraded vote older
        than partial_after                         -> partial
    up >= q                                        -> up
    none                                           -> no level: the last one stays for 2 minutes

Only votes of eligible peers are handed in, but n does not shrink with them: a dead or sick peer
makes a verdict harder to reach, never easier.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from watchtower.core.model import Level, Opinion, Verdict, Vote

_NONE: Final = dict.fromkeys(Opinion, 0)


def judge(votes: Sequence[Vote], n: int, *, now_wall: float, partial_after_s: float) -> Verdict:
    """The verdict of the eligible `votes` out of `n` configured peers, with its reason."""
    counts = _NONE.copy()
    for vote in votes:
        counts[vote.opinion] += 1
    q = n // 2 + 1
    failing = [vote for vote in votes if vote.opinion in (Opinion.DOWN, Opinion.DEGRADED)]
    since_wall = min((vote.since_wall for vote in failing), default=0.0)
    is_old = bool(failing) and now_wall - since_wall >= partial_after_s
    level = _level(counts, q, is_old=is_old)
    return Verdict(level=level, reason=_reason(level, counts, n, q), since_wall=since_wall, counts=counts)


def could_be(level: Level, counts: Mapping[Opinion, int], n: int) -> bool:
    """True when the votes that are missing out of `n`, all cast badly, would make it DOWN or DEGRADED."""
    failing = n - counts.get(Opinion.UP, 0)
    if level is Level.DOWN:
        failing -= counts.get(Opinion.DEGRADED, 0)
    return level in (Level.DOWN, Level.DEGRADED) and failing > n // 2


def _level(counts: dict[Opinion, int], q: int, *, is_old: bool) -> Level | None:
    if counts[Opinion.DOWN] >= q:
        return Level.DOWN
    if counts[Opinion.DOWN] + counts[Opinion.DEGRADED] >= q:
        return Level.DEGRADED
    if counts[Opinion.UP] >= 1 and is_old:
        return Level.PARTIAL
    if counts[Opinion.UP] >= q:
        return Level.UP
    return None


def _reason(level: Level | None, counts: dict[Opinion, int], n: int, q: int) -> str:
    down, degraded, up = counts[Opinion.DOWN], counts[Opinion.DEGRADED], counts[Opinion.UP]
    if level is Level.DOWN:
        return f"{down} of {n} peers see it down"
    if level is Level.DEGRADED:
        return f"{down + degraded} of {n} peers see it degraded or down"
    if level is Level.PARTIAL:
        return f"{down + degraded} of {n} peers see it failing, {up} see it up"
    if level is Level.UP:
        return f"{up} of {n} peers see it up"
    return f"no {q} of {n} peers agree: {up} up, {degraded} degraded, {down} down"
