"""Runs what is due: one task that wakes for slots of 50 ms, and one short task per look in flight.

Looks in flight are bounded; a look whose service is still in flight is skipped, one that could not
start within its interval is stale, and both are counted: overload is our trouble and never reads as
down. When this process itself was late while a look timed out, that look proves nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.ports import Clock, Probe, ProbeStats
from watchtower.core.settings import EXTRA_SHARE, Service, Settings
from watchtower.probes.schedule import Due, Schedule

log = logging.getLogger(__name__)

SLOT_S: Final = 0.05
WAKE_AT_LEAST_S: Final = 0.1
"""The pump is also the gauge of lateness: it must look at its watch more often than LAG_MAX_S."""
LAG_MAX_S: Final = 0.25
LAG_MAX_SHARE: Final = 0.1


class Scheduler:
    """Probes this peer's services until `run` is cancelled; `stats` may be read at any time."""

    def __init__(
        self, settings: Settings, probe: Probe, clock: Clock, on_result: Callable[[Result], None]
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._on_result = on_result
        self._schedule = Schedule(settings, clock.now())
        self._bound = settings.probe.concurrency
        self._in_flight: dict[str, asyncio.Task[None]] = {}
        self._waiting: deque[Due] = deque()
        self._wake = asyncio.Event()
        self._lags: deque[tuple[float, float]] = deque(maxlen=64)
        self._wakes_boot = float("inf")
        self._excused: set[str] = set()
        self.stats = ProbeStats()

    def reload(self, settings: Settings) -> None:
        """Take new settings; phases of unchanged services stay."""
        self._bound = settings.probe.concurrency
        for name in self._schedule.reload(settings, self._clock.now().boot):
            self._excused.discard(name)
            task = self._in_flight.pop(name, None)
            if task is not None:
                task.cancel()
        self._wake.set()

    def probe_now(self, names: tuple[str, ...], in_s: float = 0.0) -> None:
        """Look at these services out of turn, in `in_s` seconds."""
        self._schedule.look_soon(names, self._clock.now().boot + in_s)
        self._wake.set()

    async def run(self) -> None:
        """Probe until cancelled; then end the looks in flight."""
        try:
            while True:
                self._start_due()
                await self._sleep()
        finally:
            tasks = tuple(self._in_flight.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sleep(self) -> None:
        """Until the next slot that has something due, or until somebody calls."""
        now_boot = self._clock.now().boot
        until_boot = min(self._schedule.next_boot(), now_boot + WAKE_AT_LEAST_S)
        until_boot = max(until_boot, now_boot + SLOT_S)
        self._wakes_boot = until_boot
        try:
            async with asyncio.timeout(until_boot - now_boot):
                await self._wake.wait()
        except TimeoutError:
            woke_boot = self._clock.now().boot
            if woke_boot - until_boot > LAG_MAX_S:
                self._lags.append((woke_boot, woke_boot - until_boot))
        self._wakes_boot = float("inf")
        self._wake.clear()

    def _start_due(self) -> None:
        now_boot = self._clock.now().boot
        for due in self._schedule.take_due(now_boot):
            if due.name in self._in_flight:
                self.stats.skipped_total += 1
            elif due.is_extra and len(self._in_flight) < self._bound * EXTRA_SHARE:
                self._start(due)
            else:
                self._waiting.append(due)
        while self._waiting and len(self._in_flight) < self._bound:
            self._start_waiting(self._waiting.popleft(), now_boot)

    def _start_waiting(self, due: Due, now_boot: float) -> None:
        service = self._schedule.service(due.name)
        if service is None:
            return
        if due.name in self._in_flight:
            self.stats.skipped_total += 1
        elif now_boot - due.at_boot > service.interval_s:
            self.stats.stale_total += 1
        else:
            self._start(due)

    def _start(self, due: Due) -> None:
        service = self._schedule.service(due.name)
        if service is None:
            return
        now_boot = self._clock.now().boot
        self.stats.started_total += 1
        self.stats.lag_s = max(0.0, now_boot - due.at_boot)
        self._in_flight[due.name] = asyncio.create_task(self._look(service, now_boot))
        self.stats.in_flight = len(self._in_flight)

    async def _look(self, service: Service, started_boot: float) -> None:
        try:
            result = await self._probe(service, started_boot + service.timeout_s)
        except Exception as error:  # task root: a bug in a probe is not the service's trouble
            log.exception("The probe of %s failed.", service.name)
            result = Result(
                service=service.name,
                opinion=Opinion.UNKNOWN,
                kind=Kind.INCONCLUSIVE,
                text=f"the probe itself failed: {type(error).__name__}",
                at_wall=self._clock.now().wall,
                duration_ms=0.0,
            )
        finally:
            # After a reload this name may stand for another look.
            if self._in_flight.get(service.name) is asyncio.current_task():
                del self._in_flight[service.name]
            self.stats.in_flight = len(self._in_flight)
            if self._waiting:
                self._wake.set()
        self._on_result(self._weighed(result, service, started_boot))

    def _weighed(self, result: Result, service: Service, started_boot: float) -> Result:
        """The result, unless it is a timeout that may be our own: that one proves nothing."""
        lag_s = self._lag_since(started_boot)
        if result.kind is not Kind.TIMEOUT or lag_s <= max(LAG_MAX_S, LAG_MAX_SHARE * service.timeout_s):
            self._excused.discard(service.name)
            return result
        if service.name not in self._excused:
            self._excused.add(service.name)
            self.probe_now((service.name,), service.confirm.recheck_s)
        text = f"timed out while this peer itself was {lag_s:.1f} s late"
        return replace(result, opinion=Opinion.UNKNOWN, kind=Kind.INCONCLUSIVE, text=text)

    def _lag_since(self, boot: float) -> float:
        """How late the loop was at worst since `boot`; a wake that is overdue just now counts as well."""
        overdue_s = self._clock.now().boot - self._wakes_boot
        return max(overdue_s, 0.0, *(lag for woke, lag in self._lags if woke >= boot))
