"""A slow wire between two namespaces: packets go by way of this process, which holds them back.

Works where the kernel has no netem: each end is a TUN device with a route to the other peer's address, so
open connections slow down as they are. Packets keep their order, as on most wires, and nothing is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import selectors
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from support.networks import Networks

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x0001 | 0x1000
_PACKET_BYTES_MAX = 65_536
_LOOK_EVERY_S = 0.002


class SlowLink:
    """Within `with`, every packet between two names takes `delay_s`, give or take `jitter_s`."""

    def __init__(self, networks: Networks, one: str, other: str, delay_s: float, jitter_s: float) -> None:
        self._networks = networks
        self._ends = (one, other)
        self._delay_s, self._jitter_s = delay_s, jitter_s
        self._dice = random.Random(7)  # noqa: S311 - a repeatable jitter
        self._descriptors: list[int] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        for near, far in (self._ends, self._ends[::-1]):
            device = f"slow{far}"
            descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            self._descriptors.append(descriptor)
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH", device.encode(), _IFF_TUN_NO_PI))
            self._networks.reroute(near, far, device)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(5)
        # A device ends with its descriptor, and its route with the device.
        for descriptor in self._descriptors:
            os.close(descriptor)

    def _carry(self) -> None:
        near, far = self._descriptors
        opposite = {near: far, far: near}
        held: dict[int, deque[tuple[float, bytes]]] = {near: deque(), far: deque()}
        with selectors.DefaultSelector() as selector:
            for descriptor in opposite:
                selector.register(descriptor, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _ in selector.select(_LOOK_EVERY_S if any(held.values()) else 0.1):
                    self._take(key.fd, held[opposite[key.fd]])
                for descriptor, packets in held.items():
                    self._pass_on(descriptor, packets)

    def _take(self, descriptor: int, packets: deque[tuple[float, bytes]]) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(descriptor, _PACKET_BYTES_MAX)
                delay_s = self._delay_s + self._dice.uniform(-self._jitter_s, self._jitter_s)
                packets.append((time.monotonic() + delay_s, packet))

    @staticmethod
    def _pass_on(descriptor: int, packets: deque[tuple[float, bytes]]) -> None:
        while packets and packets[0][0] <= time.monotonic():
            # A peer that stops takes its end of the wire down for a moment.
            with contextlib.suppress(OSError):
                os.write(descriptor, packets[0][1])
            packets.popleft()
