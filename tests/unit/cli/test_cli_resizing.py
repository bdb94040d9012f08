"""In which order members come and go: at no step should more depend on fewer."""

from __future__ import annotations

from typing import Any

import pytest

from watchtower.cli.resizing import plan


def doc(members: str, alive: str, leader: str) -> dict[str, Any]:
    """The cluster as a peer shows it; every letter is a peer."""
    return {
        "members": list(members),
        "leader": leader,
        "peers": [{"name": name, "live": name in alive} for name in "abcdefgh"],
    }


@pytest.mark.parametrize(
    ("members", "alive", "target", "steps"),
    [
        ("abc", "abc", "abc", []),
        ("abc", "abc", "abcde", ["add d", "add e"]),
        ("abcde", "abcde", "abc", ["remove d", "remove e"]),
        ("abc", "ab", "abd", ["remove c", "add d"]),
        ("abc", "abc", "abd", ["add d", "remove c"]),
        ("abc", "abc", "bcd", ["add d", "remove a"]),
        ("abcde", "abc", "abf", ["remove d", "remove e", "add f", "remove c"]),
        ("abc", "abc", "def", ["add d", "add e", "add f", "remove b", "remove c", "remove a"]),
    ],
)
def test_dead_ones_go_new_ones_come_living_ones_go(
    members: str, alive: str, target: str, steps: list[str]
) -> None:
    """And the leader, here a, goes last of all: it leads the other steps."""
    assert [step.text for step in plan(doc(members, alive, "a"), list(target))] == steps
