"""The overview in a real Chromium: it shows what is down, and turns over by itself when events come.

The server is real, the cluster behind it made up; skipped on machines without Chromium.
"""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from support.web_chromium import chromium, chromium_path
from support.web_support import READ, World, serving, world

from watchtower.core.model import Level, Opinion
from watchtower.web.server import WebServer

pytestmark = [
    pytest.mark.skipif(chromium_path() is None, reason="needs chromium"),
    pytest.mark.timeout(120),
]


def _break(made: World, text: str = "timeout after 10 s") -> None:
    for peer in ("a", "b"):
        made.vote(peer, "shop", Opinion.DOWN, text)
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
    made.open("shop", 17)


def _apply(server: WebServer, made: World) -> None:
    index = made.snap.cluster.applied_index + 1
    made.turn(cluster=replace(made.snap.cluster, applied_index=index))
    server.on_standings(made.standings)
    server.on_state(made.snap.state, index)


def test_the_page_turns_red_and_green_again_without_a_reload() -> None:
    """A service goes down and comes back; the page, never reloaded, says so, also in its title and icon."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, _), chromium() as tab:
            await tab.open(f"http://127.0.0.1:{server.port}/")
            await tab.wait("document.querySelector('h1').textContent === 'All 3 services are up'")
            await tab.wait("document.getElementById('link-state').textContent === 'live'")
            await tab.evaluate("window.neverReloaded = true")
            _break(made)
            _apply(server, made)
            await tab.wait("document.querySelector('h1').textContent === 'Shop is down'", within_s=5)
            assert "timeout after 10 s" in await tab.evaluate("document.getElementById('live').innerText")
            assert await tab.evaluate("document.title") == "1 down · prod"
            assert (await tab.evaluate("document.getElementById('favicon').href")).endswith("/trouble.svg")
            assert await tab.evaluate("document.getElementById('announce').textContent") == "Shop is down"
            for peer in ("a", "b"):
                made.vote(peer, "shop", Opinion.UP)
            made.judge("shop", Level.UP, "3 of 3 peers see it up", up=3)
            made.close(17)
            _apply(server, made)
            await tab.wait("document.querySelector('h1').textContent === 'All 3 services are up'", within_s=5)
            assert await tab.evaluate("window.neverReloaded") is True
            assert tab.complaints == []

    asyncio.run(main())


def test_the_page_says_when_its_peer_is_gone() -> None:
    """An old green page is worse than none."""

    async def main() -> None:
        made = world()
        async with chromium() as tab:
            async with serving(made) as (server, _):
                await tab.open(f"http://127.0.0.1:{server.port}/")
                await tab.wait("document.getElementById('link-state').textContent === 'live'")
            await tab.wait("document.getElementById('link-state').textContent.includes('connection lost')")

    asyncio.run(main())


def test_hostile_evidence_runs_nothing_when_put_in_place_by_the_script() -> None:
    """What a service sent is text in the page, also after an update."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, _), chromium() as tab:
            await tab.open(f"http://127.0.0.1:{server.port}/")
            await tab.wait("document.getElementById('link-state').textContent === 'live'")
            _break(made, "<img src=x onerror='window.pwned=1'><script>window.pwned=1</script>")
            _apply(server, made)
            await tab.wait("document.querySelector('h1').textContent === 'Shop is down'", within_s=5)
            assert "<img src=x" in await tab.evaluate("document.getElementById('live').innerText")
            assert await tab.evaluate("typeof window.pwned") == "undefined"
            assert await tab.evaluate("document.querySelectorAll('#live img, #live script').length") == 0

    asyncio.run(main())


def test_logging_in_with_the_form_shows_the_page() -> None:
    """Wrong token, the form again; right token, the overview, live."""

    async def main() -> None:
        async with serving(world(anonymous_read=False)) as (server, _), chromium() as tab:
            await tab.open(f"http://127.0.0.1:{server.port}/")
            for token, words in (("wrong", "not known here"), (READ, "services are up")):
                await tab.evaluate(
                    f"document.getElementById('token').value = '{token}'; document.forms[0].submit()"
                )
                await tab.wait(f"document.body.innerText.includes('{words}')")
            await tab.wait("document.getElementById('link-state').textContent === 'live'")
            assert await tab.evaluate("document.cookie") == ""

    asyncio.run(main())


def test_a_phone_needs_no_sideways_scrolling() -> None:
    """In trouble, blind and well, at 360 pixels."""

    async def main() -> None:
        broken, blind = world(), world()
        _break(broken, "x" * 160)
        _break(blind)
        blind.lose_quorum()
        async with chromium() as tab:
            await tab.call(
                "Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True
            )
            for made in (world(), broken, blind):
                async with serving(made) as (server, _):
                    for path in ("/", "/services/shop", "/incidents"):
                        await tab.open(f"http://127.0.0.1:{server.port}{path}")
                        width = await tab.evaluate("document.documentElement.scrollWidth")
                        assert width <= 360, (path, width)

    asyncio.run(main())
