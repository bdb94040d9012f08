"""Peers are services too: is another peer up, sick, or gone?

Besides the votes of the others (its own never counts), a peer is judged by what the ledger knows of
it: it never joined, it stopped reporting, it doubts itself, its clock is off. A planned stop is excused
for as long as the peer asked for. A fresh report through the log is proof of life: the word of one other
peer does not stand against it, nor any while the peer has only just come (back). Of a peer that is in the
file but no member (yet, or any more) nothing is expected.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.judging import eligibility
from watchtower.core.model import Instant, Level, PeerRow, State, Verdict
from watchtower.core.view import View

JOIN_GRACE_S: Final = 120.0
ONE_WORD_TOLD_AFTER_S: Final = 120.0
COMING_S: Final = 10.0
"""So long after its join a peer may still be down in votes that others cast while it was away."""
AWAY_MAX_S: Final = 60.0
"""Votes older than this are not about one absence: the peer comes and goes."""


def judge(peer: str, votes: Verdict, state: State, view: View, now: Instant) -> Verdict:
    """The verdict on `peer`, given the verdict `votes` of the other peers' probes."""
    row = state.row(peer)
    if peer not in state.members:
        return Verdict(level=None, reason="no member of the cluster", counts=votes.counts)
    if row.leaving_until_wall > now.wall:
        return Verdict(level=None, reason="stopped on purpose", counts=votes.counts)
    if row.session == 0:
        return _never_joined(state, votes, now)
    silent_s = eligibility.silent_s(peer, view, now)
    if not row.boot_id or silent_s > eligibility.FRESH_S:
        return _as(votes, Level.DOWN, _silence(row, silent_s), now.wall - silent_s)
    votes = _of_several(votes, now)
    if votes.level in (Level.DOWN, Level.DEGRADED, Level.PARTIAL):
        is_coming = _is_coming(row, votes, state, joined_s=eligibility.joined_s(peer, view, now), now=now)
        return replace(votes, level=None, reason="has just come") if is_coming else votes
    return _by_its_reports(peer, row, votes, view, now)


def _by_its_reports(peer: str, row: PeerRow, votes: Verdict, view: View, now: Instant) -> Verdict:
    sickness = _sickness(peer, row, view)
    if sickness:
        return _as(votes, Level.DEGRADED, sickness, now.wall)
    if view.heard_boot.get(peer, 0.0) == 0.0:
        return Verdict(level=None, reason="not heard yet", counts=votes.counts)
    return _as(votes, Level.UP, "reports and answers", 0.0)


def _of_several(votes: Verdict, now: Instant) -> Verdict:
    """The votes; when only one was cast, that one link may be what is broken: partial, after two minutes."""
    if votes.level not in (Level.DOWN, Level.DEGRADED) or sum(votes.counts.values()) != 1:
        return votes
    is_old = now.wall - votes.since_wall >= ONE_WORD_TOLD_AFTER_S
    return replace(votes, level=Level.PARTIAL if is_old else None, reason=f"{votes.reason}, yet it reports")


def _is_coming(row: PeerRow, votes: Verdict, state: State, *, joined_s: float, now: Instant) -> bool:
    """True while a peer has only just joined, for the first time or after one absence."""
    is_first = row.session <= state.session_base + 1
    was_away_once = now.wall - votes.since_wall < AWAY_MAX_S
    return (is_first or was_away_once) and joined_s < COMING_S


def _never_joined(state: State, votes: Verdict, now: Instant) -> Verdict:
    expected_wall = max(state.founded_wall, state.resized_wall)
    if now.wall - expected_wall < JOIN_GRACE_S:
        return Verdict(level=None, reason="has not joined yet", counts=votes.counts)
    return _as(votes, Level.DOWN, "has never joined the cluster", expected_wall)


def _silence(row: PeerRow, silent_s: float) -> str:
    if not row.boot_id:
        return "stopped reporting, its session is over"
    return f"no report for {silent_s:.0f} s: dead, cut off, or its app hangs"


def _sickness(peer: str, row: PeerRow, view: View) -> str:
    if row.doubt:
        return f"doubts itself: {row.doubt}"
    error_s = eligibility.clock_error_s(peer, view)
    if abs(error_s) > eligibility.CLOCK_OFFSET_MAX_S:
        return f"its clock is {error_s:+.1f} s off"
    return ""


def _as(votes: Verdict, level: Level, reason: str, since_wall: float) -> Verdict:
    """That level for that reason; when the votes say so too, they say it better."""
    if votes.level is level is Level.DOWN:
        return votes
    return Verdict(level=level, reason=reason, since_wall=since_wall, counts=votes.counts)
