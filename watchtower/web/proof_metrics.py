"""Metrics of the proofs that alerting works: watchdog pings and fire drills.

Families only; what is fit to ping and when a drill is missed is decided in the core.
"""

from __future__ import annotations

from collections.abc import Iterator

from watchtower.core.ports import Snapshot
from watchtower.core.proofs import drills
from watchtower.web.exposition import family, gauge, labels


def proof_families(snap: Snapshot) -> Iterator[str]:
    """When the outside last heard of us, and when people last proved that they hear us."""
    pings = snap.watchdog
    yield family(
        "watchtower_watchdog_last_ping_timestamp_seconds",
        "gauge",
        "When a ping to the outside last arrived.",
        ((labels(ping=name), at_wall) for name, at_wall in sorted(pings.last_wall.items())),
    )
    yield family(
        "watchtower_watchdog_held",
        "gauge",
        "1 while the ping to the outside is held back because something on the way to people is broken.",
        ((labels(ping=name), bool(why)) for name, why in sorted(pings.held.items())),
    )
    drill = snap.state.drill
    if drill.started_wall:
        yield gauge(
            "watchtower_drill_last_success_timestamp_seconds",
            "When a fire drill was last proven to have arrived; 0 for never.",
            drill.last_arrived_wall,
        )
        yield gauge(
            "watchtower_drill_missed",
            "1 while a fire drill should have arrived on some channel and has not.",
            bool(drills.missed(drill, snap.settings, snap.now)),
        )
