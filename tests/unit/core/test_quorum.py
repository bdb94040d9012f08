"""The quorum table: every combination of three peers' votes as a golden file, and the rules in words.

The golden file is the policy of verdicts for a reader; WATCHTOWER_REWRITE=1 writes it anew, and the
difference is then reviewed. What it must satisfy for any number of peers stands in tests/property.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from support.core_support import WALL

from watchtower.core.judging import quorum
from watchtower.core.model import Level, Opinion, Verdict, Vote

GOLDEN = Path(__file__).parent / "golden" / "quorum_three_peers.txt"
CHOICES = ("up", "degraded", "down", "unknown", "absent")
PARTIAL_AFTER_S = 120.0


def judged(opinions: tuple[str, ...], n: int, age_s: float) -> Verdict:
    """The verdict when `opinions` (absent ones have no vote) have stood for `age_s`."""
    votes = [
        Vote(opinion=Opinion(opinion), since_wall=WALL - age_s) for opinion in opinions if opinion != "absent"
    ]
    return quorum.judge(votes, n, now_wall=WALL, partial_after_s=PARTIAL_AFTER_S)


def table() -> str:
    """All verdicts of three peers: votes younger, and votes older than partial_after."""
    lines = [f"{'a':9}{'b':9}{'c':9}{'young':10}{'old':10}reason when old"]
    for opinions in itertools.product(CHOICES, repeat=3):
        young, old = (judged(opinions, 3, age_s) for age_s in (0.0, PARTIAL_AFTER_S))
        levels = [verdict.level.value if verdict.level else "-" for verdict in (young, old)]
        lines.append("".join(f"{o:9}" for o in opinions) + "".join(f"{x:10}" for x in levels) + old.reason)
    return "\n".join(lines) + "\n"


def test_all_votes_of_three_peers() -> None:
    """The verdicts for three peers are those of the golden file."""
    if os.environ.get("WATCHTOWER_REWRITE"):
        GOLDEN.write_text(table())
    assert table() == GOLDEN.read_text()


@pytest.mark.parametrize("opinions", sorted(itertools.product(CHOICES, repeat=3)))
def test_the_order_of_votes_is_nothing(opinions: tuple[str, str, str]) -> None:
    """Who votes what makes no difference, only how many do."""
    verdicts = {judged(order, 3, 0.0).level for order in itertools.permutations(opinions)}
    assert len(verdicts) == 1


@pytest.mark.parametrize(
    ("opinions", "n", "level"),
    [
        (("down",), 1, Level.DOWN),
        (("up",), 1, Level.UP),
        (("unknown",), 1, None),
        (("down", "up"), 2, None),
        (("down", "down"), 2, Level.DOWN),
        (("down", "down"), 3, Level.DOWN),
        (("down", "down"), 4, None),
        (("down", "down", "up", "up"), 4, None),
        (("down", "down"), 5, None),
        (("down", "down", "degraded"), 5, Level.DEGRADED),
        (("down", "down", "down", "up", "up"), 5, Level.DOWN),
        ((), 3, None),
    ],
)
def test_a_majority_is_of_all_configured_peers(
    opinions: tuple[str, ...], n: int, level: Level | None
) -> None:
    """Peers that do not vote make a verdict harder to reach, never easier."""
    assert judged(opinions, n, 0.0).level is level


@pytest.mark.parametrize(("age_s", "level"), [(119.9, Level.UP), (120.0, Level.PARTIAL), (-30.0, Level.UP)])
def test_one_dissenter_needs_two_minutes(age_s: float, level: Level) -> None:
    """One failing vote among good ones is partial only once it is as old as partial_after."""
    assert judged(("down", "up", "up"), 3, age_s).level is level


def test_trouble_began_with_the_first_failing_vote() -> None:
    """since_wall is when the earliest of the failing votes began, whatever the good ones say."""
    votes = [
        Vote(opinion=Opinion.UP, since_wall=WALL - 900),
        Vote(opinion=Opinion.DOWN, since_wall=WALL - 10),
        Vote(opinion=Opinion.DEGRADED, since_wall=WALL - 30),
    ]
    verdict = quorum.judge(votes, 3, now_wall=WALL, partial_after_s=PARTIAL_AFTER_S)
    assert verdict.since_wall == WALL - 30
    assert verdict.level is Level.DEGRADED
    assert verdict.counts == {Opinion.UP: 1, Opinion.DOWN: 1, Opinion.DEGRADED: 1, Opinion.UNKNOWN: 0}


def test_the_reason_of_no_verdict_counts_the_votes() -> None:
    """Where no rule holds, the reason says how the votes stand."""
    assert judged(("down", "up"), 3, 0.0).reason == "no 2 of 3 peers agree: 1 up, 0 degraded, 1 down"


@pytest.mark.parametrize(
    ("level", "opinions", "n", "expected"),
    [
        (Level.DOWN, ("down", "up"), 3, True),
        (Level.DOWN, ("down", "unknown", "up"), 3, True),
        (Level.DOWN, ("down", "up", "up"), 3, False),
        (Level.DOWN, ("degraded", "degraded"), 3, False),
        (Level.DOWN, ("degraded",), 3, True),
        (Level.DEGRADED, ("degraded", "up"), 3, True),
        (Level.DEGRADED, ("degraded", "up", "up"), 3, False),
        (Level.DEGRADED, ("up", "up"), 3, False),
        (Level.PARTIAL, ("down", "down", "down"), 3, False),
        (Level.UP, (), 3, False),
    ],
)
def test_what_the_missing_votes_could_make_of_it(
    level: Level, opinions: tuple[str, ...], n: int, *, expected: bool
) -> None:
    """A level is still possible when all missing votes cast badly would make it."""
    counts = judged(opinions, n, 0.0).counts
    assert quorum.could_be(level, counts, n) is expected
