"""Looks at the reference targets: can this peer reach anything at all?

Every five seconds, and at once when something has just failed. It holds when any one target answers a
TCP connect. Without configured targets the other peers' addresses serve; a single peer without targets
has nothing to compare itself with and never doubts on this ground.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import aiohappyeyeballs

from watchtower.core.ports import Clock
from watchtower.core.settings import Settings
from watchtower.probes.wires.resolver import Resolver

EVERY_S: Final = 5.0
AT_MOST_EVERY_S: Final = 0.5
TIMEOUT_S: Final = 2.0
_PORTS: Final = {"http": 80, "https": 443, "tcp": 0}

Note = Callable[[bool, float, str], None]
"""(holds, boot time at which the look began, what was looked at)"""


class Reference:
    """Checks this peer's reference targets until `run` is cancelled."""

    def __init__(self, settings: Settings, clock: Clock, note: Note) -> None:
        self._clock = clock
        self._note = note
        self._wake = asyncio.Event()
        self._resolver = Resolver()
        self.reload(settings)

    def reload(self, settings: Settings) -> None:
        """Take new reference targets."""
        self._targets = targets(settings)
        # A refused connect to a peer proves the network; one to a public target smells of a local firewall.
        self._are_peers = not settings.cluster.reference
        self._wake.set()

    def check_soon(self) -> None:
        """Look at once; something has just failed."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled, once in a life."""
        try:
            await self._look_on()
        finally:
            await self._resolver.close()

    async def _look_on(self) -> None:
        while True:
            if self._targets:
                await self._check()
            await asyncio.sleep(AT_MOST_EVERY_S)  # noqa: TID251 - a failing farm must not turn into a flood here
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()

    async def _check(self) -> None:
        began_boot = self._clock.now().boot
        looks = [
            asyncio.create_task(_answers(self._resolver, host, port, refusal_counts=self._are_peers))
            for host, port in self._targets
        ]
        holds = False
        for look in asyncio.as_completed(looks):
            if await look:
                holds = True
                break
        for task in looks:
            task.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
        shown = ", ".join(f"{host}:{port}" for host, port in self._targets)
        self._note(holds, began_boot, shown)


def targets(settings: Settings) -> tuple[tuple[str, int], ...]:
    """(host, port) of every reference target: the configured ones, else the other peers."""
    cluster = settings.cluster
    urls = cluster.reference or tuple(
        peer.http_url for peer in cluster.peers if peer.name != settings.me and peer.http_url
    )
    parts = [urlsplit(url) for url in urls]
    return tuple((part.hostname or "", part.port or _PORTS.get(part.scheme, 0)) for part in parts)


async def _answers(resolver: Resolver, host: str, port: int, *, refusal_counts: bool) -> bool:
    """Whether a TCP connect succeeds, or is at least refused where that counts."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            connected = await aiohappyeyeballs.start_connection(await resolver.lookup(host, port))
        connected.close()
    except ConnectionRefusedError:
        return refusal_counts
    except (OSError, UnicodeError):
        return False
    return True
