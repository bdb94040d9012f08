"""What a look costs, in counts: sockets, tasks, waits, timers, names asked, answers read. Never in time.

The targets live in threads of their own, and only what the probing thread does is counted, from the second
look on. A count that grows is a cost that every look of every peer pays, some hundred times a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import dns.message
import dns.rrset
import pytest
from cryptography import x509
from support.core_support import service
from support.targets import Authority

from watchtower.clock import SystemClock
from watchtower.core.model import Opinion
from watchtower.core.targets import DnsTarget, Target, TcpTarget, TlsTarget
from watchtower.probes.prober import Prober

LOOKS = 10


@contextlib.contextmanager
def served(kind: int, serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A socket of loopback that `serve` serves in a thread until it is shut; its port."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        if kind == socket.SOCK_STREAM:
            server.shutdown(socket.SHUT_RDWR)
        else:
            server.sendto(b"", server.getsockname())
        thread.join(5)


def answer(server: socket.socket) -> None:
    """Every question with the same address."""
    while True:
        question, asker = server.recvfrom(4096)
        if not question:
            return
        made = dns.message.make_response(dns.message.from_wire(question))
        made.answer.append(dns.rrset.from_text(made.question[0].name, 60, "IN", "A", "192.0.2.1"))
        server.sendto(made.to_wire(), asker)


def accept(server: socket.socket) -> None:
    """Whoever comes, and hang up."""
    with contextlib.suppress(OSError):
        while True:
            server.accept()[0].close()


def shake(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """Hands with whoever comes."""

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection = server.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(1)

    return serve


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts, by name, what this thread does from now on."""
    found: Counter[str] = Counter()
    here = threading.get_ident()

    def count(owner: Any, name: str, what: str) -> None:
        true = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            found[what] += threading.get_ident() == here
            return true(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)

    count(socket.socket, "__init__", "sockets")
    count(socket, "getaddrinfo", "names")
    count(selectors.EpollSelector, "register", "waits")
    count(asyncio.SelectorEventLoop, "call_at", "timers")
    count(asyncio.SelectorEventLoop, "create_task", "tasks")
    count(dns.message, "from_wire", "answers read")
    count(dns.message, "make_query", "questions written")
    count(x509, "load_der_x509_certificate", "certificates read")
    return found


def look_often(target: Target, counts: Counter[str]) -> dict[str, float]:
    """What each look but the first costs."""

    async def run() -> None:
        clock = SystemClock()
        prober, looked_at = Prober(clock, "a", lambda _peer: True), service("web", target, timeout_s=5.0)
        for number in range(LOOKS + 1):
            if number == 1:
                counts.clear()
            result = await prober.probe(looked_at, clock.now().boot + looked_at.timeout_s)
            assert result.opinion is Opinion.UP, result.text
        each.update({name: count / LOOKS for name, count in counts.items() if count})
        await prober.close()

    each: dict[str, float] = {}
    asyncio.run(run())
    return each


def test_a_tcp_look(counts: Counter[str]) -> None:
    """One socket, one wait for it, and the deadline."""
    with served(socket.SOCK_STREAM, accept) as port:
        each = look_often(TcpTarget(host="127.0.0.1", port=port), counts)
    assert each == {"sockets": 1, "waits": 1, "timers": 1}


def test_a_dns_look(counts: Counter[str]) -> None:
    """One socket, one wait, the deadline and the time for one try; what was read once is not read again."""
    with served(socket.SOCK_DGRAM, answer) as port:
        target = DnsTarget(name="www.example", servers=(f"127.0.0.1:{port}",))
        each = look_often(target, counts)
    assert each == {"sockets": 1, "waits": 1, "timers": 2}


def test_a_tls_look(authority: Authority, counts: Counter[str]) -> None:
    """One socket, a wait for the connection, one or two for what the server sends; no certificate is read."""
    with served(socket.SOCK_STREAM, shake(authority.context("127.0.0.1"))) as port:
        each = look_often(TlsTarget(host="127.0.0.1", port=port), counts)
    assert each.pop("waits") <= 3, "the server may send its part in two pieces"
    assert each == {"sockets": 1, "timers": 1}
