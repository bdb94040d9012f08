"""Heartbeats in: `/ping/{ping_key}/{service}`, answered with 200 only once the signal is in the log.

`/start`, `/fail`, `/log` and an exit status behind it say more, as with Healthchecks. A wrong key, an
unknown service and an unknown signal look the same, so nobody learns names by trying. Calls for one service
that come together share one log entry, and a signal within a second of the same one counts once: a runaway
cron job cannot flood the log. Of the body the end is kept, on one line and without our own secrets.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

from aiohttp import web

from watchtower.core.beats import Beat, Signal
from watchtower.core.commands import Answer, BeatSeen
from watchtower.core.judging.eligibility import CLOCK_OFFSET_MAX_S, clock_error_s
from watchtower.core.ports import Snapshot, Submit
from watchtower.core.settings import Settings
from watchtower.core.targets import HeartbeatTarget
from watchtower.core.text import HIDDEN, clean
from watchtower.web.access import Access
from watchtower.web.answers import problem
from watchtower.web.routes import NAME, Route

SAME_SIGNAL_S: Final = 1.0
WAITING_MAX: Final = 100
BODY_S: Final = 5.0
WORDS_MAX: Final = 120
"""Characters of a job's last words; with what is said about them they still are one line of evidence."""
BODY_BYTES_MAX: Final = 1_048_576
_TAIL_BYTES: Final = 4_096
_NAMED: Final = {"": Signal.BEAT, "start": Signal.START, "fail": Signal.FAIL, "log": Signal.LOG}
_EXIT: Final = re.compile(r"[0-9]{1,3}", re.ASCII)


class Heartbeats:
    """The handler of the ping path."""

    def __init__(self, snapshot: Callable[[], Snapshot], submit: Submit, access: Access) -> None:
        self._snapshot = snapshot
        self._submit = submit
        self._access = access
        self._under_way: dict[tuple[str, Signal, int], asyncio.Task[Answer | None]] = {}
        self._waiting = 0

    def routes(self) -> list[Route]:
        """GET (with HEAD) and POST of the ping path."""
        path = "/ping/{ping_key}/" + NAME
        paths = (path, path + "/{signal}")
        return [Route(method, one, None, self.signal) for one in paths for method in ("GET", "POST")]

    async def signal(self, request: web.Request) -> web.Response:
        """Take one signal."""
        service = request.match_info["name"]
        said = _signal(request.match_info.get("signal", ""))
        is_known = self._access.knows_ping_key(request.match_info["ping_key"])
        if said is None or not (self._is_heartbeat(service) and is_known):
            return problem(404, "not found", "no heartbeat service of that name under that key")
        if self._waiting >= WAITING_MAX:
            return problem(503, "too busy", "too many heartbeats at once", {"Retry-After": "1"})
        self._waiting += 1
        try:
            text = _text(await _end_of_body(request), self._snapshot().settings)
            return await self._take(service, *said, text)
        finally:
            self._waiting -= 1

    def _is_heartbeat(self, service: str) -> bool:
        known = self._snapshot().settings.services.get(service)
        return known is not None and isinstance(known.target, HeartbeatTarget)

    async def _take(self, service: str, signal: Signal, code: int, text: str) -> web.Response:
        snap = self._snapshot()
        if abs(clock_error_s(snap.view.me, snap.view)) > CLOCK_OFFSET_MAX_S:
            return problem(503, "not recorded", "this peer's clock is off; send it to another peer")
        last = snap.state.beats.get(service)
        if last is not None and _is_same(last, signal, snap.now.wall):
            return _taken()
        seen = BeatSeen(service=service, at_wall=snap.now.wall, signal=signal, exit=code, text=text)
        answer = await self._commit(seen)
        if answer is not None and answer.ok:
            return _taken()
        reason = answer.reason if answer else "it is not known whether the beat reached the log"
        return problem(
            503, "not recorded", f"{reason}; send it again, here or to another peer", {"Retry-After": "2"}
        )

    def _commit(self, seen: BeatSeen) -> asyncio.Task[Answer | None]:
        """The one proposal under way for this signal of the service; a new one when there is none."""
        key = (seen.service, seen.signal, seen.exit)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.ensure_future(self._submit_signal(seen))
            self._under_way[key] = task
            task.add_done_callback(lambda _done: self._under_way.pop(key, None))
        return task

    async def _submit_signal(self, seen: BeatSeen) -> Answer | None:
        return await self._submit(seen)


def _signal(word: str) -> tuple[Signal, int] | None:
    """Signal and exit status that the last part of the path stands for; None for what is none."""
    if word in _NAMED:
        return _NAMED[word], 0
    if not _EXIT.fullmatch(word) or int(word) > 255:
        return None
    return (Signal.FAIL, int(word)) if int(word) else (Signal.BEAT, 0)


def _is_same(last: Beat, signal: Signal, now_wall: float) -> bool:
    """True when the last thing said was this very signal, less than a second ago."""
    if last.started_wall:
        newest, at_wall = Signal.START, last.started_wall
    elif last.failed_wall:
        # A later failure may have more to say than the first.
        return False
    else:
        newest, at_wall = Signal.BEAT, last.at_wall
    return signal is newest and 0 <= now_wall - at_wall < SAME_SIGNAL_S


async def _end_of_body(request: web.Request) -> bytes:
    """The last bytes of the body. Raises 413 over the limit, 408 when it never ends."""
    tail, read_bytes = b"", 0
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.content.iter_any():
                tail, read_bytes = (tail + chunk)[-_TAIL_BYTES:], read_bytes + len(chunk)
                if read_bytes > BODY_BYTES_MAX:
                    raise web.HTTPRequestEntityTooLarge(BODY_BYTES_MAX, read_bytes)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return tail


def _text(body: bytes, settings: Settings) -> str:
    """The end of what the job said, fit to be replicated: what went wrong mostly comes last."""
    text = body.decode("utf-8", "replace")
    tokens = [token.token for token in settings.http.tokens]
    for secret in (settings.http.ping_key, *tokens, *settings.cluster.secrets):
        text = text.replace(secret.reveal(), HIDDEN) if secret else text
    line = clean(text, _TAIL_BYTES)
    return line if len(line) <= WORDS_MAX else f"…{line[1 - WORDS_MAX :].lstrip()}"


def _taken() -> web.Response:
    return web.Response(text="OK", headers={"Cache-Control": "no-store"})
