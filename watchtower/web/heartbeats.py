"""Heartbeats in: `/ping/{ping_key}/{service}`, answered with 200 only once the beat is in the log.

A wrong key and an unknown service look the same, so nobody learns names by trying. Calls for one
service that come together share one log entry, and a beat within a second of the last is the same
beat: a runaway cron job cannot flood the log. The body is limited and ignored.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from watchtower.core.commands import Answer, BeatSeen
from watchtower.core.eligibility import CLOCK_OFFSET_MAX_S, clock_error_s
from watchtower.core.ports import Snapshot, Submit
from watchtower.core.targets import HeartbeatTarget
from watchtower.web.access import Access
from watchtower.web.answers import problem
from watchtower.web.routes import NAME, Route

SAME_BEAT_S: Final = 1.0
WAITING_MAX: Final = 100
BODY_S: Final = 5.0


class Heartbeats:
    """The handler of the ping path."""

    def __init__(self, snapshot: Callable[[], Snapshot], submit: Submit, access: Access) -> None:
        self._snapshot = snapshot
        self._submit = submit
        self._access = access
        self._under_way: dict[str, asyncio.Task[Answer | None]] = {}
        self._waiting = 0

    def routes(self) -> list[Route]:
        """GET (with HEAD) and POST of the ping path."""
        path = "/ping/{ping_key}/" + NAME
        return [Route("GET", path, None, self.beat), Route("POST", path, None, self.beat)]

    async def beat(self, request: web.Request) -> web.Response:
        """Take one beat."""
        service = request.match_info["name"]
        is_known = self._access.knows_ping_key(request.match_info["ping_key"])
        if not (self._is_heartbeat(service) and is_known):
            return problem(404, "not found", "no heartbeat service of that name under that key")
        if self._waiting >= WAITING_MAX:
            return problem(503, "too busy", "too many heartbeats at once", {"Retry-After": "1"})
        self._waiting += 1
        try:
            await _swallow_body(request)
            return await self._take(service)
        finally:
            self._waiting -= 1

    def _is_heartbeat(self, service: str) -> bool:
        known = self._snapshot().settings.services.get(service)
        return known is not None and isinstance(known.target, HeartbeatTarget)

    async def _take(self, service: str) -> web.Response:
        snap = self._snapshot()
        if abs(clock_error_s(snap.view.me, snap.view)) > CLOCK_OFFSET_MAX_S:
            return problem(503, "not recorded", "this peer's clock is off; send it to another peer")
        last = snap.state.beats.get(service)
        if last is not None and 0 <= snap.now.wall - last.at_wall < SAME_BEAT_S:
            return _taken()
        answer = await self._commit(service, snap.now.wall)
        if answer is not None and answer.ok:
            return _taken()
        reason = answer.reason if answer else "it is not known whether the beat reached the log"
        return problem(
            503, "not recorded", f"{reason}; send it again, here or to another peer", {"Retry-After": "2"}
        )

    def _commit(self, service: str, at_wall: float) -> asyncio.Task[Answer | None]:
        """The one proposal under way for `service`; a new one when there is none."""
        task = self._under_way.get(service)
        if task is None:
            task = asyncio.ensure_future(self._submit_beat(service, at_wall))
            self._under_way[service] = task
            task.add_done_callback(lambda _done: self._under_way.pop(service, None))
        return task

    async def _submit_beat(self, service: str, at_wall: float) -> Answer | None:
        return await self._submit(BeatSeen(service=service, at_wall=at_wall))


async def _swallow_body(request: web.Request) -> None:
    """Read the body up to the limit and forget it. Raises 413 over the limit, 408 when it never ends."""
    try:
        async with asyncio.timeout(BODY_S):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _taken() -> web.Response:
    return web.Response(text="OK", headers={"Cache-Control": "no-store"})
