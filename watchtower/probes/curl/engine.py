"""libcurl on the running event loop: every HTTP request of this process goes through one Engine.

It moves bytes and says how a transfer ended; what is asked for is requests.py, what an end means is
errors.py. Handles are pooled, and wiped before each use. Sockets are watched by an epoll of our own
that the loop watches as one: a wake-up then serves every socket that is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import socket
from collections.abc import Iterable
from typing import Any, Final

import pycurl

from watchtower.probes.curl.intake import Intake

POOLED_MAX: Final = 256
"""Idle handles that are kept. How many are in use, who starts looks decides."""
CONNECTIONS_MAX: Final = 256
"""Idle connections of services with `connection: reuse`, for each authority file."""
_READABLE: Final = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
Option = tuple[int, Any]


class Easy(pycurl.Curl):
    """One handle, what it takes in, and who waits for its end."""

    intake: Intake
    done: asyncio.Future[tuple[int, str]] | None
    sockets: list[int]
    was_connected: bool
    """A transfer that was cut off had TCP already: libcurl tells only of those that it gives up itself."""

    def note_socket(self, fd: int, _purpose: int) -> int:
        """One more socket of this transfer. Called by libcurl."""
        self.sockets.append(fd)
        return pycurl.SOCKOPT_OK

    def is_connected(self) -> bool:
        """Whether TCP is connected on one of the sockets, before libcurl closes them."""
        for fd in self.sockets:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(fd)) as same:
                same.getpeername()
                return True
        return False


class Engine:
    """Transfers on the event loop that it was made in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._lanes: dict[str, _Lane] = {}
        self._of: dict[int, _Lane] = {}
        self._idle: list[Easy] = []
        self._loop.add_reader(self._epoll.fileno(), self._on_ready)

    def take(self, options: Iterable[Option]) -> Easy:
        """A handle with these options; `give_back` it."""
        if self._idle:
            easy = self._idle.pop()
        else:
            easy = Easy()
            easy.intake = Intake()
        easy.sockets, easy.was_connected = [], False
        setopt = easy.setopt
        setopt(pycurl.SOCKOPTFUNCTION, easy.note_socket)
        setopt(pycurl.WRITEFUNCTION, easy.intake.take_body)
        setopt(pycurl.HEADERFUNCTION, easy.intake.take_line)
        for option, value in options:
            setopt(option, value)
        return easy

    def give_back(self, easy: Easy) -> None:
        """The handle is no longer needed; whatever it was told, and has taken in, is forgotten."""
        if len(self._idle) < POOLED_MAX:
            easy.reset()
            easy.intake.clear()
            self._idle.append(easy)
        else:
            easy.close()

    async def run(self, easy: Easy, ca_file: str) -> tuple[int, str]:
        """Transfer. How it ended: libcurl's code and its words, 0 and "" when all went well.

        libcurl remembers one authority file for each multi handle: `ca_file` picks the handle, so that
        a bundle is not read anew for every look. Whoever is cancelled here leaves no transfer behind.
        """
        lane = self._lanes.get(ca_file)
        if lane is None:
            lane = self._lanes[ca_file] = self._new_lane()
        done: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        easy.done = done
        lane.multi.add_handle(easy)
        try:
            return await done
        finally:
            if easy.done is not None:  # cancelled, and not in the very moment of its end
                easy.done = None
                easy.was_connected = easy.is_connected()
                lane.multi.remove_handle(easy)

    def _new_lane(self) -> _Lane:
        try:
            return _Lane(self._loop, self._epoll, self._of)
        except pycurl.error as error:  # it wants descriptors of its own, and does not say that there are none
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error

    def close(self) -> None:
        """Drop every connection."""
        self._loop.remove_reader(self._epoll.fileno())
        for lane in self._lanes.values():
            lane.close()
        for easy in self._idle:
            easy.close()
        self._epoll.close()

    def _on_ready(self) -> None:
        served: dict[_Lane, None] = {}
        for fd, events in self._epoll.poll(0):
            lane = self._of.get(fd)
            if lane is not None:
                mask = (pycurl.CSELECT_IN if events & _READABLE else 0) | (
                    pycurl.CSELECT_OUT if events & select.EPOLLOUT else 0
                )
                lane.multi.socket_action(fd, mask)
                served[lane] = None
        for lane in served:
            lane.settle()


class _Lane:
    """One multi handle: its sockets in the shared epoll, and its one timer."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, epoll: select.epoll, lane_of: dict[int, _Lane]
    ) -> None:
        self._loop = loop
        self._epoll = epoll
        self._of = lane_of
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.Handle | None = None
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self.multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self.multi.setopt(pycurl.M_MAXCONNECTS, CONNECTIONS_MAX)

    def settle(self) -> None:
        """Tell those whose transfers have ended."""
        left = 1
        while left:
            left, good, bad = self.multi.info_read()
            for easy in good:
                self._end(easy, 0, "")
            for easy, code, words in bad:
                self._end(easy, code, words)

    def close(self) -> None:
        for call in (self._timer, self._soon):
            if call is not None:
                call.cancel()
        self.multi.close()

    def _end(self, easy: pycurl.Curl, code: int, words: str) -> None:
        assert isinstance(easy, Easy)  # noqa: S101 - nothing else is ever added
        self.multi.remove_handle(easy)
        done, easy.done = easy.done, None
        if done is not None and not done.done():
            done.set_result((code, words))

    def _on_socket(self, what: int, fd: int, _multi: object, _data: object) -> None:
        if what == pycurl.POLL_REMOVE:
            if self._of.pop(fd, None) is not None:
                with contextlib.suppress(OSError):  # it may be closed by now
                    self._epoll.unregister(fd)
            return
        events = (select.EPOLLIN if what & pycurl.POLL_IN else 0) | (
            select.EPOLLOUT if what & pycurl.POLL_OUT else 0
        )
        if fd in self._of:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
            self._of[fd] = self

    def _on_timer(self, in_ms: int) -> None:
        """Call libcurl when it says. A call that comes too early does no harm, so none is ever put off."""
        if in_ms == 0:
            if self._soon is None:
                self._soon = self._loop.call_soon(self._call)
        elif in_ms > 0:
            at = self._loop.time() + in_ms / 1000
            if self._timer is None or self._timer.when() > at:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(at, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._act()

    def _call(self) -> None:
        self._soon = None
        self._act()

    def _act(self) -> None:
        self.multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self.settle()
