"""ICMP echoes of a whole process: one socket for each family, and which answer belongs to which look.

Tries the unprivileged kind of socket first (`ping_group_range`), then a raw one (CAP_NET_RAW); whoever
has neither may not ping, which is a matter of settings and never a service's fault. An answer counts when
sequence, random data and sender fit. Decides nothing about services.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
import socket
import struct
from typing import Any, Final, Self

from msgspec import Struct

from watchtower.core.ports import Clock

PERMISSION: Final = (
    "set `sysctl -w net.ipv4.ping_group_range='0 2147483647'`, or give the process CAP_NET_RAW "
    "(systemd: AmbientCapabilities=CAP_NET_RAW)"
)
"""What to change where pinging is not permitted; it goes for both families."""

_TOKEN_BYTES: Final = 8
_AT_ONCE: Final = 64
"""Datagrams read in one go, so that a flood does not hold up the loop."""
_DATAGRAM_BYTES: Final = 2_048
_NO_PERMISSION: Final = (errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT)
_UNREACHABLE: Final = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
# linux/icmp.h and linux/icmpv6.h; a set bit of a filter holds that type back.
_ICMP_FILTER: Final = (255, 1, struct.pack("=I", ~(1 << 0 | 1 << 3 | 1 << 11) & 0xFFFFFFFF))
_ICMP6_TYPES: Final = (1, 3, 129)
_ICMP6_FILTER: Final = (
    socket.IPPROTO_ICMPV6,
    1,
    struct.pack(
        "=8I",
        *(~sum(1 << kind % 32 for kind in _ICMP6_TYPES if kind // 32 == n) & 0xFFFFFFFF for n in range(8)),
    ),
)
_IP_RECVERR, _IPV6_RECVERR = 11, 25


class Answer(Struct, frozen=True, kw_only=True):
    """An echo that came back: from where, how long after it was sent, and how many were sent by then."""

    ip: str
    round_trip_s: float
    sent: int


class NotPermittedError(Exception):
    """This process may not ping. PERMISSION says what to change."""


class _Family(Struct, frozen=True, kw_only=True):
    """What is different between ICMP and ICMPv6."""

    protocol: int
    request: int
    reply: int
    unreachable: tuple[int, ...]
    filter: tuple[int, int, bytes]
    error_option: tuple[int, int]
    ip_header_bytes: int


_FAMILIES: Final = {
    int(socket.AF_INET): _Family(
        protocol=socket.IPPROTO_ICMP,
        request=8,
        reply=0,
        unreachable=(3, 11),
        filter=_ICMP_FILTER,
        error_option=(socket.IPPROTO_IP, _IP_RECVERR),
        ip_header_bytes=20,
    ),
    int(socket.AF_INET6): _Family(
        protocol=socket.IPPROTO_ICMPV6,
        request=128,
        reply=129,
        unreachable=(1, 3),
        filter=_ICMP6_FILTER,
        error_option=(socket.IPPROTO_IPV6, _IPV6_RECVERR),
        ip_header_bytes=40,
    ),
}


def open_socket(family: int) -> socket.socket:
    """A socket to ping with. Raises NotPermittedError, and OSError when the family is not there."""
    about = _FAMILIES[family]
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            made = socket.socket(family, kind | socket.SOCK_NONBLOCK, about.protocol)
        except OSError as error:
            if error.errno in _NO_PERMISSION:
                continue
            raise
        option = about.error_option if kind == socket.SOCK_DGRAM else None
        made.setsockopt(*(about.filter if option is None else (*option, 1)))
        return made
    raise NotPermittedError


def may_ping() -> bool:
    """Whether this process has a way to ping over IPv4, found by opening a socket for a moment."""
    try:
        open_socket(socket.AF_INET).close()
    except NotPermittedError:
        return False
    except OSError:
        return True  # a fault of the moment, which every look tells in its own words
    return True


class Echoes:
    """Echoes in flight, over one socket for each family, opened when first needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._doors: dict[int, _Door] = {}

    def flight(self, size: int) -> Flight:
        """A new question, for `with`; `size` bytes of data go out in each echo."""
        return Flight(self, size)

    def door(self, family: int) -> _Door:
        """The one socket of this family. Raises like open_socket."""
        if family not in self._doors:
            self._doors[family] = _Door(family, self._clock)
        return self._doors[family]

    def now_boot(self) -> float:
        """The clock's boot time."""
        return self._clock.now().boot

    def close(self) -> None:
        """Close the sockets."""
        for door in self._doors.values():
            door.close()
        self._doors.clear()


class Flight:
    """All echoes of one look; the first answer to any of them settles it."""

    def __init__(self, echoes: Echoes, size: int) -> None:
        self._echoes = echoes
        self.token = secrets.token_bytes(_TOKEN_BYTES)
        self._data = self.token + bytes(size - _TOKEN_BYTES)
        self._sent: list[tuple[_Door, int]] = []
        self._settled: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        for door, sequence in self._sent:
            door.forget(sequence)
        if not self._settled.cancel():
            self._settled.exception()  # a router's word that came too late is no surprise to asyncio

    @property
    def sent(self) -> int:
        """How many echoes have gone out."""
        return len(self._sent)

    def send(self, family: int, address: tuple[Any, ...]) -> None:
        """Send one echo. Raises OSError when it cannot leave, NotPermittedError."""
        door = self._echoes.door(family)
        if self._settled.done():
            self._settled = asyncio.get_running_loop().create_future()
        waiting = _Waiting(flight=self, ip=_bare(address[0]), sent_boot=self._echoes.now_boot())
        self._sent.append((door, door.send(waiting, self._data, address)))

    async def answer(self, within_s: float) -> Answer | None:
        """The answer, or None after `within_s`. Raises OSError when somebody says it cannot arrive."""
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(self._settled)
        except TimeoutError:
            return None

    def settle(self, answer: Answer | OSError) -> None:
        """Called when an echo came back, or a router sent word that it cannot arrive."""
        if self._settled.done():
            return
        if isinstance(answer, OSError):
            self._settled.set_exception(answer)
        else:
            self._settled.set_result(answer)


class _Waiting(Struct, frozen=True, kw_only=True):
    """One echo whose answer is awaited."""

    flight: Flight
    ip: str
    sent_boot: float


class _Door:
    """One socket, read by a callback of the loop, and the sequence numbers that are out on it."""

    def __init__(self, family: int, clock: Clock) -> None:
        self._about = _FAMILIES[family]
        self._clock = clock
        self._socket = open_socket(family)
        self._is_raw = self._socket.type == socket.SOCK_RAW
        self._has_ip_header = self._is_raw and family == socket.AF_INET
        self._ident = secrets.randbits(16)
        self._sequence = secrets.randbits(16)
        self._waiting: dict[int, _Waiting] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._on_readable)

    def send(self, waiting: _Waiting, data: bytes, address: tuple[Any, ...]) -> int:
        """Send an echo; its sequence number. Raises OSError."""
        if len(self._waiting) > 0xFFFF // 2:
            raise OSError(errno.ENOBUFS, "too many echoes in flight")
        while (sequence := self._sequence) in self._waiting:
            self._sequence = (self._sequence + 1) & 0xFFFF
        self._sequence = (sequence + 1) & 0xFFFF
        self._send_away(_packet(self._about.request, self._ident, sequence, data), address)
        self._waiting[sequence] = waiting
        return sequence

    def _send_away(self, packet: bytes, address: tuple[Any, ...]) -> None:
        # An error that belongs to an echo before this one is told to whoever sends next, once.
        for is_last in (False, False, True):
            try:
                self._socket.sendto(packet, address)
            except BlockingIOError:
                raise OSError(errno.ENOBUFS, "the socket's buffer is full") from None
            except OSError as error:
                if is_last or error.errno not in _UNREACHABLE:
                    raise
                self._read_errors()
            else:
                return

    def forget(self, sequence: int) -> None:
        """Nobody waits for this echo any more."""
        self._waiting.pop(sequence, None)

    def close(self) -> None:
        """Stop reading and close the socket."""
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _on_readable(self) -> None:
        now_boot = self._clock.now().boot
        for _ in range(_AT_ONCE):
            try:
                packet, sender = self._socket.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                break
            except OSError:
                break  # the error queue says whose it was
            self._take(self._without_ip_header(packet), _bare(sender[0]), now_boot)
        self._read_errors()

    def _without_ip_header(self, packet: bytes) -> bytes:
        return packet[(packet[0] & 15) * 4 :] if self._has_ip_header and packet else packet

    def _take(self, packet: bytes, sender: str, now_boot: float) -> None:
        if len(packet) < 8:
            return
        kind, _, _, ident, sequence = struct.unpack_from("!BBHHH", packet)
        if self._is_raw and kind in self._about.unreachable:
            self._refused(self._inner(packet[8:]), errno.EHOSTUNREACH)
            return
        waiting = self._waiting.get(sequence)
        if waiting is None or kind != self._about.reply or (self._is_raw and ident != self._ident):
            return
        if waiting.ip == sender and packet[8 : 8 + _TOKEN_BYTES] == waiting.flight.token:
            took_s = max(now_boot - waiting.sent_boot, 0.0)
            waiting.flight.settle(Answer(ip=sender, round_trip_s=took_s, sent=waiting.flight.sent))

    def _inner(self, packet: bytes) -> bytes:
        """The echo that a router quotes, without its IP header."""
        length = (packet[0] & 15) * 4 if self._has_ip_header and packet else self._about.ip_header_bytes
        return packet[length:]

    def _refused(self, echo: bytes, number: int) -> None:
        """A router, or our own kernel, says that `echo` cannot arrive."""
        if len(echo) < 8 or echo[0] != self._about.request:
            return
        _, _, _, ident, sequence = struct.unpack_from("!BBHHH", echo)
        waiting = self._waiting.get(sequence)
        if waiting is not None and (not self._is_raw or ident == self._ident):
            waiting.flight.settle(OSError(number, "unreachable"))

    def _read_errors(self) -> None:
        """What the kernel keeps for an unprivileged socket, where others' errors are not shown."""
        if self._is_raw:
            return
        for _ in range(_AT_ONCE):
            with contextlib.suppress(OSError):
                echo, extra, _, _ = self._socket.recvmsg(_DATAGRAM_BYTES, 512, socket.MSG_ERRQUEUE)
                for _, kind, data in extra:
                    if kind == self._about.error_option[1] and len(data) >= 4:
                        self._refused(echo, struct.unpack_from("=I", data)[0])
                continue
            return


def _bare(address: str) -> str:
    return str(address).partition("%")[0]


def _packet(kind: int, ident: int, sequence: int, data: bytes) -> bytes:
    head = struct.pack("!BBHHH", kind, 0, 0, ident, sequence)
    return struct.pack("!BBHHH", kind, 0, _checksum(head + data), ident, sequence) + data


def _checksum(packet: bytes) -> int:
    """RFC 1071. ICMPv6 and unprivileged sockets compute theirs themselves and overwrite it."""
    even = packet + b"\0" * (len(packet) % 2)
    total: int = sum(struct.unpack(f"!{len(even) // 2}H", even))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
