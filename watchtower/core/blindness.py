"""No majority: when to say that monitoring is blind, and when to give the all-clear.

Said once by each minority, by the lowest of the peers that still reach each other, and only by a
peer that has ever seen a quorum: a cluster that is being set up is not blind. Pure; the caller
sends the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from watchtower.core.model import ClusterStatus, Instant


class Word(StrEnum):
    """What there is to say."""

    BLIND = "blind"
    ALL_CLEAR = "all clear"


class Blindness:
    """Remembers since when there is no quorum and whether this peer has said so."""

    def __init__(self, me: str, after_s: float) -> None:
        self._me = me
        self._after_s = after_s
        self._since_boot = 0.0
        self._has_said = False

    def since_boot(self) -> float:
        """When the quorum was lost; 0.0 while there is one."""
        return self._since_boot

    def step(self, status: ClusterStatus, now: Instant) -> Word | None:
        """What to say now, if anything."""
        if status.has_quorum:
            return self._sees_again()
        if not self._since_boot:
            self._since_boot = now.boot
        is_due = status.had_quorum and now.boot - self._since_boot >= self._after_s
        if not is_due or self._has_said or not self._speaks(status):
            return None
        self._has_said = True
        return Word.BLIND

    def _sees_again(self) -> Word | None:
        had_said, self._has_said, self._since_boot = self._has_said, False, 0.0
        return Word.ALL_CLEAR if had_said else None

    def _speaks(self, status: ClusterStatus) -> bool:
        """True when no lower peer is reachable that would say it."""
        return not any(is_up and peer < self._me for peer, is_up in status.links.items())


def words(
    word: Word, cluster: str, me: str, links: Mapping[str, bool], failing: Sequence[str]
) -> tuple[str, tuple[str, ...]]:
    """Title and lines of the notice, from what this one peer sees; `failing` services are unconfirmed."""
    seen, total = 1 + sum(links.values()), 1 + len(links)
    if word is Word.ALL_CLEAR:
        return f"[{cluster}] monitoring sees again", (f"Peer {me} sees {seen} of {total} peers.",)
    missing = ", ".join(sorted(peer for peer, is_up in links.items() if not is_up)) or "none"
    local = ", ".join(sorted(failing)[:20])
    return f"[{cluster}] MONITORING IS BLIND: peer {me} sees {seen} of {total}", (
        "There is no majority, so service alerts are held back until there is one.",
        f"Not reachable: {missing}.",
        f"Fails from here, unconfirmed: {local}." if local else "Nothing fails from here.",
    )
