"""Amnesia: who may have forgotten what it promised neither votes nor acknowledges until it is refilled.

Its earlier self may have voted in a term, or acknowledged entries, that it no longer knows. So it first
hears the terms of so many other peers that at least one of them shares every majority its earlier self
was part of, each of which must know its new disk; believes only leaders of no older term; and votes again
when it holds everything such a leader has committed. Recovery as in Viewstamped Replication Revisited
(Liskov and Cowling, 2012, 4.3), its hole closed by telling disks apart (Michael et al., Recovering Shared
Objects Without Stable Storage, DISC 2017). Pure: what peers said is handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct


class Hello(Struct, frozen=True, kw_only=True):
    """What a peer says of itself on a new link. `votes`: it remembers; `is_blank`: its log holds nothing yet.

    `members` are the ones it has applied, in their generation `members_gen`; none before the cluster was
    founded. `is_resizing`: its log holds a change of them that it has not applied. `disks`: which disk each
    other peer has, as far as it has heard.
    """

    disk: str
    term: int
    is_blank: bool
    votes: bool
    members: tuple[str, ...] = ()
    members_gen: int = 0
    is_resizing: bool = False
    disks: dict[str, str] = {}


class Quarantine:
    """Why `me` must not vote, and what it still has to hear. `reason` "" means that it may.

    `configured` are the other peers that the file names; they count until somebody names the members.
    `disk` is our own; of two disks of one peer the later one has the greater name.
    """

    def __init__(self, me: str, configured: Collection[str], reason: str, disk: str) -> None:
        self._me = me
        self._disk = disk
        self._configured = frozenset(configured)
        self.reason = reason
        self._hellos: dict[str, Hello] = {}

    def hello(self, peer: str, hello: Hello) -> bool:
        """Note what `peer` says. True when it has another disk than before: its earlier promises are void."""
        known = self._hellos.get(peer)
        self._hellos[peer] = hello
        return known is not None and known.disk != hello.disk

    @property
    def disks(self) -> dict[str, str]:
        """Which disk each other peer has, as it said itself."""
        return {peer: self._hellos[peer].disk for peer in sorted(self._hellos)}

    def names_us(self, peer: str, members_gen: int) -> bool:
        """True when `peer` knows newer members than those of `members_gen`, and both of us are among them."""
        hello = self._hellos.get(peer)
        return hello is not None and hello.members_gen > members_gen and {peer, self._me} <= {*hello.members}

    @property
    def floor(self) -> int | None:
        """The oldest term in which a leader may be believed; None while too few others have spoken.

        Who speaks must know our new disk: a vote that it gives later says so, and voids what our earlier self
        promised. Among so many, one had every change of the members in its log that our earlier self took
        part in: who has one that it has not applied does not count before it has.
        """
        voices = {peer: hello for peer, hello in self._hellos.items() if self._counts(hello)}
        members = self._members(voices.values())
        terms = [hello.term for peer, hello in voices.items() if peer in members]
        if self._me not in members or not terms:
            return None
        majority = len(members) // 2 + 1
        return max(terms) if len(terms) >= len(members) - majority + 1 else None

    def all_begin(self, linked: Collection[str]) -> bool:
        """True when every configured peer is linked and none has anything to remember: a new cluster."""
        return all(
            peer in linked and peer in self._hellos and self._hellos[peer].is_blank
            for peer in self._configured
        )

    def lift(self) -> None:
        """This peer remembers again."""
        self.reason = ""

    @property
    def missing(self) -> str:
        """What this peer waits for, for people."""
        if self.floor is not None:
            return "a leader that sends what is missing"
        members = self._members(self._hellos.values())
        if self._me not in members:
            return "being taken into the cluster: `watchtower cluster resize`"
        silent = sorted(members - self._hellos.keys() - {self._me})
        return f"word of {', '.join(silent)}" if silent else "more peers that remember"

    def _counts(self, hello: Hello) -> bool:
        return hello.votes and not hello.is_resizing and hello.disks.get(self._me) == self._disk

    def _members(self, hellos: Iterable[Hello]) -> frozenset[str]:
        """The newest members that anybody has named; before that, the configured peers."""
        named = max(
            (hello for hello in hellos if hello.members), key=lambda hello: hello.members_gen, default=None
        )
        return frozenset(named.members) if named is not None else self._configured | {self._me}
