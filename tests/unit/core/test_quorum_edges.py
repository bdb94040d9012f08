"""The quorum at its edges: votes that nobody counted, and a verdict without trouble.

Beside the table of test_quorum.py; each case here is one that a changed line of the code would get wrong.
"""

from __future__ import annotations

import pytest
from support.core_support import WALL

from watchtower.core.judging import quorum
from watchtower.core.model import Level, Opinion, Vote


@pytest.mark.parametrize("level", [Level.DOWN, Level.DEGRADED])
def test_what_is_not_counted_is_missing(level: Level) -> None:
    """Counts that do not name an opinion count none: every vote is still out, and could be bad."""
    assert quorum.could_be(level, {}, 1)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("level", [Level.DOWN, Level.DEGRADED])
def test_half_is_no_majority(level: Level, n: int) -> None:
    """As many good votes as leave half of the peers put the level out of reach, one fewer does not."""
    enough = n - n // 2
    assert not quorum.could_be(level, {Opinion.UP: enough}, n)
    assert quorum.could_be(level, {Opinion.UP: enough - 1}, n)


def test_without_trouble_there_is_no_beginning() -> None:
    """A verdict of good votes alone says nothing of when trouble began."""
    good = [Vote(opinion=Opinion.UP, since_wall=WALL)] * 2
    assert quorum.judge(good, 3, now_wall=WALL, partial_after_s=120.0).since_wall == 0.0
