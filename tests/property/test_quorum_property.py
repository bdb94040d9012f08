"""Quorum against a brute force that enumerates majorities, for up to seven peers and any ages.

The brute force knows no counting rule: it looks whether some set of q votes agrees. Beside it stand the
two promises in words: missing peers make verdicts stricter, and votes are interchangeable.
"""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from watchtower.core.judging.quorum import judge
from watchtower.core.model import Level, Opinion, Vote

NOW = 10_000.0
PARTIAL_AFTER_S = 120.0
SEVERITY = (None, Level.UP, Level.PARTIAL, Level.DEGRADED, Level.DOWN)

votes_of = st.builds(
    Vote, opinion=st.sampled_from(Opinion), since_wall=st.sampled_from((NOW, NOW - 119, NOW - 120, NOW - 999))
)
ballots = st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.lists(votes_of, max_size=n)))


def level(votes: list[Vote], n: int) -> Level | None:
    """What the code judges."""
    return judge(votes, n, now_wall=NOW, partial_after_s=PARTIAL_AFTER_S).level


def brute(votes: list[Vote], n: int) -> Level | None:
    """The same by looking at every smallest majority of the n peers."""
    sides = [votes[i] if i < len(votes) else None for i in range(n)]
    majorities = [
        [vote.opinion if vote else None for vote in some]
        for size in range(n + 1)
        if 2 * size > n
        for some in itertools.combinations(sides, size)
    ]
    if any(all(o is Opinion.DOWN for o in some) for some in majorities):
        return Level.DOWN
    if any(all(o in (Opinion.DOWN, Opinion.DEGRADED) for o in some) for some in majorities):
        return Level.DEGRADED
    for good, bad in itertools.permutations(votes, 2):
        is_bad = bad.opinion in (Opinion.DOWN, Opinion.DEGRADED)
        if good.opinion is Opinion.UP and is_bad and bad.since_wall <= NOW - PARTIAL_AFTER_S:
            return Level.PARTIAL
    if any(all(o is Opinion.UP for o in some) for some in majorities):
        return Level.UP
    return None


@given(ballots)
def test_against_brute_force(ballot: tuple[int, list[Vote]]) -> None:
    """The counted verdict is the one that enumerating all majorities finds."""
    n, votes = ballot
    assert level(votes, n) is brute(votes, n)


@given(ballots, st.randoms(use_true_random=False))
def test_votes_are_interchangeable(ballot: tuple[int, list[Vote]], random: st.DrawFn) -> None:
    """The order of votes is nothing."""
    n, votes = ballot
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined] # hypothesis hands in a Random
    assert level(shuffled, n) is level(votes, n)


@given(ballots, st.data())
def test_a_missing_peer_never_makes_it_down(ballot: tuple[int, list[Vote]], data: st.DataObject) -> None:
    """Without one of the votes a service is never down, degraded or up when it was not before."""
    n, votes = ballot
    if not votes:
        return
    left = list(votes)
    left.pop(data.draw(st.integers(0, len(votes) - 1)))
    strict = {Level.DOWN: (Level.DOWN,), Level.DEGRADED: (Level.DOWN, Level.DEGRADED)}
    less = level(left, n)
    assert less not in strict or level(votes, n) in strict[less]


@given(ballots)
def test_unknown_is_as_good_as_absent(ballot: tuple[int, list[Vote]]) -> None:
    """A vote of unknown counts exactly as no vote at all."""
    n, votes = ballot
    known = [vote for vote in votes if vote.opinion is not Opinion.UNKNOWN]
    assert level(votes, n) is level(known, n)
