"""Network namespaces for tests: one per peer, joined by a bridge, with the test process as their outside.

Needs root and a kernel that allows namespaces; where the kernel forbids them the failure says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.cluster_support import Cluster, Target, free_ports


class Networks:
    """A namespace per name, all on one bridge whose own address is `gateway`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._tag = f"wt{os.getpid() % 10_000}"
        self._names = names
        self.gateway = "10.77.0.1"
        self.address = {name: f"10.77.0.{11 + n}" for n, name in enumerate(names)}
        self._forwards: list[Forward] = []

    def __enter__(self) -> Self:
        self.__exit__(None, None, None)
        self._ip("link", "add", self._tag, "type", "bridge")
        self._ip("addr", "add", f"{self.gateway}/24", "dev", self._tag)
        self._ip("link", "set", self._tag, "up")
        for name in self._names:
            space, near = self.space(name), f"{self._tag}{name}"
            self._ip("netns", "add", space)
            self._ip("link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", space)
            self._ip("link", "set", near, "master", self._tag, "up")
            self._ip("-n", space, "addr", "add", f"{self.address[name]}/24", "dev", "eth0")
            self._ip("-n", space, "link", "set", "eth0", "up")
            self._ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for forward in self._forwards:
            forward.close()
        for name in self._names:
            self._ip("netns", "del", self.space(name), check=False)
        self._ip("link", "del", self._tag, check=False)

    def space(self, name: str) -> str:
        """The namespace's name as `ip netns` knows it."""
        return f"{self._tag}-{name}"

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
            prefix={name: ["ip", "netns", "exec", self.space(name)] for name in self._names},
        )

    def cut_egress(self, name: str) -> None:
        """The named one reaches the other peers, and nothing on the gateway, from now on."""
        self._ip("-n", self.space(name), "route", "add", "blackhole", f"{self.gateway}/32")

    def _ip(self, *arguments: str, check: bool = True) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


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
