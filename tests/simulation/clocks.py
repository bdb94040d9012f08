"""The clocks of one simulated host: boot time at its own rate, wall time with an offset, of one true time.

True time is the simulation's; no part of the product ever sees it. Clocks outlive processes: a restarted
peer finds its host's clock as it was. Nothing here waits or reads a real clock.
"""

from __future__ import annotations

from typing import Protocol

from watchtower.core.model import Instant

JUST_BOOTED_S = 20.0
WALL_S = 1_700_000_000.0
"""Wall time of every sane host at true time 0."""


class TrueTime(Protocol):
    """Whatever knows the simulation's true time."""

    now: float


class HostClock:
    """A host's clock (core.ports.Clock). `rate`: its seconds per true second."""

    def __init__(self, time: TrueTime, boot: float, rate: float = 1.0) -> None:
        self._time = time
        self._from_true = time.now
        self._from_boot = boot
        self.rate = rate
        self._wall_minus_boot = WALL_S + time.now - boot

    def boot(self) -> float:
        """Boot seconds now."""
        return self._from_boot + (self._time.now - self._from_true) * self.rate

    def boot_at(self, true: float) -> float:
        """Boot seconds at a true time."""
        return self._from_boot + (true - self._from_true) * self.rate

    def true_of(self, boot: float) -> float:
        """The true time at which this clock shows `boot`, if its rate stays."""
        return self._from_true + (boot - self._from_boot) / self.rate

    def at(self, true: float) -> Instant:
        """Both clocks at a true time."""
        boot = self.boot_at(true)
        return Instant(wall=boot + self._wall_minus_boot, boot=boot)

    def now(self) -> Instant:
        """Both clocks now."""
        boot = self.boot()
        return Instant(wall=boot + self._wall_minus_boot, boot=boot)

    def drift(self, rate: float) -> None:
        """Run at another rate from now on."""
        self._from_boot, self._from_true = self.boot(), self._time.now
        self.rate = rate

    def reboot(self) -> None:
        """The machine has started anew: the boot clock with it, the wall clock not."""
        wall = self.now().wall
        self._from_boot, self._from_true = JUST_BOOTED_S, self._time.now
        self._wall_minus_boot = wall - JUST_BOOTED_S

    def step(self, by_s: float) -> None:
        """The wall clock jumps."""
        self._wall_minus_boot += by_s

    def set_right(self) -> float:
        """The wall clock shows the true time again; by how much it jumps."""
        before, self._wall_minus_boot = self._wall_minus_boot, WALL_S + self._time.now - self.boot()
        return self._wall_minus_boot - before
