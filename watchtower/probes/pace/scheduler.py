"""Runs what is due: one task that wakes for slots of 10 to 100 ms, and one short task per look in flight.

Which look may start is admission's to say; a look whose service is still in flight is skipped, one that
could not start before the next was due is stale, and both are counted: overload is our trouble and never
reads as down. Waiting is over before a look's time begins. When this process itself was late while a look
timed out, that look proves nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.places import place_of
from watchtower.core.ports import Clock, Probe
from watchtower.core.settings import UNANSWERED_AFTER_S, Service, Settings
from watchtower.core.stats import ProbeStats, Trouble
from watchtower.probes.pace.admission import Admission
from watchtower.probes.pace.hosts import Hosts
from watchtower.probes.pace.means import Means
from watchtower.probes.pace.schedule import Due, Schedule

log = logging.getLogger(__name__)

WAKE_AT_LEAST_S: Final = 0.1
"""The pump is also the gauge of lateness: it must look at its watch more often than LAG_MAX_S."""
LAG_MAX_S: Final = 0.25
LAG_MAX_SHARE: Final = 0.1
FINDS_AT_A_TIME: Final = 16
"""Hosts to be found before their first look. When DNS is that slow, looks go ahead without."""

Find = Callable[[str, int], Awaitable[str]]
"""The address that a name leads to, "" when that is not to be had soon."""


class _Flight(Struct, frozen=True):
    """A look under way."""

    task: asyncio.Task[None]
    number: int
    host: str


class Scheduler:
    """Probes this peer's services until `run` is cancelled; `stats` may be read at any time.

    `find` finds out who is behind a name before the first look at it; `means` is what looking takes, as
    the looks themselves note it; `first` names what is to be looked at before all else; `on_unanswered`
    hears of a look that has not ended after UNANSWERED_AFTER_S.
    """

    def __init__(
        self,
        settings: Settings,
        probe: Probe,
        clock: Clock,
        on_result: Callable[[Result], None],
        *,
        find: Find | None = None,
        means: Means | None = None,
        first: Callable[[], tuple[str, ...]] = tuple,
        on_unanswered: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._on_result = on_result
        self._find = find
        self._means = means or Means()
        self._first = first
        self._on_unanswered = on_unanswered
        self._schedule = Schedule(settings, clock.now())
        self._admission = Admission(settings.probe.concurrency, settings.probe.per_host)
        self._hosts = Hosts()
        self._in_flight: dict[str, _Flight] = {}
        self._finding: dict[str, asyncio.Task[None]] = {}
        self._young: deque[tuple[float, str, int]] = deque()
        self._wake = asyncio.Event()
        self._lags: deque[tuple[float, float]] = deque(maxlen=64)
        self._wakes_boot = float("inf")
        self._excused: set[str] = set()
        self.stats = ProbeStats()

    def reload(self, settings: Settings) -> None:
        """Take new settings; phases of unchanged services stay."""
        self._admission.set_bounds(settings.probe.concurrency, settings.probe.per_host)
        void = set(self._schedule.reload(settings, self._clock.now().boot))
        self._admission.forget(void)
        self._hosts.forget(void)
        self._excused -= void
        for name in void:
            finding, flight = self._finding.pop(name, None), self._in_flight.pop(name, None)
            if finding is not None:
                finding.cancel()
            if flight is not None:
                flight.task.cancel()
                self._admission.end(flight.number, flight.host)
        self._wake.set()

    def probe_now(self, names: tuple[str, ...], in_s: float = 0.0) -> None:
        """Look at these services out of turn, in `in_s` seconds."""
        at_boot = self._clock.now().boot + in_s
        self._schedule.look_soon(names, at_boot)
        if at_boot < self._wakes_boot:
            self._wake.set()

    def trouble(self) -> Trouble:
        """What this process lacks for looking; its lateness is the business of whoever measures that."""
        return Trouble(reason=self._means.reason(self._clock.now().boot))

    def lag_s(self) -> float:
        """How late the loop was at worst in the last second."""
        return self._lag_since(self._clock.now().boot - 1.0)

    async def run(self) -> None:
        """Probe until cancelled; then end the looks in flight."""
        self.probe_now(self._first())
        try:
            while True:
                self._take_due()
                self._tell_unanswered()
                await self._sleep()
        finally:
            tasks = (*(flight.task for flight in self._in_flight.values()), *self._finding.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sleep(self) -> None:
        """Until the next slot that has something due, or until somebody calls."""
        now_boot = self._clock.now().boot
        until_boot = min(self._schedule.next_boot(), now_boot + WAKE_AT_LEAST_S)
        until_boot = max(until_boot, now_boot + self._schedule.slot_s)
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

    def _take_due(self) -> None:
        for due in self._schedule.take_due(self._clock.now().boot):
            service = self._schedule.service(due.name)
            if service is None:
                continue
            if due.name in self._in_flight:
                self.stats.skipped_total += 1
            elif due.name in self._finding:
                self.stats.stale_total += not due.is_extra
            elif self._must_find(service):
                self._finding[due.name] = asyncio.create_task(self._find_host(service, due))
            else:
                self._admit(due, service)
        self._start_admitted()

    def _admit(self, due: Due, service: Service) -> None:
        # What waits already keeps its place: under overload all services are looked at equally rarely.
        is_first = self._admission.put(due, self._hosts.host(service))
        self.stats.stale_total += not is_first and not due.is_extra

    def _start_admitted(self) -> None:
        now_boot = self._clock.now().boot
        while (admitted := self._admission.take(len(self._in_flight), now_boot)) is not None:
            due, host = admitted
            service = self._schedule.service(due.name)
            if service is None or due.name in self._in_flight:
                self.stats.skipped_total += service is not None
                self._admission.end(due.number, host)
                continue
            self.stats.started_total += 1
            self.stats.lag_s = max(0.0, now_boot - due.at_boot)
            task = asyncio.create_task(self._look(service, due.number, host))
            self._in_flight[due.name] = _Flight(task, due.number, host)
            self._young.append((now_boot, due.name, due.number))
        self.stats.in_flight = len(self._in_flight)
        self.stats.waiting = self._admission.waiting

    def _tell_unanswered(self) -> None:
        """Which looks have just become old without an end; not while we ourselves are late."""
        now_boot = self._clock.now().boot
        while self._young and self._young[0][0] <= now_boot - UNANSWERED_AFTER_S:
            started_boot, name, number = self._young.popleft()
            flight = self._in_flight.get(name)
            is_old = flight is not None and flight.number == number
            if is_old and self._lag_since(started_boot) <= LAG_MAX_S:
                self._on_unanswered(name)

    def _must_find(self, service: Service) -> bool:
        is_known = self._find is None or self._hosts.knows(service)
        return not is_known and len(self._finding) < FINDS_AT_A_TIME

    async def _find_host(self, service: Service, due: Due) -> None:
        """Who is behind the name, before the first look at it; without an answer the name itself counts."""
        place = place_of(service)
        try:
            if self._find is not None and place is not None:
                self._hosts.learn(service, await self._find(*place))
        finally:
            if self._finding.get(service.name) is asyncio.current_task():
                del self._finding[service.name]
                self._admit(due, service)
        self._start_admitted()

    async def _look(self, service: Service, number: int, host: str) -> None:
        started_boot = self._clock.now().boot
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
            flight = self._in_flight.get(service.name)
            if flight is not None and flight.number == number:
                del self._in_flight[service.name]
                self._admission.end(number, host)
            self.stats.in_flight = len(self._in_flight)
        self._hosts.note(service, result)
        self._on_result(self._weighed(result, service, started_boot))
        if self._admission.waiting:
            self._start_admitted()

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
