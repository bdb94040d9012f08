"""PreVote: ask before an election whether it could be won, so that nobody deposes a leader others hear.

Raft dissertation, section 9.6. Pure: terms, indexes and time are handed in. A peer grants when the
asker's log is as complete as its own and it has heard no leader for the shortest election timeout. Without
this, a peer that misses the leader's heartbeats alone would end every leadership, for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

NEVER: Final = float("-inf")


class Tail(Struct, frozen=True, order=True):
    """How complete a log is: term and index of its last entry, compared in this order."""

    term: int
    index: int


class Ballot:
    """The votes of one candidacy, and the disks they were given from."""

    def __init__(self) -> None:
        self._term = 0
        self._disks: dict[str, str] = {}
        self._newest: dict[str, str] = {}

    def take(self, term: int, peer: str, disk: str, known: Mapping[str, str]) -> bool:
        """A vote of `peer` in `term`, from its `disk`; `known` are the disks that it knows.

        False when a vote that was counted came from a disk that its peer has lost since: it may have voted
        anew, and not for us. Later disks have greater names.
        """
        if term != self._term:
            self._term, self._disks, self._newest = term, {}, {}
        self._disks[peer] = disk
        for name, other in (*known.items(), (peer, disk)):
            self._newest[name] = max(other, self._newest.get(name, ""))
        return all(self._newest[name] <= given for name, given in self._disks.items())


class PreVote:
    """The rounds this peer asks, and when it last heard a leader.

    `stickiness_s` is the shortest election timeout: for so long nobody deposes a leader that was heard.
    """

    def __init__(self, me: str, stickiness_s: float) -> None:
        self._me = me
        self._stickiness_s = stickiness_s
        self._heard_s = NEVER
        self._round = 0
        self._granted: set[str] = set()

    @property
    def heard_s(self) -> float:
        """When a leader was last heard."""
        return self._heard_s

    def heard(self, now_s: float) -> None:
        """A leader of the current term was heard: whatever was asked is moot."""
        self._heard_s = now_s
        self._granted = set()

    def ask(self) -> int:
        """Begin a round; its number. Answers to earlier rounds count no more."""
        self._round += 1
        self._granted = {self._me}
        return self._round

    def answered(self, round_number: int, peer: str, members: Collection[str]) -> bool:
        """`peer` granted. True when a majority of `members` has, by this very answer."""
        if round_number != self._round or not self._granted or peer not in members:
            return False
        self._granted.add(peer)
        if len(self._granted) * 2 <= len(members):
            return False
        self._granted = set()
        return True

    def refusal(self, asked: Tail, own: Tail, now_s: float, *, leads: bool) -> str:
        """Why an election of the asker is not wanted; "" when it would get our vote.

        `leads`: this peer is a leader that a majority answers.
        """
        if leads:
            return "we lead, and a majority answers"
        if now_s - self._heard_s < self._stickiness_s:
            return "a leader was heard just now"
        if asked < own:
            return "our log is more complete"
        return ""
