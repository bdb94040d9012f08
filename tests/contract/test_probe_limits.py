"""What this peer itself lacks is never blamed on a service: descriptors, resolver threads, ports."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.core_support import service
from support.rpc_servers import OK_HEAD, SERVING, answering, data, head
from support.targets import Authority, HttpServer, Listener, hang, http
from websockets.asyncio.server import ServerConnection, serve

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import GrpcTarget, HttpTarget, IcmpTarget, Target, TcpTarget, WsTarget
from watchtower.probes.prober import Prober
from watchtower.probes.wires.resolver import THREADS


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, hard))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", ["http", "https", "tcp", "icmp", "ws", "grpc"])
def test_no_descriptors_left(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a free descriptor a look is inconclusive; with one again it is up, TLS trust included."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))

    async def run() -> tuple[Result, Result]:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        async with (
            HttpServer({"/": http(200)}) as server,
            HttpServer({"/": http(200)}, authority.context("localhost")) as secure,
            serve(quiet, "127.0.0.1", 0) as feed,
            Listener(answering(head(*OK_HEAD), data(SERVING), head(("grpc-status", "0"), ends=True))) as cart,
        ):
            feed_port = next(iter(feed.sockets)).getsockname()[1]
            targets: dict[str, Target] = {
                "http": HttpTarget(url=server.url()),
                "tcp": TcpTarget(host="127.0.0.1", port=server.port),
                "icmp": IcmpTarget(host="127.0.0.1"),
                "https": HttpTarget(url=secure.url(host="localhost")),
                "ws": WsTarget(url=f"ws://127.0.0.1:{feed_port}/"),
                "grpc": GrpcTarget(host="127.0.0.1", port=cart.port),
            }
            looked_at = service("web", targets[kind])
            with no_descriptors():
                without = await prober.probe(looked_at, clock.now().boot + 1.0)
            with_some = await prober.probe(looked_at, clock.now().boot + 1.0)
        await prober.close()
        return without, with_some

    without, with_some = asyncio.run(run())
    assert (without.opinion, without.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
    assert without.text == "this peer has no free file descriptor"
    assert with_some.opinion is Opinion.UP, with_some.text


async def quiet(socket: ServerConnection) -> None:
    """Says nothing; the library answers pings."""
    await socket.wait_closed()


def test_all_resolver_threads_hang() -> None:
    """When every thread waits for a dead name server, the next name is our trouble and not the service's."""

    async def run() -> Result:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        gate = threading.Event()
        for _ in range(THREADS):
            prober._tools.resolver._threads.submit(gate.wait)
        try:
            async with Listener(hang) as server:
                looked_at = service("web", TcpTarget(host="localhost", port=server.port))
                return await prober.probe(looked_at, clock.now().boot + 0.3)
        finally:
            gate.set()
            await prober.close()

    found = asyncio.run(run())
    assert (found.opinion, found.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
    assert found.text == f"all {THREADS} resolver threads of this peer are busy"


def test_one_hanging_name_is_that_names_trouble() -> None:
    """A lookup that had a thread and got no answer is a timeout of the service, while resolving."""

    async def run() -> Result:
        clock = SystemClock()
        prober = Prober(clock, "a", lambda _peer: True)
        gate = threading.Event()
        resolver = prober._tools.resolver
        submit = resolver._threads.submit
        # A name server that does not answer, as seen from here: the thread hangs.
        resolver._threads.submit = lambda *_args: submit(gate.wait)  # type: ignore[method-assign,assignment] # see above
        try:
            looked_at = service("web", TcpTarget(host="hangs.example", port=1))
            return await prober.probe(looked_at, clock.now().boot + 0.3)
        finally:
            gate.set()
            await prober.close()

    found = asyncio.run(run())
    assert (found.opinion, found.kind) == (Opinion.DOWN, Kind.TIMEOUT)
    assert found.text == "timeout after 0.3 s while resolving the name"
