"""Virtual time: one asyncio loop per peer process, all stepped by one Timeline in one thread.

A loop here has no selector, no socket and no sleep: it is a queue of callbacks and a heap of timers on its
host's clock. The Timeline jumps to whatever is due next, in any loop or in the world outside, so equal
worlds run equally. A paused loop is left out, a dead one does nothing any more.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from itertools import count
from typing import Any, Final

from simulation.clocks import HostClock

NEVER: Final = float("inf")
_STEPS_MAX: Final = 1_000_000
"""So many callbacks at one instant mean that two of them call each other for ever."""
_BURIAL_ROUNDS: Final = 50


class Handle:
    """A callback that may be cancelled before its turn."""

    __slots__ = ("_when", "args", "callback", "context", "is_cancelled")

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context | None, when: float = 0.0
    ) -> None:
        self.callback, self.args, self._when = callback, args, when
        self.context = context if context is not None else copy_context()
        self.is_cancelled = False

    def cancel(self) -> None:
        """Forget the callback."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """True when it will not be called."""
        return self.is_cancelled

    def when(self) -> float:
        """The loop's time at which it is due."""
        return self._when


class PeerLoop(asyncio.AbstractEventLoop):
    """The application loop of one process. `failures` are exceptions that nobody caught."""

    def __init__(self, clock: HostClock) -> None:
        self._clock = clock
        self._queue: deque[Handle] = deque()
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = count()
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self.is_paused = False
        self.is_dead = False
        self.failures: list[str] = []

    # ---- what the Timeline asks

    def due(self, now: float) -> float:
        """The true time of the next thing to do here."""
        if self.is_paused:
            return NEVER
        if self._queue:
            return now
        timers = self._timers
        while timers and timers[0][2].is_cancelled:
            heapq.heappop(timers)
        return self._clock.true_of(timers[0][0]) if timers else NEVER

    def run_due(self) -> None:
        """Everything that is due at this instant, and whatever that causes at once."""
        events._set_running_loop(self)
        try:
            self._drain()
        finally:
            events._set_running_loop(None)

    def _drain(self) -> None:
        timers, queue = self._timers, self._queue
        # A timer is due from a nanosecond before its time: mapping clocks to one another costs a few bits.
        boot = self._clock.boot() + 1e-9
        while timers and timers[0][0] <= boot:
            queue.append(heapq.heappop(timers)[2])
        steps = 0
        while queue:
            handle = queue.popleft()
            if not handle.is_cancelled:
                handle.context.run(handle.callback, *handle.args)
            steps += 1
            if steps > _STEPS_MAX:
                raise RuntimeError(f"no end of callbacks: {handle.callback!r}")

    @property
    def load(self) -> tuple[int, int]:
        """How many timers and tasks there are."""
        return sum(not timer.is_cancelled for _, _, timer in self._timers), len(self._tasks)

    def bury(self) -> None:
        """The process has died: end its tasks without letting them do or leave anything."""
        self.is_dead, self.is_paused = True, False
        for _ in range(_BURIAL_ROUNDS):
            self._timers.clear()
            for task in tuple(self._tasks):
                task.cancel()
            self.run_due()
            if not self._tasks:
                return
        raise RuntimeError(f"tasks that do not end: {list(self._tasks)}")

    # ---- what asyncio asks

    def time(self) -> float:
        """The host's boot clock: an operating system offers no other one that goes on while it is paused."""
        return self._clock.boot()

    def call_soon(  # type: ignore[override] # a handle of our own does for every caller
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call it at this instant, after what is queued already."""
        handle = Handle(callback, args, context)
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment] # there is one thread

    def call_later(  # type: ignore[override] # as above
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call it `delay` seconds of this host's clock later."""
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override] # as above
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> Handle:
        """Call it when this host's clock shows `when`."""
        handle = Handle(callback, args, context, when)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override] # the generic signature adds nothing here
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        """A task of this loop, remembered until it ends."""
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if self.is_dead and not task.cancelled():
            task.exception()  # whatever it says now, nobody is there to hear it

    def run_in_executor(  # type: ignore[override] # the work is done by the time this returns
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run it now: a thread of its own would only make the order of things depend on luck."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, as an executor does
            future.set_exception(error)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Remember what nobody caught."""
        if not self.is_dead:
            self.failures.append(f"{context.get('message')}: {context.get('exception')!r}")

    def get_debug(self) -> bool:
        """Never: it would only cost time."""
        return False

    def is_running(self) -> bool:
        """Always, as far as anybody in it can see."""
        return True

    def is_closed(self) -> bool:
        """Never: what still asks a dead loop is let down gently."""
        return False


class Timeline:
    """True time and what happens when: the world's own events, and the loops of the living processes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.loops: list[PeerLoop] = []
        self._events: list[tuple[float, int, Callable[..., Any], tuple[Any, ...]]] = []
        self._numbers = count()
        self.steps = 0

    def at(self, when: float, call: Callable[..., Any], *args: Any) -> None:
        """Let `call` happen in the world at `when`, not before now."""
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), call, args))

    def after(self, delay_s: float, call: Callable[..., Any], *args: Any) -> None:
        """Let `call` happen `delay_s` later."""
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), call, args))

    def run(self, until: float) -> None:
        """Go on until `until`, or until nothing is left to happen at all."""
        while self._step(until):
            self.steps += 1
        self.now = max(self.now, until)

    @property
    def is_idle(self) -> bool:
        """True when nothing will ever happen again."""
        return not self._events and all(loop.due(self.now) == NEVER for loop in self.loops)

    def _step(self, until: float) -> bool:
        when, whose = self._events[0][0] if self._events else NEVER, None
        for loop in self.loops:
            due = loop.due(self.now)
            if due < when:
                when, whose = due, loop
        if when > until or when == NEVER:
            return False
        self.now = max(self.now, when)
        if whose is not None:
            whose.run_due()
        else:
            _, _, call, args = heapq.heappop(self._events)
            call(*args)
        return True
