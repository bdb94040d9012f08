"""Network namespaces for tests: one per peer, joined by a bridge, with the test process as their outside.

Needs root and a kernel that allows namespaces; where the kernel forbids them the test is skipped with
that reason. Links are cut one way or both, silently, as a broken wire or a firewall does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from support.cluster_support import Cluster, Target, free_ports

FORBIDDEN = ("Operation not permitted", "not supported", "Permission denied", "Unknown device type")
_NUMBERS = itertools.count()


class Networks:
    """A namespace per name, all on one bridge whose own address is `gateway`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        number = next(_NUMBERS)
        self._tag = f"wt{os.getpid() % 10_000}{number}"
        self._names = names
        # A net of its own per process and use, so that tests may run side by side.
        net = f"10.{64 + os.getpid() % 64}.{number % 256}"
        self.gateway = f"{net}.1"
        self.address = {name: f"{net}.{11 + n}" for n, name in enumerate(names)}
        self._forwards: list[Forward] = []
        self._cuts: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        self.__exit__(None, None, None)
        if refusal := self._try("link", "add", self._tag, "type", "bridge"):
            _skip_if_forbidden(refusal)
            raise RuntimeError(refusal)
        self._ip("addr", "add", f"{self.gateway}/24", "dev", self._tag)
        self._ip("link", "set", self._tag, "up")
        for name in self._names:
            self._add(name)
        return self

    def _add(self, name: str) -> None:
        space, near = self.space(name), f"{self._tag}{name}"
        if refusal := self._try("netns", "add", space):
            self.__exit__(None, None, None)
            _skip_if_forbidden(refusal)
            raise RuntimeError(refusal)
        self._ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._ip("link", "set", near, "master", self._tag, "up")
        self._ip("-n", space, "addr", "add", f"{self.address[name]}/24", "dev", "eth0")
        self._ip("-n", space, "link", "set", "eth0", "up")
        self._ip("-n", space, "link", "set", "lo", "up")
        # What is cut must be looked up before the addresses of this host, which are first by default.
        self._ip("-n", space, "rule", "add", "pref", "100", "lookup", "local")
        self._ip("-n", space, "rule", "del", "pref", "0")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for forward in self._forwards:
            forward.close()
        self._forwards.clear()
        self._cuts.clear()
        for name in self._names:
            self._try("netns", "del", self.space(name))
        self._try("link", "del", self._tag)

    def space(self, name: str) -> str:
        """The namespace's name as `ip netns` knows it."""
        return f"{self._tag}-{name}"

    def prefix(self) -> dict[str, list[str]]:
        """What stands before the command of each name to run it in its namespace."""
        return {name: ["ip", "netns", "exec", self.space(name)] for name in self._names}

    def outside(self, _folder: Path) -> Target:
        """An HTTP target on the gateway's address."""
        return Target(host=self.gateway)

    def forward(self, port: int) -> int:
        """A port on the gateway that leads to `port` on loopback."""
        forward = Forward(self.gateway, port)
        self._forwards.append(forward)
        return forward.port

    def cluster(self, folder: Path, *, services: str, notify: str, reference: str) -> Cluster:
        """Three peers, each in its own namespace."""
        return Cluster(
            folder,
            services=services,
            notify=notify,
            cluster_extra=f"reference: ['{reference}']",
            hosts=self.address,
            prefix=self.prefix(),
        )

    def cut_egress(self, name: str) -> None:
        """The named one reaches the other peers, and nothing on the gateway, from now on."""
        self._ip("-n", self.space(name), "route", "add", "blackhole", f"{self.gateway}/32")

    def cut(self, sender: str, receiver: str) -> None:
        """What `sender` sends to `receiver` vanishes from now on, silently, on open connections too."""
        self._cuts.append((sender, receiver))
        self._rule("add", sender, receiver)

    def isolate(self, name: str) -> None:
        """Cut `name` off from all the others, both ways; the gateway stays reachable."""
        for other in self._names:
            if other != name:
                self.cut(name, other)
                self.cut(other, name)

    def mend(self) -> None:
        """End every cut."""
        while self._cuts:
            self._rule("del", *self._cuts.pop())

    def reroute(self, name: str, to: str, device: str) -> None:
        """Move a device into the namespace of `name` and send what goes to `to` by way of it."""
        space = self.space(name)
        self._ip("link", "set", device, "netns", space)
        self._ip("-n", space, "link", "set", device, "up")
        way = (f"{self.address[to]}/32", "dev", device, "src", self.address[name])
        self._ip("-n", space, "route", "add", *way)

    def _rule(self, verb: str, sender: str, receiver: str) -> None:
        source = ("from", self.address[sender], "iif", "eth0", "blackhole")
        self._ip("-n", self.space(receiver), "rule", verb, "pref", "10", *source)

    def _ip(self, *arguments: str) -> None:
        if refusal := self._try(*arguments):
            raise RuntimeError(refusal)

    def _try(self, *arguments: str) -> str:
        """Why `ip` refused, in its words; "" when it did not."""
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        return f"ip {' '.join(arguments)}: {done.stderr.strip()}" if done.returncode else ""


def _skip_if_forbidden(refusal: str) -> None:
    """What the kernel does not allow or does not have is no failure of a test."""
    if any(words in refusal for words in FORBIDDEN):
        pytest.skip(f"the kernel forbids network namespaces: {refusal}")


class Forward:
    """Copies bytes between a port on an address and one on loopback."""

    def __init__(self, host: str, to_port: int) -> None:
        self.port = free_ports(1)[0]
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.start_server(self._pass_on, host, self.port)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(5)

    def close(self) -> None:
        """Stop listening."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


if sys.platform != "linux":
    raise ImportError("network namespaces are a Linux thing")
