"""Looks at reference targets on loopback: does this peer reach anything at all?"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import pytest
from msgspec.structs import replace
from support.core_support import settings
from support.targets import Listener, closed_port, full_backlog, hang
from support.watching import watching

from watchtower.clock import SystemClock
from watchtower.core.settings import Settings
from watchtower.probes.weighing.reference import Reference, targets


def with_reference(*reference: str) -> Settings:
    """Settings of peer a with these reference targets."""
    made = settings()
    return replace(made, cluster=replace(made.cluster, reference=reference))


def with_peers(*urls: str) -> Settings:
    """Settings of peer a, whose peers answer at these addresses, without reference targets."""
    made = settings()
    peers = tuple(
        replace(peer, http_url=url)
        for peer, url in zip(made.cluster.peers, ("http://me", *urls), strict=True)
    )
    return replace(made, cluster=replace(made.cluster, peers=peers))


async def notes(
    wanted: Settings, enough: Callable[[list[bool]], bool], *, ask: bool = False, within_s: float = 6.0
) -> list[bool]:
    """What the looks found until it is enough; with `ask`, a look is asked for after each."""
    found: list[bool] = []
    news = asyncio.Event()

    def note(holds: bool, began_boot: float, shown: str) -> None:
        assert began_boot <= SystemClock().now().boot
        assert shown
        found.append(holds)
        news.set()
        if ask:
            reference.check_soon()

    reference = Reference(wanted, SystemClock(), note)
    task = asyncio.create_task(reference.run())
    try:
        async with asyncio.timeout(within_s):
            while not enough(found):
                await news.wait()
                news.clear()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return found


def first(found: list[bool]) -> bool:
    """One look is enough."""
    return bool(found)


def test_one_target_that_answers_is_enough() -> None:
    """It holds as soon as any one target accepts, however long the others would take."""

    async def run() -> tuple[list[bool], float]:
        with full_backlog() as silent:
            async with Listener(hang) as server:
                wanted = with_reference(f"tcp://127.0.0.1:{silent}", f"tcp://127.0.0.1:{server.port}")
                begun = time.monotonic()
                return await notes(wanted, first), time.monotonic() - begun

    found, took_s = asyncio.run(run())
    assert found == [True]
    assert took_s < 1.0


def test_no_target_that_answers() -> None:
    """Refused and silent targets together do not hold, and that is known after two seconds."""

    async def run() -> tuple[list[bool], float]:
        with full_backlog() as silent:
            wanted = with_reference(f"tcp://127.0.0.1:{silent}", f"tcp://127.0.0.1:{closed_port()}")
            begun = time.monotonic()
            return await notes(wanted, first), time.monotonic() - begun

    found, took_s = asyncio.run(run())
    assert found == [False]
    assert 1.9 < took_s < 4.0


def test_names_that_do_not_resolve_do_not_hold() -> None:
    """A target whose name nobody knows, or could know, is one that does not answer."""
    wanted = with_reference("https://no-such-host.invalid", f"tcp://{'x' * 70}.invalid:53")
    assert asyncio.run(notes(wanted, first)) == [False]


def test_without_targets_the_other_peers_serve() -> None:
    """A peer that answers, or whose machine at least refuses, proves our network; silence does not."""

    async def run() -> list[bool]:
        with full_backlog() as silent:
            deaf = f"http://127.0.0.1:{silent}"
            refused = await notes(with_peers(deaf, f"http://127.0.0.1:{closed_port()}"), first)
            return refused + await notes(with_peers(deaf, deaf), first)

    assert asyncio.run(run()) == [True, False]


def test_what_just_failed_asks_for_a_look_at_once() -> None:
    """Asked for, the next look does not wait five seconds; asked for all the time, it keeps a distance."""

    async def run() -> tuple[int, float]:
        async with Listener(hang) as server:
            wanted = with_reference(f"tcp://127.0.0.1:{server.port}")
            begun = time.monotonic()
            found = await notes(wanted, lambda all_found: len(all_found) == 4, ask=True)
            return len(found), time.monotonic() - begun

    count, took_s = asyncio.run(run())
    assert count == 4
    assert 1.4 < took_s < 4.0


def test_a_single_peer_without_targets_looks_at_nothing() -> None:
    """Nothing to compare with: no look, no note, no end."""
    alone = watching(peers=("a",))
    assert targets(alone) == ()
    with contextlib.suppress(TimeoutError):
        asyncio.run(notes(alone, first, within_s=0.2))
        pytest.fail("there was a note")


def test_targets_are_read_from_addresses() -> None:
    """A scheme that names a port needs none."""
    wanted = with_reference("tcp://192.0.2.1:53", "https://www.example", "http://[2001:db8::1]:8080/x")
    assert targets(wanted) == (("192.0.2.1", 53), ("www.example", 443), ("2001:db8::1", 8080))
