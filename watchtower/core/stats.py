"""What parts of a peer count and remember of their own work, for the API, the page and the metrics.

Facts of one process, shown and never decided on. Each is kept by the part that it is about.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class WorkerStats(Struct, frozen=True, kw_only=True):
    """How one probe worker, a process of its own, is doing. `pid` is 0 while there is none.

    `trouble` is "" or why its results are not to be trusted just now; `lag_s` how late its loop was.
    """

    number: int
    pid: int = 0
    trouble: str = ""
    restarts_total: int = 0
    dropped_total: int = 0
    lag_s: float = 0.0
    rss_bytes: int = 0
    open_files: int = 0


class ProbeStats(Struct, kw_only=True):
    """Counters of the looking itself, kept by the scheduler, read by the metrics page.

    `lag_s` is how late the latest look was started; `workers` is empty when the peer itself looks.
    """

    started_total: int = 0
    skipped_total: int = 0
    stale_total: int = 0
    in_flight: int = 0
    waiting: int = 0
    lag_s: float = 0.0
    workers: tuple[WorkerStats, ...] = ()


class Trouble(Struct, frozen=True, kw_only=True):
    """Why the looking itself is not to be trusted now; `reason` is "" when it is.

    `is_blind`: no results come at all, so that even good ones are old.
    """

    reason: str = ""
    is_blind: bool = False


class BreakerView(Struct, frozen=True, kw_only=True):
    """A circuit breaker of this peer, as shown. `trial_wall`: when an open one lets a trial through, else 0.

    `window` are the calls that it judges by, `totals` all events since this process began.
    """

    purpose: str
    name: str
    state: str
    since_wall: float
    trial_wall: float
    why: str
    window: Mapping[str, int]
    totals: Mapping[str, int]


class DeliveryStats(Struct, kw_only=True):
    """Counters of this peer's sending, kept by the courier, read by the metrics page."""

    outcomes_total: dict[tuple[str, str], int] = {}
    fenced_total: int = 0
    ambiguous_total: int = 0
    takeovers_total: int = 0
    reconciled_total: int = 0
    breakers: tuple[BreakerView, ...] = ()


class WatchdogStats(Struct, kw_only=True):
    """Pings to the outside by name, `cluster` and `peer`: when each last arrived, why it is held (or "")."""

    last_wall: dict[str, float] = {}
    held: dict[str, str] = {}
