"""Whose votes count just now, and why another peer's do not.

A peer is eligible when it has a live session, its report is fresh, it runs the config in force and
its clock agrees with the others. Its absence makes verdicts stricter, never looser: the number of
votes a verdict needs does not shrink. Pure; the facts it needs of this peer are in the View.
"""

from __future__ import annotations

from enum import StrEnum
from statistics import median
from typing import Final

from watchtower.core.model import Instant, State
from watchtower.core.view import View

FRESH_S: Final = 15.0
CLOCK_OFFSET_MAX_S: Final = 5.0


class Ineligible(StrEnum):
    """Why a peer's votes do not count."""

    NOT_JOINED = "not joined"
    LEAVING = "leaving"
    SILENT = "silent"
    CONFIG = "config"
    CLOCK = "clock"


def ineligible(state: State, peer: str, view: View, now: Instant) -> Ineligible | None:
    """Why `peer` is not eligible; None when it is."""
    row = state.row(peer)
    if row.session == 0 or not row.boot_id:
        return Ineligible.NOT_JOINED
    if row.leaving_until_wall:
        return Ineligible.LEAVING
    heard_boot = view.heard_boot.get(peer, 0.0)
    if heard_boot == 0.0 or now.boot - heard_boot > FRESH_S:
        return Ineligible.SILENT
    if row.config_hash != state.config.hash:
        return Ineligible.CONFIG
    if abs(clock_error_s(peer, view)) > CLOCK_OFFSET_MAX_S:
        return Ineligible.CLOCK
    return None


def silent_s(peer: str, view: View, now: Instant) -> float:
    """Seconds since the last sign of `peer` in the log: a report, a new session, or our own start.

    A session just begun has not had time to report; to call it silent would end it before it can.
    """
    joined_boot = view.joined_boot.get(peer, 0.0)
    return now.boot - max(view.heard_boot.get(peer, 0.0), joined_boot, view.started_boot)


def joined_s(peer: str, view: View, now: Instant) -> float:
    """Seconds since this process saw the peer's present session begin; endless when it began before that."""
    return now.boot - view.joined_boot.get(peer, float("-inf"))


def clock_error_s(peer: str, view: View) -> float:
    """How far the peer's wall clock is from the median of all peers; 0.0 while too few are known."""
    offsets = {**view.clock_offset_s, view.me: 0.0}
    if peer not in offsets or len(offsets) < 3:
        return 0.0
    return offsets[peer] - median(offsets.values())
