"""Stepping aside, for a while (drain) or for good (a planned stop): nobody is paged and nothing waits.

In this order: decide nothing more, give the alerting lease up, say `Leaving`, let another peer take the
office, then hand Raft leadership on. What is being sent meanwhile is finished. A peer that has stepped
aside follows and reports on; its votes do not count until it is back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from watchtower.core.commands import Leaving
from watchtower.core.model import State
from watchtower.core.ports import Clock, ClusterPort, CourierPort

log = logging.getLogger(__name__)

LEAVING_FOR_S: Final = 60.0
DRAIN_MAX_S: Final = 86_400.0
COURIER_S: Final = 11.0
"""An attempt has ten seconds; one more to write down how it ended."""
HAND_OVER_S: Final = 2.0
SUCCESSOR_S: Final = 1.0
TRANSFER_S: Final = 3.0
LOOK_AGAIN_S: Final = 0.1
_SAME_S: Final = 0.001


class Departure:
    """Whether this peer has stepped aside, and how it does so.

    `step_lease` proposes what the lease wants next, `session` gives this process's session or 0; feed every
    applied state by calling `on_applied`.
    """

    def __init__(
        self,
        me: str,
        clock: Clock,
        cluster: ClusterPort,
        courier: CourierPort,
        *,
        step_lease: Callable[[], Awaitable[None]],
        session: Callable[[State], int],
    ) -> None:
        self._me = me
        self._clock = clock
        self._cluster = cluster
        self._courier = courier
        self._step_lease = step_lease
        self._session = session
        self._until_boot = 0.0
        self._is_leaving = False
        self._kept_because = ""
        self._applied = asyncio.Event()

    @property
    def aside(self) -> str:
        """Why this peer has stepped aside; "" when it has not."""
        if self._is_leaving:
            return "leaving"
        return "draining" if self._clock.now().boot < self._until_boot else ""

    @property
    def until_wall(self) -> float:
        """Until when a drain lasts, in Unix seconds; 0.0 without one."""
        now = self._clock.now()
        return now.wall + self._until_boot - now.boot if now.boot < self._until_boot else 0.0

    def on_applied(self) -> None:
        """A newer state is applied."""
        self._applied.set()

    async def drain(self, for_s: float) -> str:
        """Step aside for `for_s` seconds; "" once the others know, else why they may not yet."""
        if self._is_leaving:
            return "this peer is stopping"
        if not 0 < for_s <= DRAIN_MAX_S:
            return f"a drain lasts up to {DRAIN_MAX_S:.0f} s"
        log.info("draining for %.0f s", for_s)
        self._until_boot = self._clock.now().boot + for_s
        known = await self._hand_over(self.until_wall)
        return "" if known else "the cluster has not confirmed it yet; it will once there is a majority"

    async def undrain(self) -> str:
        """End a drain now; "" once the others know, else why they may not yet."""
        if self._is_leaving:
            return "this peer is stopping"
        log.info("draining no more")
        self._until_boot = 0.0
        known = await self._until(self._is_back, HAND_OVER_S)
        return "" if known else "the cluster has not confirmed it yet; it will once there is a majority"

    async def leave(self) -> None:
        """Step aside for good. A longer excuse that a drain has asked for stays."""
        until_wall = max(self.until_wall, self._clock.now().wall + LEAVING_FOR_S)
        self._is_leaving = True
        log.info("leaving")
        finishing = asyncio.create_task(self._courier.drain(COURIER_S))
        try:
            await self._hand_over(until_wall)
            await finishing
        finally:
            finishing.cancel()

    # ---- the steps

    async def _hand_over(self, until_wall: float) -> bool:
        """Office, goodbye, Raft leadership; True when lease and goodbye were seen applied."""

        async def ask() -> None:
            await asyncio.gather(self._step_lease(), self._say_goodbye(until_wall))

        known = await self._until(lambda: self._is_aside(until_wall), HAND_OVER_S, ask)
        if known:
            await self._until(self._has_successor, SUCCESSOR_S)
        if not await self._until(self._does_not_lead, TRANSFER_S, self._transfer):
            log.info("Raft leadership was not handed on: %s", self._kept_because)
        return known

    async def _say_goodbye(self, until_wall: float) -> None:
        now, state = self._clock.now(), self._cluster.state
        if self._session(state) and not self._is_excused(state, until_wall):
            await self._cluster.submit(Leaving(for_s=until_wall - now.wall, at_wall=now.wall), timeout_s=1.0)

    async def _transfer(self) -> None:
        """Ask once; a moment later some follower may hold everything, or the new leader may be known."""
        try:
            async with asyncio.timeout(TRANSFER_S):
                self._kept_because = await self._cluster.transfer() or "nobody has taken it yet"
        except TimeoutError:
            self._kept_because = "no answer"

    async def _until(
        self, holds: Callable[[], bool], timeout_s: float, ask: Callable[[], Awaitable[None]] | None = None
    ) -> bool:
        """Ask and look at applied state until it `holds` or the time is up; whether it did."""
        until_boot = self._clock.now().boot + timeout_s
        while not holds() and self._clock.now().boot < until_boot:
            self._applied.clear()
            if ask is not None:
                await ask()
            if not holds():
                await until_set(self._applied, LOOK_AGAIN_S)
        return holds()

    # ---- what applied state says

    def _is_aside(self, until_wall: float) -> bool:
        state = self._cluster.state
        session = self._session(state)
        holds = (state.lease.holder, state.lease.session) == (self._me, session) and not state.lease.released
        return not session or (not holds and self._is_excused(state, until_wall))

    def _is_excused(self, state: State, until_wall: float) -> bool:
        return abs(state.row(self._me).leaving_until_wall - until_wall) < _SAME_S

    def _has_successor(self) -> bool:
        """True when nobody waits for an office of ours: it was not, or is no longer, this peer's."""
        return self._cluster.state.lease.holder != self._me

    def _does_not_lead(self) -> bool:
        """True for a follower, and for a peer that is alone, whose leadership nobody can take."""
        status = self._cluster.status()
        return status.role != "leader" or not status.links

    def _is_back(self) -> bool:
        state = self._cluster.state
        return bool(self._session(state)) and not state.row(self._me).leaving_until_wall


async def until_set(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until the event is set or the time is up."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass


async def until_news(event: asyncio.Event, timeout_s: float, rest_s: float) -> None:
    """Until the event is set or the time is up, but at least `rest_s`; the event is clear afterwards.

    What happens during the rest goes along (group commit), and a rest in which nothing happens wakes nobody.
    """
    loop = asyncio.get_running_loop()
    rested = loop.time() + rest_s
    await until_set(event, timeout_s)
    left_s = rested - loop.time()
    if left_s > 0:
        await asyncio.sleep(left_s)  # noqa: TID251 - at most forty passes and forty reports a second
    event.clear()
