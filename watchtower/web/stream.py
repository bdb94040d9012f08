"""Server-sent events: one bounded ring that every listener reads at its own pace.

A listener remembers only its place in the ring, so a slow one costs no memory: when the ring has
passed it by, or it does not take its bytes for ten seconds, it is cut off and may come back with
Last-Event-ID. The id is the log index, so a listener may come back at another peer.
Source: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct

from watchtower.web.access import Scope
from watchtower.web.answers import problem
from watchtower.web.events import Event
from watchtower.web.routes import Route

RING_MAX: Final = 2_000
LISTENERS_MAX: Final = 200
KEEP_ALIVE_S: Final = 15.0
WRITE_S: Final = 10.0

_encoder = msgspec.json.Encoder()


class _Frame(Struct, frozen=True):
    place: int
    index: int
    wire: bytes


class Ring:
    """The latest events, each with its place (counts up by one) and the log index it belongs to."""

    def __init__(self, size: int = RING_MAX) -> None:
        self._frames: deque[_Frame] = deque(maxlen=size)
        self._next = 0
        self._known_from = -1
        self._news = asyncio.Event()
        self.index = 0
        self.is_closed = False

    @property
    def end(self) -> int:
        """The place that the next event will get."""
        return self._next

    def start(self, index: int) -> None:
        """Everything after `index` will be in the ring; what came before never was."""
        self.index = index
        self._known_from = index

    def publish(self, index: int, events: Iterable[Event]) -> None:
        """Add events of log index `index` and wake whoever listens."""
        self.index = max(self.index, index)
        for event in events:
            self._make_room()
            self._frames.append(_Frame(self._next, self.index, _wire(self.index, event)))
            self._next += 1
            news, self._news = self._news, asyncio.Event()
            news.set()

    def since(self, place: int) -> bytes | None:
        """Frames from `place` on, joined; None when the ring has passed `place` by."""
        first = self._frames[0].place if self._frames else self._next
        if place < first:
            return None
        return b"".join(frame.wire for frame in islice(self._frames, place - first, None))

    def resume(self, last_id: int) -> int | None:
        """The place from which a listener that last saw index `last_id` goes on; None when too much is lost.

        Events of that very index are told again: it cannot be known how many of them it saw.
        """
        if not self._known_from <= last_id <= self.index:
            return None
        return next((frame.place for frame in self._frames if frame.index >= last_id), self._next)

    async def news(self, timeout_s: float) -> bool:
        """Wait until something was published or the ring was closed; False when `timeout_s` went by first."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Let every listener go."""
        self.is_closed = True
        self._news.set()

    def _make_room(self) -> None:
        if len(self._frames) == self._frames.maxlen:
            self._known_from = max(self._known_from, self._frames[0].index + 1)


class EventStream:
    """The handler of `/api/v1/events`, and how many listen."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self.listeners = 0
        self.dropped_total = 0

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route("GET", "/api/v1/events", Scope.READ, self.listen)]

    async def listen(self, request: web.Request) -> web.StreamResponse:
        """Stream events until the listener goes, is too slow, or this peer stops."""
        if self.listeners >= LISTENERS_MAX or self._ring.is_closed:
            return problem(503, "too busy", "too many listeners here; try another peer", {"Retry-After": "5"})
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        response.headers["X-Accel-Buffering"] = "no"
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        self.listeners += 1
        try:
            await self._pump(request, response)
        except ConnectionError:
            pass  # the listener has gone, which is its right
        except TimeoutError:
            self._cut_off(request)
        finally:
            self.listeners -= 1
        return response

    async def _pump(self, request: web.Request, response: web.StreamResponse) -> None:
        place, greeting = self._greet(request)
        await _write(response, greeting)
        while not self._ring.is_closed:
            frames = self._ring.since(place)
            if frames is None:
                self._cut_off(request)
                return
            if frames:
                place = self._ring.end
                await _write(response, frames)
                continue
            if not await self._ring.news(KEEP_ALIVE_S):
                await _write(response, b": still here\n\n")

    def _greet(self, request: web.Request) -> tuple[int, bytes]:
        """Where the listener starts, and what it hears first: an id, or that it must read everything anew."""
        hello = f"retry: 2000\nid: {self._ring.index}\n\n".encode()
        last = request.headers.get("Last-Event-ID", "")
        if not last:
            return self._ring.end, hello
        is_number = last.isascii() and last.isdigit() and len(last) <= 15
        place = self._ring.resume(int(last)) if is_number else None
        if place is None:
            return self._ring.end, hello + _wire(self._ring.index, Event("reset", {"lost": True}))
        return place, b"retry: 2000\n\n"

    def _cut_off(self, request: web.Request) -> None:
        self.dropped_total += 1
        if request.transport is not None:
            request.transport.abort()


async def _write(response: web.StreamResponse, wire: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(wire)


def _wire(index: int, event: Event) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (index, event.kind.encode(), _encoder.encode(event.data))
