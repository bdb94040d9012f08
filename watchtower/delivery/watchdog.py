"""Pings an outside dead man's switch (Healthchecks, Dead Man's Snitch ...) while all is well.

One ping of the cluster, by its alerter, and one of each peer that has a URL of its own. Whether a ping may
leave is core/proofs/watchdog.py's; a broken path is left alone by a breaker. URLs are secrets: what is
logged and shown are the names `cluster` and `peer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

import aiohttp

from watchtower import __version__
from watchtower.breaker import Breakers, Purpose
from watchtower.core.ports import Clock, Snapshot
from watchtower.core.proofs import watchdog
from watchtower.core.secret import Secret
from watchtower.core.stats import WatchdogStats

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
RETRY_S: Final = 10.0
CLUSTER: Final = "cluster"
PEER: Final = "peer"
_HEADERS: Final = {"User-Agent": f"watchtower/{__version__}"}


class Watchdog:
    """The pings of this process; `stats` may be read at any time."""

    def __init__(
        self, clock: Clock, snapshot: Callable[[], Snapshot], breakers: Callable[[], Breakers]
    ) -> None:
        self._clock = clock
        self._snapshot = snapshot
        self._breakers = breakers
        self._due_boot: dict[str, float] = {}
        self.stats = WatchdogStats()

    async def run(self) -> None:
        """Ping until cancelled. Never raises for reasons of the other side."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout, headers=_HEADERS, trust_env=True) as session:
            while True:
                snap = self._snapshot()
                pings = [self._ping(session, *one, snap) for one in self._due(snap)]
                await asyncio.gather(*pings)
                await asyncio.sleep(1.0)  # noqa: TID251 - it paces itself: a ping is due by the clock alone

    def _due(self, snap: Snapshot) -> Iterator[tuple[str, Secret]]:
        """Pings whose time has come and that nothing speaks against."""
        wanted = snap.settings.watchdog
        own = wanted.peer_pings.get(snap.settings.me)
        for name, url, ask in ((CLUSTER, wanted.ping, watchdog.unfit), (PEER, own, watchdog.unfit_peer)):
            if url is None:
                self.stats.held.pop(name, None)
                continue
            self._note(name, ask(snap))
            if not self.stats.held[name] and self._clock.now().boot >= self._due_boot.get(name, 0.0):
                yield name, url

    def _note(self, name: str, refusal: str) -> None:
        if refusal != self.stats.held.get(name, ""):
            log.info("The watchdog ping of the %s %s.", name, f"is held: {refusal}" if refusal else "goes on")
        self.stats.held[name] = refusal

    async def _ping(self, session: aiohttp.ClientSession, name: str, url: Secret, snap: Snapshot) -> None:
        breaker = self._breakers().get(Purpose.WATCHDOG, name, self._clock.now().boot)
        call = breaker.begin(self._clock.now().boot)
        if call is None:
            return
        why = await _asked(session, url)
        now = self._clock.now()
        if why:
            breaker.fail(call, now.boot, why)
            log.warning("The watchdog ping of the %s did not arrive: %s.", name, why)
        else:
            breaker.succeed(call, now.boot)
            self.stats.last_wall[name] = now.wall
        every_s = snap.settings.watchdog.every_s
        self._due_boot[name] = now.boot + (min(RETRY_S, every_s) if why else every_s)


async def _asked(session: aiohttp.ClientSession, url: Secret) -> str:
    """Why the switch did not take the ping, in words that hold nothing of the URL; "" when it did."""
    try:
        async with session.get(url.reveal(), allow_redirects=False) as response:
            return "" if response.status < 300 else f"HTTP {response.status}"
    except TimeoutError:
        return "no answer in time"
    except (aiohttp.ClientError, ValueError, OSError) as error:
        return type(error).__name__
