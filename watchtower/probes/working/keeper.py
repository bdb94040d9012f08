"""Keeps one probe worker alive: starts it, hears it, ends it when it is silent or too big, starts another.

A worker that does not speak for SILENT_S is as good as dead, whatever it is doing: it is killed, and its
results are worth nothing until the next one speaks. That is this peer's trouble and no service's. Lives are
started at growing distances, so that a worker that cannot live costs little. Decides nothing about votes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from watchtower.clock import to_beat
from watchtower.core.model import Result
from watchtower.core.ports import Clock
from watchtower.core.settings import Settings
from watchtower.core.stats import ProbeStats, Trouble, WorkerStats
from watchtower.probes.programs.children import end_orphans
from watchtower.probes.working.line import Line
from watchtower.probes.working.messages import Batch, Begin, Links, LookAt, Order, Reload, batch, frame

log = logging.getLogger(__name__)

TICK_S: Final = 0.25
SILENT_S: Final = 2.0
FIRST_WORD_S: Final = 20.0
"""How long a new worker may take to say its first word: it imports on a machine that may be busy."""
LATE_S: Final = 1.0
REMEMBERED_S: Final = 12.0
"""Trouble of a worker is remembered so long: what it lost sight of must be seen again first, and people must
be told. A doubt is told after 5 s and must stand for 5 s more; each takes up to half a second longer."""
AGAIN_S_MIN: Final = 0.1
AGAIN_S_MAX: Final = 30.0
LONG_LIFE_S: Final = 60.0
END_S: Final = 1.0
SHOW_S: Final = 0.1
RSS_BYTES_MAX: Final = 512 * 1024 * 1024
RSS_BYTES_PER_LOOK: Final = 256 * 1024
"""On top for each look that may be in flight: its body, unpacked and as text."""
COMMAND: Final = (sys.executable, "-m", "watchtower.probes.working.worker")


class Keeper:
    """Worker `number`, through all its lives. `first` names what a new life looks at before all else."""

    def __init__(
        self,
        number: int,
        share: Settings,
        clock: Clock,
        *,
        on_result: Callable[[Result], None],
        first: Callable[[], tuple[str, ...]],
        links: Callable[[], tuple[str, ...]],
        on_unanswered: Callable[[str], None],
    ) -> None:
        self._number = number
        self._share = share
        self._clock = clock
        self._on_result = on_result
        self._first = first
        self._links = links
        self._on_unanswered = on_unanswered
        self._life: _Life | None = None
        self._before = ProbeStats()
        self._dropped_before = 0
        self._trouble = ""
        self._trouble_until_boot = float("-inf")
        self._is_silent = False
        self._restarts_total = 0

    # ---- what the peer asks and says

    def reload(self, share: Settings) -> None:
        """Take a new share of the services."""
        self._share = share
        self._say(Reload(share))

    def look_at(self, names: tuple[str, ...], in_s: float) -> None:
        """Look at these out of turn. Without a worker nobody does: the next one begins with what fails."""
        self._say(LookAt(names, in_s))

    def trouble(self) -> Trouble:
        """Why what this worker says, or has last said, is not to be trusted now."""
        if self._clock.now().boot < self._trouble_until_boot:
            return Trouble(reason=self._trouble, is_blind=self._is_silent)
        said = self._life.latest.trouble if self._life is not None and self._life.latest is not None else ""
        return Trouble(reason=said)

    @property
    def counts(self) -> ProbeStats:
        """Counters over all lives, the rest as of now."""
        return _sum(self._before, self._life.latest.stats if self._life and self._life.latest else None)

    @property
    def stats(self) -> WorkerStats:
        """How the worker is doing."""
        life = self._life
        latest = life.latest if life is not None else None
        return WorkerStats(
            number=self._number,
            pid=life.pid if life is not None else 0,
            trouble=self.trouble().reason,
            restarts_total=self._restarts_total,
            dropped_total=self._dropped_before + (latest.dropped_total if latest else 0),
            lag_s=latest.lag_s if latest else 0.0,
            rss_bytes=latest.rss_bytes if latest else 0,
            open_files=latest.open_files if latest else 0,
        )

    # ---- its lives

    async def run(self) -> None:
        """One life after another until cancelled."""
        again_s = AGAIN_S_MIN
        while True:
            begun_boot = self._clock.now().boot
            why = await self._live()
            self._restarts_total += 1
            self._note(f"its probe worker {why}", is_silent=True)
            has_lived_long = self._clock.now().boot - begun_boot > LONG_LIFE_S
            again_s = AGAIN_S_MIN if has_lived_long else min(2 * again_s, AGAIN_S_MAX)
            log.error("probe worker %d %s; another one starts in %.1f s", self._number, why, again_s)
            await asyncio.sleep(again_s)  # noqa: TID251 - a worker that cannot live must not cost more than that

    async def _live(self) -> str:
        """One life from start to end; why it ended."""
        try:
            life = _Life(self._on_batch)
        except OSError as error:
            return f"cannot be started: {error.strerror}"
        self._life = life
        links = self._links()
        try:
            life.line.send(frame(Begin(self._share, first=self._first(), links=links)))
            while not await life.is_over(to_beat(asyncio.get_running_loop().time(), TICK_S)):
                if links != (links := self._links()):
                    life.line.send(frame(Links(links)))
                self._check(life)
            if life.shows_why:
                await asyncio.sleep(SHOW_S)  # noqa: TID251 - it prints where it stands before it is killed
        except asyncio.CancelledError:
            await life.leave()
            raise
        finally:
            life.end()
            self._life = None
            self._before = _sum(self._before, life.latest.stats if life.latest else None)
            self._before.in_flight = self._before.waiting = 0
            self._dropped_before += life.latest.dropped_total if life.latest else 0
        return life.why

    def _check(self, life: _Life) -> None:
        """End a life that is worth nothing any more."""
        if life.silent_s > (SILENT_S if life.latest else FIRST_WORD_S):
            life.over(f"has said nothing for {life.silent_s:.0f} s", shows_why=True)
        limit = RSS_BYTES_MAX + RSS_BYTES_PER_LOOK * self._share.probe.concurrency
        if life.latest is not None and life.latest.rss_bytes > limit:
            life.over(f"has grown to {life.latest.rss_bytes >> 20} MiB, over its {limit >> 20} MiB")

    def _on_batch(self, said: Batch) -> None:
        late_s = self._clock.now().boot - said.sent_boot
        if self._is_silent:  # the first word of a new life
            self._note(self._trouble, is_silent=False)
        if late_s > LATE_S or said.lag_s > LATE_S:
            what = "results come" if late_s > said.lag_s else "worker was"
            self._note(f"its probe {what} more than {LATE_S:.0f} s late", is_silent=False)
        for line in said.said:
            logging.getLogger(line.name).log(line.level, "%s", line.text)
        if said.config_hash != self._share.config_hash:
            return  # seen by settings that are no longer in force
        for name in said.unanswered:  # first: the end of such a look may be in the same batch
            self._on_unanswered(name)
        for result in said.results:
            self._on_result(result)

    def _note(self, trouble: str, *, is_silent: bool) -> None:
        """Trouble from now on, for as long as the worker is silent and REMEMBERED_S more."""
        self._trouble, self._is_silent = trouble, is_silent
        self._trouble_until_boot = float("inf") if is_silent else self._clock.now().boot + REMEMBERED_S

    def _say(self, said: Order) -> None:
        if self._life is not None:
            self._life.line.send(frame(said))


class _Life:
    """One process: its pidfd, its line, its latest batch. `end` leaves nothing of it behind."""

    def __init__(self, on_batch: Callable[[Batch], None]) -> None:
        self._on_batch = on_batch
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self.why = ""
        self.shows_why = False
        self.latest: Batch | None = None
        self.silent_s = 0.0
        self._looked_s = self._loop.time()
        mine, theirs = socket.socketpair()
        try:
            self.pid = _spawn(theirs)
            self._pidfd = _watch(self.pid)
        except OSError:
            mine.close()
            raise
        finally:
            theirs.close()
        self._is_reaped = False
        self._loop.add_reader(self._pidfd, self._on_exit)
        self.line = Line(mine, self._on_body, self._on_line_end)

    async def is_over(self, within_s: float) -> bool:
        """Wait for its end, so many seconds at most. Silence is counted while we ourselves are on time."""
        try:
            async with asyncio.timeout(within_s):
                await self._over.wait()
        except TimeoutError:
            pass
        now_s = self._loop.time()
        self.silent_s += min(now_s - self._looked_s, 2 * within_s)
        self._looked_s = now_s
        return self._over.is_set()

    def over(self, why: str, *, shows_why: bool = False) -> None:
        """It ends now, for the first reason that is given. With `shows_why` it prints where it stands."""
        self.why = self.why or why
        self.shows_why = shows_why and not self._is_reaped
        if self.shows_why:
            os.kill(self.pid, signal.SIGUSR2)
        self._over.set()

    async def leave(self) -> None:
        """Ask it to go, and let it end its looks, for END_S at most."""
        self.line.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await self._over.wait()

    def end(self) -> None:
        """Kill it if it still lives, reap it, and close everything. May be called at any time, once."""
        self.line.close()
        self._loop.remove_reader(self._pidfd)
        if not self._is_reaped:
            os.kill(self.pid, signal.SIGKILL)
            poll = select.poll()
            poll.register(self._pidfd, select.POLLIN)
            poll.poll(1000)  # a killed process is gone in a moment
            self._reap()
        end_orphans(self.pid)
        os.close(self._pidfd)

    def _reap(self) -> str:
        """Take its exit status; "" when it has none yet."""
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            self._is_reaped = True
            return "has ended"
        if pid == 0:
            return ""
        self._is_reaped = True
        code = os.waitstatus_to_exitcode(status)
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self.over(self._reap())

    def _on_line_end(self, why: str) -> None:
        # Its exit follows at once, and says more; should it not, this is the reason.
        self._loop.call_later(TICK_S, self.over, f"does not speak any more: its line {why}")

    def _on_body(self, body: bytes) -> None:
        try:
            said = batch(body)
        except msgspec.MsgspecError as error:
            self.over(f"speaks nonsense: {error}")
            return
        self.latest, self.silent_s = said, 0.0
        self._on_batch(said)


def _watch(pid: int) -> int:
    """A descriptor that tells of the child's end; a child that cannot be watched does not live."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _spawn(theirs: socket.socket) -> int:
    """Start a worker in a session of its own, with `theirs` as its standard input."""
    return os.posix_spawn(
        COMMAND[0],
        COMMAND,
        # A heap of its own for each of the threads that resolve names would cost more than it gives.
        {"MALLOC_ARENA_MAX": "2", **os.environ},
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
        setsid=True,
    )


def _sum(before: ProbeStats, now: ProbeStats | None) -> ProbeStats:
    """Counters of several lives, or workers, together; what is no counter is that of `now`."""
    if now is None:
        return msgspec.structs.replace(before)
    return ProbeStats(
        started_total=before.started_total + now.started_total,
        skipped_total=before.skipped_total + now.skipped_total,
        stale_total=before.stale_total + now.stale_total,
        in_flight=now.in_flight,
        waiting=now.waiting,
        lag_s=now.lag_s,
    )
