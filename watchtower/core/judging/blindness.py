"""No majority: when to say that monitoring is blind, and when to give the all-clear.

Said once by each minority, by the lowest of the peers that still reach each other, and only by a
peer that has ever seen a quorum: a cluster that is being set up is not blind. Pure; the caller
sends the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import Instant


class Word(StrEnum):
    """What there is to say."""

    BLIND = "blind"
    ALL_CLEAR = "all clear"


RETRY_S: Final = 5.0


class Blindness:
    """Remembers since when there is no quorum, what people know of it, and what is being said just now.

    A word that was not accepted is said again after RETRY_S; the all-clear only follows a notice that was.
    """

    def __init__(self, me: str) -> None:
        self._me = me
        self._since_boot = 0.0
        self._is_told = False
        self._is_speaking = False
        self._not_before_boot = 0.0

    def step(self, status: ClusterStatus, now: Instant, after_s: float) -> Word | None:
        """What to say now, if anything; then `said` must follow."""
        word = self._word(status, now, after_s)
        if word is None or self._is_speaking or now.boot < self._not_before_boot:
            return None
        self._is_speaking = True
        return word

    def said(self, word: Word, now: Instant, *, accepted: bool) -> None:
        """The word was said, and the channel took it or did not."""
        self._is_speaking = False
        if accepted:
            self._is_told = word is Word.BLIND
        else:
            self._not_before_boot = now.boot + RETRY_S

    def _word(self, status: ClusterStatus, now: Instant, after_s: float) -> Word | None:
        if status.has_quorum:
            self._since_boot = 0.0
            return Word.ALL_CLEAR if self._is_told else None
        self._since_boot = self._since_boot or now.boot
        is_due = status.had_quorum and now.boot - self._since_boot >= after_s
        return Word.BLIND if is_due and not self._is_told and self._speaks(status) else None

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
