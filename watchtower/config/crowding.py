"""Many services at one host: whether `probe.per_host` leaves them the time that their looks take.

Knows hosts by the names in the file alone: which of them share an address is seen by a peer that looks. How
long looks take nobody knows beforehand, so it says how long they may take when that is not much.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from watchtower.core.places import place_of
from watchtower.core.settings import Settings

ENOUGH_S: Final = 0.25
"""A look that takes longer than this is slow already; a host that leaves so much time is not crowded."""


def crowded(settings: Settings) -> list[str]:
    """A warning for the host that leaves its looks least time; none when all leave enough."""
    per_s: dict[tuple[str, int], float] = defaultdict(float)
    count: dict[tuple[str, int], int] = defaultdict(int)
    for service in settings.services.values():
        place = place_of(service)
        if place is not None and service.voters:
            per_s[place] += 1 / service.interval_s
            count[place] += 1
    if not per_s:
        return []
    busiest = max(per_s, key=lambda place: per_s[place])
    per_host, rate = settings.probe.per_host, per_s[busiest]
    if per_host / rate >= ENOUGH_S:
        return []
    shown = busiest[0] + (f":{busiest[1]}" if busiest[1] else "")
    text = (
        f"{count[busiest]} services at {shown} are looked at {rate:.0f} times a second by each peer. "
        f"With `probe.per_host` {per_host} they are late or left out, never down, when a look takes over "
        f"{1000 * per_host / rate:.0f} ms. Should it, set `probe: {{per_host: {_wanted(rate)}}}`."
    )
    return [text]


def _wanted(rate: float) -> int:
    return int(rate * ENOUGH_S) + 1
