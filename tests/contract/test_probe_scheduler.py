"""The scheduler on a real event loop and the real clock: bounds, skips, lateness, reloads, its end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from support.core_support import service, settings
from support.watching import DOWN, UNKNOWN, UP, result

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Result
from watchtower.core.settings import Confirm, ProbeSettings, Service
from watchtower.core.targets import HttpTarget
from watchtower.probes.pace import admission
from watchtower.probes.pace.scheduler import Scheduler

Look = Callable[[Service], Awaitable[Result]]


class Rig:
    """A running scheduler whose looks are `look`; collects results and counts looks at once."""

    def __init__(
        self,
        look: Look,
        *services: Service,
        concurrency: int = 200,
        per_host: int = 1000,
        address: str = "192.0.2.7",
    ) -> None:
        self.results: list[Result] = []
        self.looks: list[str] = []
        self.unanswered: list[str] = []
        self.at_once = 0
        self.most_at_once = 0
        self._look = look
        self._news = asyncio.Event()
        self.deadlines: dict[str, float] = {}
        self._limits = ProbeSettings(concurrency=concurrency, per_host=per_host)
        self._address = address
        self.scheduler = Scheduler(
            self.settings(*services),
            self.probe,
            SystemClock(),
            self._on_result,
            find=self._find,
            on_unanswered=self.unanswered.append,
        )

    def settings(self, *services: Service) -> Any:
        """Settings with these services and this rig's bounds."""
        return settings(*services, probe=self._limits)

    async def _find(self, host: str, port: int) -> str:
        return self._address

    async def probe(self, service: Service, deadline_boot: float) -> Result:
        """A look in the shape of the Probe port."""
        self.looks.append(service.name)
        self.deadlines[service.name] = deadline_boot
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self._news.set()
        try:
            return await self._look(service)
        finally:
            self.at_once -= 1

    def _on_result(self, found: Result) -> None:
        self.results.append(found)
        self._news.set()

    async def until(self, holds: Callable[[], bool], within_s: float = 5.0) -> None:
        """Wait until `holds`; fails the test when it takes too long."""
        async with asyncio.timeout(within_s):
            while not holds():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.02)
                self._news.clear()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Rig]:
        """Run it for the length of a block; nothing is in flight afterwards."""
        task = asyncio.create_task(self.scheduler.run())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert self.at_once == 0


async def good(looked_at: Service) -> Result:
    """A look that is good at once."""
    return result(looked_at.name, UP)


def held(gate: asyncio.Event) -> Look:
    """Looks that last until the gate opens."""

    async def look(looked_at: Service) -> Result:
        await gate.wait()
        return result(looked_at.name, UP)

    return look


def many(count: int, **fields: Any) -> list[Service]:
    """Services s0, s1 ..."""
    return [service(f"s{number}", **fields) for number in range(count)]


def test_all_are_looked_at_soon_and_again() -> None:
    """After a start every service has a result at once, and another after its interval."""

    async def run() -> None:
        async with Rig(good, *many(20, interval_s=0.5)).running() as rig:
            await rig.until(lambda: len({found.service for found in rig.results}) == 20, within_s=1.0)
            await rig.until(lambda: len(rig.results) >= 60, within_s=3.0)
            assert rig.scheduler.stats.started_total >= 60
            assert rig.scheduler.stats.skipped_total == rig.scheduler.stats.stale_total == 0

    asyncio.run(run())


def test_looks_at_once_are_bounded() -> None:
    """Never more looks than configured, a quarter more for extra ones; the rest waits and is not lost."""

    async def run() -> None:
        gate = asyncio.Event()
        services = many(30, interval_s=30.0)
        async with Rig(held(gate), *services, concurrency=8).running() as rig:
            await rig.until(lambda: rig.scheduler.stats.in_flight == 8)
            rig.scheduler.probe_now(tuple(one.name for one in services))
            await rig.until(lambda: rig.scheduler.stats.in_flight == 10)
            gate.set()
            await rig.until(lambda: len({found.service for found in rig.results}) == 30)
            assert rig.most_at_once == 10

    asyncio.run(run())


def farm(count: int, **fields: Any) -> list[Service]:
    """Services of many names behind one address."""
    target = [HttpTarget(url=f"http://s{number}.example/") for number in range(count)]
    return [service(f"s{number}", one, **fields) for number, one in enumerate(target)]


def test_names_of_one_address_are_one_host_from_the_first_look_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more looks at one address and port than configured; meanwhile another host is looked at."""
    monkeypatch.setattr(admission, "HOST_HELD_S", 60.0)  # however slow this machine is

    async def run() -> None:
        gate = asyncio.Event()
        rig = Rig(held(gate), *farm(30, interval_s=30.0), per_host=3)
        async with rig.running():
            await rig.until(lambda: rig.scheduler.stats.waiting == 27)
            assert rig.most_at_once == 3
            others = service("other", HttpTarget(url="http://192.0.2.9/"))
            rig.scheduler.reload(rig.settings(*farm(30, interval_s=30.0), others))
            await rig.until(lambda: "other" in rig.looks)
            gate.set()
            await rig.until(lambda: len({found.service for found in rig.results}) == 31)
            assert rig.most_at_once <= 4

    asyncio.run(run())


def test_waiting_for_a_host_costs_nothing_of_the_timeout() -> None:
    """A look that waited for its place has all of its time when it begins."""

    async def run() -> None:
        left: list[float] = []

        async def look(looked_at: Service) -> Result:
            left.append(rig.deadlines[looked_at.name] - SystemClock().now().boot)
            await asyncio.sleep(0.1)  # noqa: TID251 - a look takes its time
            return result(looked_at.name, UP)

        rig = Rig(look, *farm(8, interval_s=30.0, timeout_s=2.0), per_host=1)
        async with rig.running():
            await rig.until(lambda: len(rig.results) == 8)
        assert min(left) > 1.9
        assert rig.most_at_once == 1

    asyncio.run(run())


def test_a_name_that_nobody_finds_is_looked_at_all_the_same() -> None:
    """Without an address the name itself is the host, and its look says what is wrong."""

    async def run() -> None:
        rig = Rig(good, *farm(3, interval_s=0.5), address="")
        async with rig.running():
            await rig.until(lambda: len({found.service for found in rig.results}) == 3, within_s=2.0)


def test_a_look_that_lasts_is_told_once_before_it_ends() -> None:
    """After a second, as often as there are such looks; of one that has ended by then nothing is said."""

    async def run() -> None:
        gate = asyncio.Event()

        async def look(looked_at: Service) -> Result:
            return await (good if looked_at.name == "quick" else held(gate))(looked_at)

        services = (service("slow", interval_s=30.0), service("quick", interval_s=30.0))
        async with Rig(look, *services).running() as rig:
            await rig.until(lambda: rig.scheduler.stats.in_flight == 1)
            began_s = time.monotonic()
            await rig.until(lambda: bool(rig.unanswered))
            assert 0.9 < time.monotonic() - began_s < 2.0
            gate.set()
            await rig.until(lambda: rig.scheduler.stats.in_flight == 0)
            rig.scheduler.probe_now(("slow",))
            await rig.until(lambda: len(rig.results) == 3)
            assert rig.unanswered == ["slow"]

    asyncio.run(run())


def test_a_look_still_in_flight_is_skipped_and_counted() -> None:
    """A service whose look takes longer than its interval is looked at once at a time."""

    async def run() -> None:
        gate = asyncio.Event()
        async with Rig(held(gate), service("slow", interval_s=0.2)).running() as rig:
            await rig.until(lambda: rig.scheduler.stats.skipped_total >= 2)
            assert rig.looks == ["slow"]
            assert rig.results == []
            gate.set()
            await rig.until(lambda: len(rig.results) >= 2)

    asyncio.run(run())


def test_what_cannot_start_in_time_is_stale_and_never_down() -> None:
    """With every slot taken for longer than an interval, looks are given up, counted, and say nothing."""

    async def run() -> None:
        gate = asyncio.Event()
        first = service("first", interval_s=60.0)
        async with Rig(held(gate), first, concurrency=1).running() as rig:
            await rig.until(lambda: rig.scheduler.stats.in_flight == 1)
            rig.scheduler.reload(rig.settings(first, *many(5, interval_s=0.2)))
            begun = time.monotonic()
            await rig.until(lambda: time.monotonic() > begun + 0.6)
            gate.set()
            await rig.until(lambda: len({found.service for found in rig.results}) == 6)
            assert rig.scheduler.stats.stale_total >= 5
            assert {found.opinion for found in rig.results} == {UP}

    asyncio.run(run())


def test_a_timeout_while_this_loop_was_late_proves_nothing() -> None:
    """A timed out look during which the loop stood still is inconclusive, and is repeated once."""

    async def late(looked_at: Service) -> Result:
        time.sleep(0.6)  # noqa: ASYNC251 - the loop must stand still
        return result(looked_at.name, DOWN, kind=Kind.TIMEOUT)

    async def run() -> None:
        slow = service("web", interval_s=60.0, timeout_s=1.0, confirm=Confirm(recheck_s=0.05))
        async with Rig(late, slow).running() as rig:
            await rig.until(lambda: len(rig.results) == 2)
            assert {(found.opinion, found.kind) for found in rig.results} == {(UNKNOWN, Kind.INCONCLUSIVE)}
            assert "late" in rig.results[0].text
            with pytest.raises(TimeoutError):
                await rig.until(lambda: len(rig.results) > 2, within_s=0.4)

    asyncio.run(run())


def test_a_timeout_on_a_punctual_loop_is_down() -> None:
    """Lateness excuses timeouts only, and only when there was any."""

    async def timed_out(looked_at: Service) -> Result:
        return result(looked_at.name, DOWN, kind=Kind.TIMEOUT)

    async def refused_late(looked_at: Service) -> Result:
        time.sleep(0.4)  # noqa: ASYNC251 - the loop must stand still
        return result(looked_at.name, DOWN, kind=Kind.REFUSED)

    async def run(look: Look) -> None:
        async with Rig(look, service("web", interval_s=60.0, timeout_s=1.0)).running() as rig:
            await rig.until(lambda: len(rig.results) == 1)
            assert rig.results[0].opinion is DOWN

    asyncio.run(run(timed_out))
    asyncio.run(run(refused_late))


def test_a_bug_in_a_probe_is_not_the_services_trouble(caplog: pytest.LogCaptureFixture) -> None:
    """A probe that raises is logged and tells nothing; everything else goes on."""

    async def buggy(looked_at: Service) -> Result:
        if looked_at.name == "s0":
            raise KeyError("s3cret")
        return result(looked_at.name, UP)

    async def run() -> None:
        async with Rig(buggy, *many(3, interval_s=0.3)).running() as rig:
            await rig.until(lambda: len(rig.results) >= 9)
            found = {one.service: (one.opinion, one.text) for one in rig.results}
            assert found["s0"] == (UNKNOWN, "the probe itself failed: KeyError")
            assert found["s1"][0] is UP

    asyncio.run(run())
    assert "The probe of s0 failed." in caplog.text


def test_an_extra_look_comes_when_asked_for() -> None:
    """A recheck does not wait for the interval."""

    async def run() -> None:
        async with Rig(good, service("web", interval_s=600.0)).running() as rig:
            await rig.until(lambda: len(rig.results) == 1)
            begun = time.monotonic()
            rig.scheduler.probe_now(("web",), 0.3)
            await rig.until(lambda: len(rig.results) == 2)
            assert 0.25 < time.monotonic() - begun < 1.0

    asyncio.run(run())


def test_a_reload_ends_looks_of_what_changed() -> None:
    """A look at a service that was changed is void: its result never comes, the new one is looked at."""

    async def run() -> None:
        gate = asyncio.Event()

        async def look(looked_at: Service) -> Result:
            if looked_at.timeout_s != 7.0:
                await gate.wait()
            return result(looked_at.name, UP, text=f"timeout {looked_at.timeout_s}")

        same = service("same", interval_s=60.0)
        async with Rig(look, same, service("moved"), service("gone")).running() as rig:
            await rig.until(lambda: rig.scheduler.stats.in_flight == 3)
            rig.scheduler.reload(rig.settings(same, service("moved", timeout_s=7.0)))
            await rig.until(lambda: len(rig.results) == 1, within_s=1.0)
            gate.set()
            await rig.until(lambda: len(rig.results) == 2, within_s=1.0)
            assert [(one.service, one.text) for one in rig.results] == [
                ("moved", "timeout 7.0"),
                ("same", "timeout 10.0"),
            ]

    asyncio.run(run())


def test_a_void_look_that_lingers_is_not_mistaken_for_the_new_one() -> None:
    """While a cancelled look still tidies up, the new one counts as in flight, and goes on to count."""

    async def run() -> None:
        tidy, gate = asyncio.Event(), asyncio.Event()

        async def look(looked_at: Service) -> Result:
            try:
                await gate.wait()
            except asyncio.CancelledError:
                await tidy.wait()
                raise
            return result(looked_at.name, UP)

        async with Rig(look, service("web")).running() as rig:
            await rig.until(lambda: len(rig.looks) == 1)
            rig.scheduler.reload(rig.settings(service("web", timeout_s=7.0)))
            await rig.until(lambda: len(rig.looks) == 2)
            tidy.set()
            await rig.until(lambda: rig.at_once == 1)
            rig.scheduler.probe_now(("web",))
            await rig.until(lambda: rig.scheduler.stats.skipped_total == 1)
            assert len(rig.looks) == 2
            gate.set()
            await rig.until(lambda: len(rig.results) == 1)

    asyncio.run(run())


def test_its_end_ends_every_look() -> None:
    """Cancelled, it leaves nothing in flight and reports nothing more."""

    async def run() -> list[Result]:
        async with Rig(held(asyncio.Event()), *many(5)).running() as rig:
            await rig.until(lambda: rig.at_once == 5)
        return rig.results

    assert asyncio.run(run()) == []
