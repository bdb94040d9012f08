"""In which order members come and go: at no step should more depend on fewer."""

from __future__ import annotations

from typing import Any

import pytest

from watchtower.cli.acting import Ground
from watchtower.cli.asking import NoAnswerError, Peers
from watchtower.cli.resizing import Resizing, plan


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


class Told(Peers):
    """Peers that answer what a test says, by address."""

    def __init__(self, answers: dict[str, dict[str, Any]], urls: tuple[str, ...] = ("//a",)) -> None:
        super().__init__(urls)
        self._answers = answers

    def only(self, url: str) -> Peers:
        """The one at `url`."""
        return Told(self._answers, (url,))

    def get(self, path: str) -> Any:
        """Its answer."""
        if self.urls[0] not in self._answers:
            raise NoAnswerError("connection refused")
        return self._answers[self.urls[0]]


def newcomer(**changes: Any) -> dict[str, Any]:
    """What a new, blank peer d says that is linked to a."""
    linked = [{"name": "a", "http": "//a", "linked": True}]
    said = {
        "peer": "d",
        "cluster": "x",
        "counted": ["a", "d"],
        "quarantine": "its data folder is empty",
        "peers": linked,
    }
    return {**said, "members": [], "members_gen": 0, "quorum": False, "index": 1, **changes}


def not_there(answer: dict[str, Any] | None) -> str:
    """What d lacks to be taken in, when this is what it answers."""
    peers = [{"name": name, "http": f"//{name}", "live": name == "a", "linked": None} for name in "ad"]
    leader = {"peer": "a", "cluster": "x", "leader": "a", "members": ["a"], "members_gen": 2, "peers": peers}
    answers = {"//a": {**leader, "quorum": True, "index": 9, "file_peers": ["a", "d"]}}
    if answer is not None:
        answers["//d"] = answer
    return Resizing(Ground(Told(answers), None), 1.0)._not_there("d")


def test_a_new_peer_must_answer_and_be_linked() -> None:
    """Before that it would count and not help."""
    assert not_there(newcomer()) == ""
    assert not_there(None).startswith("d to answer: start it with an empty data folder")
    assert not_there(newcomer(peers=[])) == "d to be linked to the leader a"
    assert not_there(newcomer(counted=[], quarantine="")) == "d to finish its start", (
        "it has looked at no disk yet"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"quarantine": "", "members": ["a", "b", "d"]}, "d has a history of its own"),
        ({"quarantine": ""}, "d has a history of its own"),
        ({"peer": "e"}, "at the address of d answers peer e"),
        ({"cluster": "y"}, "answers peer d of cluster y"),
    ],
)
def test_a_new_peer_of_another_history_is_refused(changes: dict[str, Any], words: str) -> None:
    """A survivor of the lost majority with its old disk, say, or one that is somebody else."""
    with pytest.raises(NoAnswerError, match=words):
        not_there(newcomer(**changes))
