"""Which look may start now: bounds on all looks at a time and on those at one host, oldest first.

A host is what one address and port stand for, however many names lead there: a farm of virtual hosts is
not hammered. A look that waits for its host waits before it begins, and keeps nobody else waiting. What
hangs is no load: it gives its place at the host back after HOST_HELD_S, so that a dead host is found dead
within seconds. Pure; knows nothing of tasks, names and loops.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final

from watchtower.core.settings import EXTRA_SHARE
from watchtower.probes.pace.schedule import Due

HOST_HELD_S: Final = 1.0


class Admission:
    """Looks that wait, and places that are taken. Host "" has no bound of its own."""

    def __init__(self, bound: int, per_host: int) -> None:
        self.set_bounds(bound, per_host)
        self._extra, self._regular = _Line(), _Line()
        self._held: dict[str, set[int]] = {}
        self._given_back: deque[tuple[float, str, int]] = deque()

    def set_bounds(self, bound: int, per_host: int) -> None:
        """Take new bounds; what has begun goes on."""
        self._bound, self._per_host = bound, per_host

    @property
    def waiting(self) -> int:
        """How many looks wait."""
        return len(self._extra.names) + len(self._regular.names)

    def put(self, due: Due, host: str) -> bool:
        """Let a look wait for its turn; False when one of the same service waits already."""
        line = self._extra if due.is_extra else self._regular
        return line.put(due, host, has_room=self._has_room(host))

    def take(self, in_flight: int, now_boot: float) -> tuple[Due, str] | None:
        """The next look to start and its host, where it has its place from now on; None when none may."""
        self._give_back(now_boot)
        taken = self._extra.take(self._has_room) if in_flight < self._bound * EXTRA_SHARE else None
        if taken is None and in_flight < self._bound:
            taken = self._regular.take(self._has_room)
        if taken is None:
            return None
        due, host = taken
        if host:
            self._held.setdefault(host, set()).add(due.number)
            self._given_back.append((now_boot + HOST_HELD_S, host, due.number))
        self._open(host)
        return due, host

    def end(self, number: int, host: str) -> None:
        """The look with this number has ended, or will not happen after all."""
        self._release(number, host)

    def forget(self, names: set[str]) -> None:
        """These services are gone or changed: nothing waits for them any more."""
        self._extra.forget(names)
        self._regular.forget(names)

    def _give_back(self, now_boot: float) -> None:
        while self._given_back and self._given_back[0][0] <= now_boot:
            _, host, number = self._given_back.popleft()
            self._release(number, host)

    def _release(self, number: int, host: str) -> None:
        held = self._held.get(host)
        if held is None or number not in held:
            return
        held.discard(number)
        if not held:
            del self._held[host]
        self._open(host)

    def _open(self, host: str) -> None:
        if self._has_room(host):
            self._extra.open(host)
            self._regular.open(host)

    def _has_room(self, host: str) -> bool:
        return not host or len(self._held.get(host, ())) < self._per_host


class _Line:
    """Looks that wait, in a queue for each host; the heap holds the first of each host that has room."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._queues: dict[str, deque[Due]] = {}
        self._heads: list[tuple[Due, str]] = []
        self._open: set[str] = set()

    def put(self, due: Due, host: str, *, has_room: bool) -> bool:
        if due.name in self.names:
            return False
        self.names.add(due.name)
        self._queues.setdefault(host, deque()).append(due)
        if has_room:
            self.open(host)
        return True

    def open(self, host: str) -> None:
        """There is room at this host, or nothing to have room for."""
        queue = self._queues.get(host)
        if queue and host not in self._open:
            self._open.add(host)
            heapq.heappush(self._heads, (queue[0], host))

    def take(self, has_room: Callable[[str], bool]) -> tuple[Due, str] | None:
        while self._heads:
            due, host = heapq.heappop(self._heads)
            self._open.discard(host)
            queue = self._queues.get(host)
            if not queue or not has_room(host):
                continue
            if queue[0] is not due:  # a reload has taken away what stood here
                self.open(host)
                continue
            queue.popleft()
            if not queue:
                del self._queues[host]
            self.names.discard(due.name)
            return due, host
        return None

    def forget(self, names: set[str]) -> None:
        for host, queue in list(self._queues.items()):
            kept = deque(due for due in queue if due.name not in names)
            if kept:
                self._queues[host] = kept
            else:
                del self._queues[host]
        self.names -= names
