"""Pings against a real HTTP server that plays the dead man's switch: when they come, and when they stop.

What may be said to the outside is tests/unit/core/test_watchdog.py's; here it is that it arrives, that a
held ping does not, and that the URL is in no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from msgspec.structs import replace
from support.web_support import eventually, world

from watchtower.breaker import Breakers, Purpose
from watchtower.clock import SystemClock
from watchtower.core.ports import Snapshot
from watchtower.core.secret import Secret
from watchtower.core.settings import BreakerSettings, WatchdogSettings
from watchtower.delivery.watchdog import Watchdog

DEADLINE_S = 15.0
SECRET = "c0ffee-switch"


class Switch:
    """The outside: it notes what it was asked, and answers with `status`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.port = 0
        self._heard = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        """One ping."""
        self.asked.append(request.path)
        self._heard.set()
        return web.Response(status=self.status)

    async def until(self, count: int) -> None:
        """Wait for so many pings in all."""
        async with asyncio.timeout(DEADLINE_S):
            while len(self.asked) < count:
                self._heard.clear()
                await self._heard.wait()


@contextlib.asynccontextmanager
async def switch() -> AsyncIterator[Switch]:
    """A switch on a port of its own."""
    made = Switch()
    app = web.Application()
    app.router.add_get("/{tail:.*}", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.port = runner.addresses[0][1]
    try:
        yield made
    finally:
        await runner.cleanup()


def well(port: int, every_s: float = 60.0) -> Snapshot:
    """A healthy alerter that pings for the cluster and for itself."""
    snap = world().snap
    me, base = snap.settings.me, f"http://127.0.0.1:{port}/{SECRET}"
    pings = WatchdogSettings(ping=Secret(base), peer_pings={me: Secret(f"{base}/peer")}, every_s=every_s)
    cluster = replace(snap.cluster, last_commit_age_s=0.1)
    return replace(
        snap,
        settings=replace(snap.settings, watchdog=pings),
        cluster=cluster,
        is_alerter=True,
        ready_reason="",
        doubt="",
        loop_lag_s=0.0,
    )


class Bench:
    """A watchdog whose snapshot the test changes."""

    def __init__(self, snap: Snapshot) -> None:
        self.snap = snap
        self.breakers = Breakers(BreakerSettings(), lambda *_: None)
        self.dog = Watchdog(SystemClock(), lambda: self.snap, lambda: self.breakers)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While it pings."""
        task = asyncio.create_task(self.dog.run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def test_the_cluster_and_the_peer_ping_once_each() -> None:
    """Both URLs are asked at the start, and not again before their time."""

    async def scene() -> None:
        async with switch() as outside:
            bench = Bench(well(outside.port))
            async with bench.running():
                await outside.until(2)
                await eventually(lambda: set(bench.dog.stats.last_wall) == {"cluster", "peer"})
            assert sorted(outside.asked) == [f"/{SECRET}", f"/{SECRET}/peer"]

    asyncio.run(scene())


def test_a_ping_is_held_while_people_would_not_be_told() -> None:
    """The peer is well and says so; for the cluster somebody else is the alerter."""

    async def scene() -> None:
        async with switch() as outside:
            bench = Bench(replace(well(outside.port), is_alerter=False))
            async with bench.running():
                await outside.until(1)
                await eventually(lambda: bench.dog.stats.held["cluster"] == "another peer is the alerter")
                bench.snap = well(outside.port)
                await outside.until(2)
            assert outside.asked == [f"/{SECRET}/peer", f"/{SECRET}"]

    asyncio.run(scene())


def test_a_switch_that_fails_is_told_of_without_its_url(caplog: pytest.LogCaptureFixture) -> None:
    """An error is logged by the ping's name and counted by its breaker; the URL is in no record."""
    caplog.set_level(logging.DEBUG)

    async def scene() -> None:
        async with switch() as outside:
            outside.status = 500
            bench = Bench(well(outside.port))
            async with bench.running():
                await outside.until(2)
                await eventually(lambda: caplog.text.count("did not arrive") == 2)
            assert bench.dog.stats.last_wall == {}
            views = bench.breakers.views(SystemClock().now())
            assert {view.purpose for view in views} == {Purpose.WATCHDOG.value}
            assert all(view.totals["failure"] == 1 for view in views)

    asyncio.run(scene())
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("watchtower"))
    assert "HTTP 500" in ours
    assert SECRET not in ours


def test_a_switch_that_is_not_there_is_no_crash() -> None:
    """Nobody listens: named by the kind of error, and tried again."""

    async def scene() -> None:
        async with switch() as outside:
            port = outside.port
        bench = Bench(well(port))
        async with bench.running():
            views = bench.breakers.views
            await eventually(lambda: any(view.totals["failure"] for view in views(SystemClock().now())))
        assert bench.dog.stats.last_wall == {}

    asyncio.run(scene())
