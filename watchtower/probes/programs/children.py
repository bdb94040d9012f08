"""Runs programs for looks: a few at a time, with limits, heard to a bound, and gone when the look is.

Each has a session and process group of its own, which is killed as a whole: politely at the deadline,
for good a moment later, and what is left of it as soon as the program itself has ended. Nobody waits for
a pipe that a grandchild holds open. What a program's end means for a service is plugin.py's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

HEARD_MAX: Final = 8_192
"""Bytes kept of each of the two outputs; the rest is read and counted."""
FLOOD_MAX: Final = 268_435_456
"""Whoever writes more than this is killed: reading it costs a core."""
TERM_GRACE_S: Final = 1.0
"""Between asking a group to end and ending it."""
PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TZ", "HOME")
"""All that a program inherits of this process's environment, which holds secrets."""
MARK: Final = "WATCHTOWER_LOOK_OF"
"""Tells a program, and whoever must end it after our death, which process looks by it."""
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READ_BYTES: Final = 65_536
_PROCESSES_MORE: Final = 256
_SIZES: Final = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_DATA, 1_073_741_824),
    (resource.RLIMIT_FSIZE, 268_435_456),
    (resource.RLIMIT_NOFILE, 1_024),
)
_BACK_TO_DEFAULT: Final = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Ended(Struct, frozen=True, kw_only=True):
    """How a program ended, by `code` or by `signal` if that is not 0, and what it wrote.

    `cut_bytes` were written and not kept; `flooded` means that it was killed for them.
    """

    code: int = 0
    signal: int = 0
    said: bytes = b""
    complained: bytes = b""
    cut_bytes: int = 0
    flooded: bool = False


class Children:
    """The programs of one event loop: at most `at_once`, by default two for each core."""

    def __init__(self, at_once: int = 0) -> None:
        self.at_once = at_once or 2 * len(os.sched_getaffinity(0))
        self._places = asyncio.Semaphore(self.at_once)
        self._running: set[_Child] = set()

    async def place(self) -> None:
        """Wait for a place. Whoever has one must run a program next."""
        await self._places.acquire()

    async def run(self, argv: list[str], env: Mapping[str, str], *, cpu_s: int) -> Ended:
        """Run a program to its end, in the place that was waited for. Cancelled, it ends the program.

        Raises OSError when there is no starting it.
        """
        try:
            child = _Child(argv, env, cpu_s)
        except BaseException:  # whatever it was, nobody has the place now
            self._places.release()
            raise
        self._running.add(child)
        child.gone.add_done_callback(lambda _gone: self._left(child))
        try:
            return await asyncio.shield(child.gone)
        except asyncio.CancelledError:
            child.end()
            raise

    async def close(self) -> None:
        """Kill all of them, and see them gone unless the kernel holds one back."""
        for child in self._running:
            child.kill()
        if self._running:
            await asyncio.wait([child.gone for child in self._running], timeout=TERM_GRACE_S)

    def _left(self, child: _Child) -> None:
        self._running.discard(child)
        self._places.release()


class _Child:
    """One program, from its start until nothing of it is left."""

    def __init__(self, argv: list[str], env: Mapping[str, str], cpu_s: int) -> None:
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[Ended] = self._loop.create_future()
        self._flooded = False
        self._timer: asyncio.TimerHandle | None = None
        with contextlib.ExitStack() as opened:
            said, to_said = _pipe(opened)
            complained, to_complained = _pipe(opened)
            limits = _limits(cpu_s)
            self._pid = _spawn(argv, env, to_said, to_complained)
            try:
                _limit(self._pid, limits)
                self._pidfd = os.pidfd_open(self._pid)
            except BaseException:  # a child that nobody watches must not live
                self.kill()
                os.waitpid(self._pid, 0)
                raise
            opened.pop_all()
        os.close(to_said)
        os.close(to_complained)
        self._said = _Output(self._loop, said, self._flood)
        self._complained = _Output(self._loop, complained, self._flood)
        self._loop.add_reader(self._pidfd, self._ended)

    def end(self) -> None:
        """Ask the whole group to end, and see to it."""
        self._send(signal.SIGTERM)
        if self._timer is None:
            self._timer = self._loop.call_later(TERM_GRACE_S, self.kill)

    def kill(self) -> None:
        """End the whole group."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        # The group cannot be another's: its leader has not been reaped yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, number)

    def _flood(self) -> None:
        self._flooded = True
        self.kill()

    def _ended(self) -> None:
        """The program has ended; what it started and left in its group ends now."""
        self._loop.remove_reader(self._pidfd)
        if self._timer is not None:
            self._timer.cancel()
        self._said.finish()
        self._complained.finish()
        self.kill()
        code, by_signal = _reap(self._pidfd)
        os.close(self._pidfd)
        self.gone.set_result(
            Ended(
                code=code,
                signal=by_signal,
                said=bytes(self._said.kept),
                complained=bytes(self._complained.kept),
                cut_bytes=self._said.cut_bytes + self._complained.cut_bytes,
                flooded=self._flooded,
            )
        )


class _Output:
    """One output of a program: its beginning is kept, the rest counted, and a flood told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fd: int, flood: Callable[[], None]) -> None:
        self.kept = bytearray()
        self.cut_bytes = 0
        self._loop = loop
        self._fd = fd
        self._flood = flood
        loop.add_reader(fd, self._read)

    def finish(self) -> None:
        """Take what is there now, and hear no more."""
        if self._fd >= 0:
            self._read()
        self._close()

    def _read(self) -> None:
        try:
            chunk = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        if not chunk:
            self._close()
            return
        room = HEARD_MAX - len(self.kept)
        self.kept += chunk[:room]
        self.cut_bytes += max(0, len(chunk) - room)
        if self.cut_bytes > FLOOD_MAX:
            self._flood()

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
        self._fd = -1


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What a program finds in its environment: little of ours, and `extra`."""
    inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": _PATH, **inherited, **extra, MARK: str(os.getpid())}


def end_orphans(of: int) -> None:
    """Kill the programs that the process `of`, which is dead, had no time to end."""
    mark = f"{MARK}={of}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                os.kill(int(folder.name), signal.SIGKILL)


def _pipe(opened: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe that we read without waiting; `opened` closes it if its program cannot start."""
    ours, theirs = os.pipe()
    opened.callback(os.close, ours)
    opened.callback(os.close, theirs)
    os.set_blocking(ours, False)
    return ours, theirs


def _spawn(argv: list[str], env: Mapping[str, str], said: int, complained: int) -> int:
    return os.posix_spawn(
        argv[0],
        argv,
        env,
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, said, 1),
            (os.POSIX_SPAWN_DUP2, complained, 2),
        ),
        setsid=True,
        setsigmask=(),
        setsigdef=_BACK_TO_DEFAULT,
    )


def _limits(cpu_s: int) -> list[tuple[int, int]]:
    """What a program may take, none of it more than this process may."""
    wanted = ((resource.RLIMIT_NPROC, _processes_max()), (resource.RLIMIT_CPU, cpu_s), *_SIZES)
    ours = {what: resource.getrlimit(what)[1] for what, _ in wanted}
    return [(what, min((n for n in (most, ours[what]) if n >= 0), default=-1)) for what, most in wanted]


def _limit(pid: int, limits: list[tuple[int, int]]) -> None:
    """Bound a program that has just begun: at once, and on a busy machine milliseconds later.

    A program with rights of its own (setuid) cannot be bounded so; the deadline holds for it as well.
    """
    with contextlib.suppress(PermissionError, ProcessLookupError):
        for what, bound in limits:
            resource.prlimit(pid, what, (bound, bound))


def _processes_max() -> int:
    """How many processes the user may come to: some more than there are of everybody.

    The kernel counts all processes of the user, ours too, so a number of our own choice might leave none
    for the program. It bounds nothing for root.
    """
    try:
        tasks = Path("/proc/loadavg").read_bytes().split()[3].partition(b"/")[2]
        return int(tasks) + _PROCESSES_MORE
    except (OSError, IndexError, ValueError):
        return resource.RLIM_INFINITY


def _reap(pidfd: int) -> tuple[int, int]:
    """Exit code and signal. The code is -1 when somebody else took them."""
    try:
        end = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        return -1, 0
    if end is None:
        return -1, 0
    return (end.si_status, 0) if end.si_code == os.CLD_EXITED else (0, end.si_status)
