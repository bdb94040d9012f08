"""A probe worker: a process that looks at services for a peer, tells it what it saw, and nothing else.

`python -m watchtower.probes.working.worker`, started by the keeper with their common socket as standard
input. It lives no longer than its peer and obeys no signal of a terminal. Whatever a look does to a process
(a leak, a loop that stands still, descriptors that run out) happens here and costs no heartbeat of Raft and
no API answer. It imports as little as it can, because it is one more process on every host.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import faulthandler
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Final

from watchtower.clock import SystemClock
from watchtower.core.model import Opinion, Result
from watchtower.core.settings import Settings
from watchtower.parent import end_with
from watchtower.probes.pace.scheduler import Scheduler
from watchtower.probes.prober import Prober
from watchtower.probes.working.line import Line
from watchtower.probes.working.messages import Batch, Begin, Links, LookAt, Order, Reload, Said, frame, order

SEND_EVERY_S: Final = 0.1
SEND_AT_LEAST_EVERY_S: Final = 0.5
BATCH_AT: Final = 50
"""So many results do not wait any longer: a large batch would keep the peer's loop."""
HELD_BYTES_MAX: Final = 4 * 1024 * 1024
"""A peer that does not read gets no more than that later on; other results are dropped and counted."""
SAID_MAX: Final = 50
LINE_MAX: Final = 2_000
_NO_FILE: Final = "this peer has no free file descriptor"
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Worker:
    """Looks from `Begin` until the line ends."""

    def __init__(self, end: socket.socket, said: list[Said]) -> None:
        self._end = end
        self._said = said
        self._clock = SystemClock()
        self._links: frozenset[str] = frozenset()
        self._results: list[Result] = []
        self._unanswered: list[str] = []
        self._plain: set[str] = set()
        self._config_hash = ""
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._dropped_total = 0
        self._measure_boot = 0.0
        self._rss_bytes = self._open_files = 0
        self._bug: BaseException | None = None
        self._scheduler: Scheduler | None = None
        self._prober: Prober | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._line: Line

    async def run(self) -> None:
        """Until the peer is gone, or has had enough."""
        self._line = Line(self._end, lambda body: self._obey(order(body)), lambda _why: self._over.set())
        try:
            await self._over.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if self._prober is not None:
                await self._prober.close()
            self._line.close()
        if self._bug is not None:
            raise self._bug

    def _obey(self, said: Order) -> None:
        scheduler = self._scheduler
        match said:
            case Begin():
                self._begin(said.settings, said.first, said.links)
            case Links():
                self._links = frozenset(said.up)
            case Reload() if scheduler is not None:
                self._take_up(said.settings)
                scheduler.reload(said.settings)
            case LookAt() if scheduler is not None:
                scheduler.probe_now(said.names, said.in_s)

    def _take_up(self, settings: Settings) -> None:
        """Other settings from now on: what was seen by the ones before is void."""
        self._config_hash = settings.config_hash
        self._results.clear()
        self._unanswered.clear()
        self._plain.clear()

    def _begin(self, settings: Settings, first: tuple[str, ...], links: tuple[str, ...]) -> None:
        self._links = frozenset(links)
        self._take_up(settings)
        prober = Prober(self._clock, settings.me, lambda peer: peer in self._links)
        scheduler = Scheduler(
            settings,
            prober.probe,
            self._clock,
            self._on_result,
            find=prober.find,
            means=prober.means,
            first=lambda: first,
            on_unanswered=self._note_unanswered,
        )
        self._prober, self._scheduler = prober, scheduler
        for work in (scheduler.run(), self._tell(scheduler)):
            task = asyncio.create_task(work)
            task.add_done_callback(self._on_task_end)
            self._tasks.append(task)

    def _on_result(self, result: Result) -> None:
        """What is up as it was before is no news, and goes with the next sign of life."""
        self._results.append(result)
        if result.opinion is Opinion.UP and result.service in self._plain:
            if len(self._results) >= BATCH_AT:
                self._news.set()
            return
        self._plain.discard(result.service)
        if result.opinion is Opinion.UP:
            self._plain.add(result.service)
        self._news.set()

    def _note_unanswered(self, name: str) -> None:
        """A look has waited long; its end comes later, and after this."""
        self._unanswered.append(name)
        self._news.set()

    def _on_task_end(self, task: asyncio.Task[None]) -> None:
        """Neither ends by itself: without one of them this is no worker."""
        if not task.cancelled() and not self._over.is_set():
            self._bug = task.exception()
            self._over.set()

    async def _tell(self, scheduler: Scheduler) -> None:
        """Batches for as long as it lives: soon after news, and a sign of life without any."""
        while True:
            self._send(scheduler)
            try:
                async with asyncio.timeout(SEND_AT_LEAST_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(SEND_EVERY_S)  # noqa: TID251 - what comes meanwhile goes along
            self._news.clear()

    def _send(self, scheduler: Scheduler) -> None:
        if self._line.held > HELD_BYTES_MAX:
            self._dropped_total += len(self._results)
            self._results.clear()
            self._unanswered.clear()
            return
        now_boot = self._clock.now().boot
        if now_boot >= self._measure_boot:
            self._measure_boot = now_boot + SEND_AT_LEAST_EVERY_S
            self._measure(now_boot)
        batch = Batch(
            sent_boot=now_boot,
            config_hash=self._config_hash,
            results=tuple(self._results),
            unanswered=tuple(self._unanswered),
            stats=scheduler.stats,
            trouble=scheduler.trouble().reason,
            lag_s=scheduler.lag_s(),
            rss_bytes=self._rss_bytes,
            open_files=self._open_files,
            dropped_total=self._dropped_total,
            said=tuple(self._said),
        )
        self._results.clear()
        self._unanswered.clear()
        self._said.clear()
        self._line.send(frame(batch))

    def _measure(self, now_boot: float) -> None:
        """What this process holds; a descriptor more must be to be had."""
        try:
            os.close(os.dup(self._end.fileno()))
            self._open_files = sum(1 for _ in Path("/proc/self/fd").iterdir())
            self._rss_bytes = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE) and self._prober is not None:
                self._prober.means.note_lack(_NO_FILE, now_boot)


class Telling(logging.Handler):
    """Log records become lines that the peer writes, so that there is one log, in one shape."""

    def __init__(self, said: list[Said]) -> None:
        super().__init__()
        self._said = said

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line for the next batch; too many at a time are left out."""
        if len(self._said) < SAID_MAX:
            self._said.append(Said(record.levelno, record.name, self.format(record)[:LINE_MAX]))


def _guard() -> None:
    """End with the peer; leave signals of a terminal or a service manager to it; die before it does."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with(os.getppid(), signal.SIGKILL)
    faulthandler.register(signal.SIGUSR2)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def main() -> None:
    """The process."""
    _guard()
    said: list[Said] = []
    logging.basicConfig(handlers=[Telling(said)], level=logging.INFO)
    end = socket.socket(fileno=os.dup(0))
    asyncio.run(Worker(end, said).run())


if __name__ == "__main__":
    main()
