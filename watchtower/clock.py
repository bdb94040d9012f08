"""Where time comes from: the wall clock for people, CLOCK_BOOTTIME for leases and freshness.

CLOCK_BOOTTIME goes on while a machine is suspended, so a lease cannot outlive a nap. Platforms
without it (macOS) fall back to the monotonic clock.
"""

from __future__ import annotations

import time

from watchtower.core.model import Instant

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_s() -> float:
    """Seconds of CLOCK_BOOTTIME."""
    return time.clock_gettime(_BOOT_CLOCK)


def to_beat(now_s: float, every_s: float) -> float:
    """Seconds until the next beat: the next multiple of `every_s` on the clock that shows `now_s`.

    Whoever looks at something every so often waits for a beat, so that all of them look in the same moment
    and an idle process wakes once for all. A beat that is nearly there is left out for the one after it.
    """
    left_s = every_s - now_s % every_s
    return left_s if left_s > every_s / 4 else left_s + every_s


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        """Wall and boot time, read together."""
        return Instant(wall=time.time(), boot=time.clock_gettime(_BOOT_CLOCK))
