"""A steady stream of incidents whose truth is known: targets that fail and recover by a schedule.

One HTTP server holds a path per service. A long outage ends when its time is over and every channel has
told it, so what was never told is lost for certain; a short one ends by the clock alone, told or not.
The next outage of a service waits until what was told of the last one is told as over.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from support.arrivals import Arrival
from support.cluster_support import free_ports

LOOK_EVERY_S = 0.05
GIVEN_UP_AFTER_S = 120.0
"""A long outage that nobody was told of for so long is lost."""


@dataclass
class Outage:
    """One failure of one service, as it truly was."""

    service: str
    began_wall: float
    lasts_s: float
    is_short: bool
    ended_wall: float = 0.0


@dataclass
class Pace:
    """How the stream runs: seconds between outages of one service, and how long the two kinds last."""

    pause_s: tuple[float, float]
    long_s: tuple[float, float]
    short_s: tuple[float, float]
    short_share: float = 0.25


@dataclass
class _Turn:
    """What one service does next: `current` is its outage, or None until `next_wall`."""

    next_wall: float
    current: Outage | None = None
    is_wanted: bool = False


class Server:
    """Answers every path with 200, or with 503 or a hang-up while its service fails."""

    def __init__(self, host: str) -> None:
        self.host, self.port = host, free_ports(1)[0]
        self.failing: dict[str, int] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.start_server(self._answer, host, self.port, backlog=256)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(5)

    def close(self) -> None:
        """Stop listening."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        mine = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not mine]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, IndexError):
            async with asyncio.timeout(5):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                status = self.failing.get(head.split()[1].strip("/"), 200)
                if status:
                    writer.write(
                        f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                    )
                    await writer.drain()
        writer.close()


@dataclass
class Outages:
    """The stream: `with` starts it, paused; `go` and `pause` steer it; `log` is the truth."""

    services: tuple[str, ...]
    server: Server
    arrivals: Callable[[], list[Arrival]]
    channels: tuple[str, ...]
    dice: random.Random
    pace: Pace
    log: list[Outage] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._turns = {name: _Turn(next_wall=0.0) for name in self.services}
        self._told: dict[tuple[str, str], Arrival] = {}
        self._read = 0
        self._is_running = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(5)

    def go(self) -> None:
        """Let targets fail from now on."""
        now = time.time()
        for turn in self._turns.values():
            turn.next_wall = now + self.dice.uniform(0.0, self.pace.pause_s[1])
        self._is_running = True

    def pause(self) -> None:
        """Begin no further outage; those under way go on to their end."""
        self._is_running = False

    def begin_one(self) -> None:
        """Have a service that is well fail now, and for long enough to be told."""
        for name, turn in self._turns.items():
            if turn.current is None and self._is_over(name):
                turn.is_wanted, turn.next_wall = True, 0.0
                return

    @property
    def is_calm(self) -> bool:
        """Whether every target is well and every lane is told as over."""
        turns = self._turns.items()
        return not any(turn.current for _, turn in turns) and all(self._is_over(name) for name, _ in turns)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            self._note_arrivals()
            for name, turn in self._turns.items():
                self._step(name, turn, time.time())

    def _note_arrivals(self) -> None:
        known = self.arrivals()
        for arrival in known[self._read :]:
            latest = self._told.get((arrival.channel, arrival.service))
            if latest is None or arrival.incident >= latest.incident:
                self._told[arrival.channel, arrival.service] = arrival
        self._read = len(known)

    def _step(self, name: str, turn: _Turn, now: float) -> None:
        outage = turn.current
        if outage is None:
            if self._is_running and now >= turn.next_wall and self._is_over(name):
                turn.current = self._begin(name, now, is_wanted=turn.is_wanted)
                turn.is_wanted = False
            return
        is_due = now >= outage.began_wall + outage.lasts_s
        is_told = outage.is_short or all(self._is_firing(channel, outage) for channel in self.channels)
        if is_due and (is_told or now > outage.began_wall + GIVEN_UP_AFTER_S):
            self.server.failing.pop(name, None)
            outage.ended_wall = time.time()
            turn.current, turn.next_wall = None, now + self.dice.uniform(*self.pace.pause_s)

    def _begin(self, name: str, now: float, *, is_wanted: bool) -> Outage:
        is_short = not is_wanted and self.dice.random() < self.pace.short_share
        lasts_s = self.dice.uniform(*(self.pace.short_s if is_short else self.pace.long_s))
        outage = Outage(name, now, lasts_s, is_short)
        self.log.append(outage)
        self.server.failing[name] = self.dice.choice((503, 0))
        return outage

    def _is_over(self, name: str) -> bool:
        told = [self._told.get((channel, name)) for channel in self.channels]
        return all(arrival is None or arrival.kind == "resolved" for arrival in told)

    def _is_firing(self, channel: str, outage: Outage) -> bool:
        arrival = self._told.get((channel, outage.service))
        return arrival is not None and arrival.kind != "resolved" and arrival.at_wall >= outage.began_wall
