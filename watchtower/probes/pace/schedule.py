"""When each service is due: a heap, phases that differ from peer to peer, and no drift.

Pure: time is handed in. A service is due at a fixed phase of its interval, so restarts do not bunch
probes and the peers look one after another; peer k of n looks k/n of an interval later. The phase is
one of the wall clock, which peers share, carried on by the boot clock, which never jumps. After a start
everything is looked at once soon. Extra looks (rechecks, suspicions) are one-shots beside the rhythm.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchtower.core.model import Instant
from watchtower.core.settings import JITTER_MAX, Service, Settings

FIRST_LOOK_WITHIN_S: Final = 20.0
FIRST_LOOKS_PER_S: Final = 100
LOOKS_PER_SLOT: Final = 10
SLOT_S_MIN: Final = 0.01
SLOT_S_MAX: Final = 0.1


class Due(Struct, frozen=True, order=True):
    """One planned look. `is_extra` looks are one-shots and jump the queue."""

    at_boot: float
    number: int
    name: str
    is_extra: bool


class Schedule:
    """What is due when, for one peer's share of the services."""

    def __init__(self, settings: Settings, now: Instant) -> None:
        self._wall_minus_boot = now.wall - now.boot
        self._heap: list[Due] = []
        self._number = 0
        self._services: dict[str, Service] = {}
        self._extra: dict[str, float] = {}
        self.reload(settings, now.boot)

    def service(self, name: str) -> Service | None:
        """The service as configured now; None when this peer does not look at it (any more)."""
        return self._services.get(name)

    def reload(self, settings: Settings, now_boot: float) -> tuple[str, ...]:
        """Take new settings. Services whose definition is unchanged keep their rhythm.

        Returns the names of those that are gone or changed: looks planned or running for them are void.
        """
        names = settings.cluster.peer_names
        self._me, self._share = settings.me, names.index(settings.me) / len(names)
        old, self._services = self._services, {s.name: s for s in settings.looked_at_by(settings.me)}
        void = {name for name, service in old.items() if self._services.get(name) != service}
        self._heap = [due for due in self._heap if due.name not in void]
        heapq.heapify(self._heap)
        for name in void:
            self._extra.pop(name, None)
        rate = sum(1 / service.interval_s for service in self._services.values())
        self.slot_s = min(max(LOOKS_PER_SLOT / rate, SLOT_S_MIN), SLOT_S_MAX) if rate else SLOT_S_MAX
        """Looks that are due within so many seconds start together: waking up costs as much as looking."""
        fresh = [name for name, service in self._services.items() if old.get(name) != service]
        spread_s = min(FIRST_LOOK_WITHIN_S, len(fresh) / FIRST_LOOKS_PER_S)
        for name in fresh:
            interval_s = self._services[name].interval_s
            self._push(now_boot + _fraction(name, self._me) * min(spread_s, interval_s), name, is_extra=False)
        return tuple(sorted(void))

    def look_soon(self, names: Iterable[str], at_boot: float) -> None:
        """An extra look at each of `names`; an earlier one that is planned already stands for both."""
        for name in names:
            if name in self._services and self._extra.get(name, float("inf")) > at_boot:
                self._extra[name] = at_boot
                self._push(at_boot, name, is_extra=True)

    def next_boot(self) -> float:
        """When the next look is due; infinity when none is planned."""
        return self._heap[0].at_boot if self._heap else float("inf")

    def take_due(self, now_boot: float) -> list[Due]:
        """All looks due by now, oldest first; each regular one is planned again."""
        due = []
        while self._heap and self._heap[0].at_boot <= now_boot:
            look = heapq.heappop(self._heap)
            if look.is_extra:
                if self._extra.get(look.name) != look.at_boot:
                    continue
                del self._extra[look.name]
            else:
                self._push(self._next_regular(self._services[look.name], now_boot), look.name, is_extra=False)
            due.append(look)
        return due

    def _next_regular(self, service: Service, now_boot: float) -> float:
        """The next point of the service's own rhythm, a little jittered, always the same for one peer."""
        interval_s = service.interval_s
        phase_s = (_fraction(service.name, "") + self._share) % 1.0 * interval_s - self._wall_minus_boot
        beat = int((now_boot - phase_s) // interval_s) + 1
        at_boot = phase_s + self._jittered(service, beat) * interval_s
        # A point close ahead may be the one just taken, which its jitter had moved: then the one after it.
        if at_boot <= now_boot + 0.3 * interval_s:
            at_boot = phase_s + self._jittered(service, beat + 1) * interval_s
        return at_boot

    def _jittered(self, service: Service, beat: int) -> float:
        return beat + (_fraction(service.name, f"{self._me} {beat}") - 0.5) * min(service.jitter, JITTER_MAX)

    def _push(self, at_boot: float, name: str, *, is_extra: bool) -> None:
        self._number += 1
        heapq.heappush(self._heap, Due(at_boot, self._number, name, is_extra))


def _fraction(name: str, salt: str) -> float:
    """A number in [0, 1) that is the same in every process; `hash()` is not."""
    digest = hashlib.blake2b(f"{name}\x1f{salt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64
