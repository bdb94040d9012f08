"""Does this peer trust its own view? Reference targets, its own lateness, its clock, lonely dissent.

Doubt only ever turns failing votes into unknown; success always counts. It ends by itself: after two
good reference looks in a row, or when the lateness or the clock step is some seconds behind. Pure.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.model import Instant

LATE_S: Final = 1.0
LATE_REMEMBERED_S: Final = 10.0
CLOCK_STEP_S: Final = 5.0
STEP_REMEMBERED_S: Final = 30.0
GOOD_LOOKS: Final = 2
TELL_AFTER_S: Final = 5.0
"""A doubt is told to the others, and so to people, only when it lasts; it works on votes at once."""


class SelfDoubt:
    """Remembers what speaks against this peer's own view."""

    def __init__(self, now: Instant) -> None:
        self._good_looks = GOOD_LOOKS
        self._reference_bad = ""
        self._checked_boot = 0.0
        self._late_until_boot = 0.0
        self._late_s = 0.0
        self._stepped_until_boot = 0.0
        self._wall_minus_boot = now.wall - now.boot
        self._since_boot = 0.0
        self.trouble = ""
        """Why the looking itself is not to be trusted; set by the vantage."""
        self.dissent = ""
        """Why this peer stands alone with most of its failing votes; set by the vantage."""

    def note_reference(self, holds: bool, began_boot: float, targets: str) -> None:  # noqa: FBT001 - a look has two ends
        """A look at the reference targets that began at `began_boot` has ended."""
        self._checked_boot = began_boot
        self._good_looks = self._good_looks + 1 if holds else 0
        if not holds:
            self._reference_bad = f"cannot reach any reference target ({targets})"
        elif self._good_looks >= GOOD_LOOKS:
            self._reference_bad = ""

    def forget_reference(self) -> None:
        """There is nothing to compare with any more: no ground for that doubt, nobody who would end it."""
        self._good_looks, self._reference_bad = GOOD_LOOKS, ""

    def note_loop_lag(self, lag_s: float, now: Instant) -> None:
        """How late the event loop was just now; also the moment to notice a step of the wall clock."""
        if lag_s > LATE_S:
            self._late_until_boot, self._late_s = now.boot + LATE_REMEMBERED_S, lag_s
        difference = now.wall - now.boot
        if abs(difference - self._wall_minus_boot) > CLOCK_STEP_S:
            self._stepped_until_boot = now.boot + STEP_REMEMBERED_S
        self._wall_minus_boot = difference

    def was_checked_since(self, boot: float) -> bool:
        """True when a look at the reference targets that began after `boot` has ended."""
        return self._checked_boot >= boot

    def reason(self, now: Instant) -> str:
        """Why failing votes are not to be trusted now; "" when they are."""
        if self.trouble or self._reference_bad:
            return self.trouble or self._reference_bad
        if now.boot < self._late_until_boot:
            return f"its own event loop was {self._late_s:.1f} s late"
        if now.boot < self._stepped_until_boot:
            return "its wall clock was stepped"
        return self.dissent

    def told(self, now: Instant) -> str:
        """The reason once it has lasted TELL_AFTER_S; "" before that."""
        reason = self.reason(now)
        if not reason:
            self._since_boot = 0.0
        elif not self._since_boot:
            self._since_boot = now.boot
        return reason if reason and now.boot - self._since_boot >= TELL_AFTER_S else ""
