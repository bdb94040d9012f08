"""What people have said about alerts, and why somebody is not told just now: silences, acknowledgements.

Rows of the replicated ledger and the words for them. Nothing here decides: what a silence covers is
silencing.py's, which reason wins telling.py's. Times are Unix seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

SILENCES_MAX: Final = 500
SILENCE_KEPT_S: Final = 86_400.0
"""So long a silence that is over is still shown."""
MATCHERS_MAX: Final = 10
AUTHOR_MAX: Final = 60
REASON_MAX: Final = 200


class Severity(StrEnum):
    """How much an incident matters; the loudest first."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"

    @property
    def milder(self) -> Severity:
        """The next lower one; what is lowest stays."""
        return {Severity.CRITICAL: Severity.WARNING}.get(self, Severity.INFO)


class Matcher(Struct, frozen=True, kw_only=True):
    """One condition on an incident: `label` (or `service`, `severity` ...) fits one of the globs, or none."""

    label: str
    patterns: tuple[str, ...]
    is_not: bool = False


class SilenceKind(StrEnum):
    """Why people want quiet: something is known, or something is planned."""

    SILENCE = "silence"
    MAINTENANCE = "maintenance"


class Silence(Struct, frozen=True, kw_only=True):
    """Nobody is told of what all `matchers` fit, from `starts_wall` until `ends_wall`."""

    id: str
    kind: SilenceKind
    matchers: tuple[Matcher, ...]
    author: str
    reason: str
    starts_wall: float
    ends_wall: float
    created_wall: float


class Acknowledgement(Struct, frozen=True, kw_only=True):
    """Somebody works on it: no reminders, no escalation. Gone with the incident, or when that worsens."""

    by: str
    note: str
    at_wall: float

    def says_no_more_than(self, other: Acknowledgement | None) -> bool:
        """True for the same words of the same person, whenever: a button that was pressed twice."""
        return other is not None and (self.by, self.note) == (other.by, other.note)


class Why(StrEnum):
    """Why nobody is told of an incident just now; the first that holds is the one that is named."""

    MAINTENANCE = "maintenance"
    SILENCED = "silenced"
    SUPPRESSED = "suppressed"
    HELD = "held"
    FLAPPING = "flapping"
    UNROUTED = "unrouted"


class Hidden(Struct, frozen=True, kw_only=True):
    """An incident is, or was, folded into others: since when, and the number of the latest of them."""

    since_wall: float
    root: int


class Withheld(Struct, frozen=True, kw_only=True):
    """Why nobody is told: `text` says it to people ("silenced by ops-lead until 14:00 UTC: deploying").

    `until_wall` 0: nobody knows yet. `root` is the number of the incident this one is folded into, 0 when
    it is not.
    """

    why: Why
    text: str
    until_wall: float = 0.0
    root: int = 0
