"""One look at one service: its stopwatch, its deadline, and what it noticed on the way.

The look of the running task is in `CURRENT`, because some moments worth timing (a name resolved, a
socket made, a handshake begun) happen inside ssl, aiohttp and asyncio, which hand nothing through.
A Finding is what a probe function hands back; it decides nothing about votes.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchtower.core.conditions import Condition
from watchtower.core.model import Kind, Opinion
from watchtower.core.ports import Clock
from watchtower.core.text import clean

DOING: Final = {
    "resolve": "resolving the name",
    "connect": "connecting",
    "tls": "in the TLS handshake",
    "first_byte": "waiting for the answer",
    "transfer": "reading the answer",
    "login": "logging in",
    "query": "waiting for the result of the query",
    "run": "running the program",
}
"""Every phase of a look, in order, as people read it."""
_FACTS: Final = {
    "time.dns": "resolve",
    "time.connect": "connect",
    "time.tls": "tls",
    "time.first_byte": "first_byte",
    "time.transfer": "transfer",
    "time.login": "login",
    "time.query": "query",
}
"""Fact of a condition -> the phase whose time it is."""


class Shortfall(Struct, frozen=True):
    """Why a look is not good: the opinion it leads to, its kind, and a line for people."""

    opinion: Opinion
    kind: Kind
    text: str


class Finding(Struct, frozen=True, kw_only=True):
    """What one look found.

    `facts` are what conditions are judged on, `kept` the small ones that stay in the Result, `text`
    what is said when all is well. `failure` holds whatever is expected, `default` only when the
    service has no `expect`.
    """

    text: str
    facts: Mapping[str, Any] = {}
    kept: Mapping[str, float | str] = {}
    failure: Shortfall | None = None
    default: Shortfall | None = None


class Look:
    """The stopwatch of one look. Phases follow one another; a phase entered twice adds up."""

    def __init__(self, clock: Clock, deadline_boot: float, judged: tuple[Condition, ...] = ()) -> None:
        self._clock = clock
        self.judged = judged
        """The conditions that what is found will be judged by: who may stop early looks at them."""
        self.begun = clock.now()
        self.budget_s = max(deadline_boot - self.begun.boot, 0.0)
        self.phase = ""
        self.own_fault = ""
        """Set when this peer itself held the look up; then a timeout says nothing about the service."""
        self.is_lack_shared = True
        """False while what held this look up can hold up no other kind."""
        self.aside_s = 0.0
        """Time that did not go to the service: it counts for the deadline, and not as its answer's."""
        self.address = ""
        self.by_proxy = False
        """What is resolved and connected to is a proxy, and no part of the service."""
        self.ssl_object: ssl.SSLObject | None = None
        self.alpn: tuple[str, ...] = ("http/1.1",)
        """Protocols that the next handshake offers; strict mail servers refuse whoever offers HTTP."""
        self._sockets: list[socket.socket] = []
        self._since_boot = self.begun.boot
        self._spent_s: dict[str, float] = {}

    def enter(self, phase: str) -> float:
        """The current phase ends here and `phase` (a key of DOING, or "") begins; the boot time of that."""
        now_boot = self._clock.now().boot
        if self.phase:
            self._spent_s[self.phase] = self._spent_s.get(self.phase, 0.0) + now_boot - self._since_boot
        self.phase, self._since_boot = phase, now_boot
        return now_boot

    def stood(self, phase: str, began_boot: float, spent_s: Mapping[str, float]) -> None:
        """What another clock has measured since `began_boot`; from then on the look is in `phase`."""
        for name, spent in spent_s.items():
            self._spent_s[name] = self._spent_s.get(name, 0.0) + spent
        self.phase, self._since_boot = phase, began_boot + sum(spent_s.values())

    def hop(self) -> None:
        """A new connection begins; what was noticed of the one before is forgotten."""
        self.address, self.by_proxy, self.ssl_object, self._sockets = "", False, None, []

    def note_address(self, host: str, port: int) -> None:
        """The address that is looked at."""
        self.address = shown_address((host, port))

    def open_socket(self, family: int, kind: int, proto: int, address: tuple[Any, ...]) -> socket.socket:
        """A socket that is about to connect to `address`."""
        self.address = shown_address(address)
        made = socket.socket(family, kind, proto)
        self._sockets.append(made)
        return made

    def connected(self) -> None:
        """One of the sockets is connected: its address is the one that was looked at."""
        for made in self._sockets:
            try:
                self.address = shown_address(made.getpeername())
            except OSError:
                continue
        self._sockets = []

    @property
    def ip(self) -> str:
        """The address looked at, without its port; "" before a connection was tried."""
        return self.address.rpartition(":")[0].strip("[]")

    def elapsed_s(self) -> float:
        """Seconds since the look began, without those that did not go to the service."""
        return self._clock.now().boot - self.begun.boot - self.aside_s

    def left_s(self, now_boot: float | None = None) -> float:
        """Seconds until the deadline, from now or from `now_boot`; 0.0 when it has passed."""
        at_boot = self._clock.now().boot if now_boot is None else now_boot
        return max(self.begun.boot + self.budget_s - at_boot, 0.0)

    def phases_ms(self) -> dict[str, float]:
        """Milliseconds of every phase that has ended."""
        return {phase: round(spent * 1000, 3) for phase, spent in self._spent_s.items()}

    def times(self) -> dict[str, float]:
        """The `time` facts that conditions know, in seconds."""
        spent = {fact: self._spent_s[phase] for fact, phase in _FACTS.items() if phase in self._spent_s}
        return {"time": self.elapsed_s(), **spent}


CURRENT: Final[ContextVar[Look | None]] = ContextVar("watchtower_look", default=None)


@contextmanager
def aside(clock: Clock, budget_s: float) -> Iterator[Look]:
    """A look beside the one of the running task, with a stopwatch and a deadline of its own."""
    look = Look(clock, clock.now().boot + budget_s)
    token = CURRENT.set(look)
    try:
        yield look
    finally:
        CURRENT.reset(token)


def socket_of_look(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for one of several addresses that are tried in turn; the current look knows of it."""
    family, kind, proto, _, address = info
    look = CURRENT.get()
    if look is None:
        return socket.socket(family, kind, proto)
    return look.open_socket(family, kind, proto, address)


def shown_address(address: tuple[Any, ...]) -> str:
    """A socket address as people write it: `192.0.2.1:80`, `[2001:db8::1]:80`."""
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def json_facts(document: bytes | str) -> dict[str, Any]:
    """The `json` facts of what a service said: the document, or why there is none."""
    try:
        return {"json": msgspec.json.decode(document)}
    except (ValueError, RecursionError) as error:
        return {"json.error": clean(str(error))}


def milliseconds(seconds: float) -> str:
    """A duration as people read it: `81 ms`, `2.31 s`."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
