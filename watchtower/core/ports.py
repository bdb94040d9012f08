"""The few shapes that shells fill in for one another; app.py hands them across.

Protocols are what a shell may call, Structs what it may look at. Nothing here does anything. A shell
that needs another's service takes one of these as an argument, so shells never import each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from watchtower.core.commands import Answer, Command
from watchtower.core.model import ClusterStatus, Instant, Result, State, View
from watchtower.core.settings import Service, Settings


class Clock(Protocol):
    """Where time comes from; tests and the simulation bring their own."""

    def now(self) -> Instant:
        """Wall and boot time, read together."""
        ...


class Submit(Protocol):
    """Propose a command to the replicated log."""

    async def __call__(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """The answer once this peer has applied the entry; None when its fate is not known.

        None is no failure: act on applied state only, and let the next pass derive the command again.
        Never raises for reasons of the cluster.
        """
        ...


class Probe(Protocol):
    """One look at a service: one such function per probe kind."""

    async def __call__(self, service: Service, deadline_boot: float) -> Result:
        """Look once and be back before `deadline_boot`. Never raises for reasons of the target."""
        ...


class ProbeStats(Struct, kw_only=True):
    """Counters of the looking itself, kept by the scheduler, read by the metrics page."""

    started_total: int = 0
    skipped_total: int = 0
    stale_total: int = 0
    in_flight: int = 0
    lag_s: float = 0.0


class DeliveryStats(Struct, kw_only=True):
    """Counters of this peer's sending, kept by the courier, read by the metrics page."""

    outcomes_total: dict[tuple[str, str], int] = {}
    fenced_total: int = 0
    ambiguous_total: int = 0
    takeovers_total: int = 0


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything a peer can answer from, taken at one moment: any peer, with or without a leader.

    `results` are this peer's own latest probe results by service; `reload_error` is "" or why the
    latest reload was refused.
    """

    settings: Settings
    version: str
    now: Instant
    state: State
    view: View
    cluster: ClusterStatus
    is_alerter: bool
    ready_reason: str
    """"" when ready to serve; else why not."""
    results: Mapping[str, Result]
    doubt: str
    loop_lag_s: float
    probes: ProbeStats
    delivery: DeliveryStats
    reload_error: str = ""
