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


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        """Wall and boot time, read together."""
        return Instant(wall=time.time(), boot=boot_s())
