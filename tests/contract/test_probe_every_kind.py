"""What every kind that connects has in common: nobody listens or accepts, no such name, silence, a reset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import pytest
from support.looking import look, look_at_all
from support.targets import Handler, Listener, closed_port, full_backlog, hang, hang_up, reset

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import (
    AmqpTarget,
    GrpcTarget,
    HttpTarget,
    ImapTarget,
    MysqlTarget,
    PostgresTarget,
    RedisTarget,
    SmtpTarget,
    SshTarget,
    Target,
    TcpTarget,
    TlsTarget,
    WsTarget,
)
from watchtower.probes.kinds import http

TARGETS: Final[dict[str, Callable[[str, int], Target]]] = {
    "http": lambda host, port: HttpTarget(url=f"http://{host}:{port}/"),
    "https": lambda host, port: HttpTarget(url=f"https://{host}:{port}/"),
    "tcp": lambda host, port: TcpTarget(host=host, port=port, send=Secret("x")),
    "tls": lambda host, port: TlsTarget(host=host, port=port),
    "starttls": lambda host, port: TlsTarget(host=host, port=port, starttls="ftp"),
    "smtp": lambda host, port: SmtpTarget(host=host, port=port),
    "smtps": lambda host, port: SmtpTarget(host=host, port=port, tls=True),
    "imap": lambda host, port: ImapTarget(host=host, port=port),
    "imaps": lambda host, port: ImapTarget(host=host, port=port, tls=True),
    "ssh": lambda host, port: SshTarget(host=host, port=port),
    "grpc": lambda host, port: GrpcTarget(host=host, port=port),
    "grpcs": lambda host, port: GrpcTarget(host=host, port=port, tls=True),
    "ws": lambda host, port: WsTarget(url=f"ws://{host}:{port}/"),
    "wss": lambda host, port: WsTarget(url=f"wss://{host}:{port}/"),
    "postgres": lambda host, port: PostgresTarget(host=host, port=port, user="a", database="b"),
    "postgres over TLS": lambda host, port: PostgresTarget(
        host=host, port=port, user="a", database="b", tls=True
    ),
    "mysql": lambda host, port: MysqlTarget(host=host, port=port, user="a"),
    "mysql over TLS": lambda host, port: MysqlTarget(host=host, port=port, user="a", tls=True),
    "redis": lambda host, port: RedisTarget(host=host, port=port, password=Secret("x")),
    "rediss": lambda host, port: RedisTarget(host=host, port=port, tls=True),
    "amqp": lambda host, port: AmqpTarget(host=host, port=port, user="a"),
    "amqps": lambda host, port: AmqpTarget(host=host, port=port, user="a", tls=True),
}
OVER_TLS: Final = frozenset({"https", "tls", "smtps", "imaps", "grpcs", "wss", "rediss", "amqps"})
LOGS_IN: Final = frozenset({"postgres", "redis", "amqp"})
"""We speak first: what is waited for is the answer to a login."""


async def at(host: str, port: int, timeout_s: float = 3.0) -> dict[str, Result]:
    """What each kind sees of one door, all at the same time."""
    return await look_at_all({kind: make(host, port) for kind, make in TARGETS.items()}, timeout_s)


def behind(handler: Handler, timeout_s: float = 3.0) -> dict[str, Result]:
    """What each kind sees of a server that does `handler` to everybody."""

    async def run() -> dict[str, Result]:
        async with Listener(handler) as server:
            return await at("127.0.0.1", server.port, timeout_s)

    return asyncio.run(run())


def test_nobody_listens() -> None:
    """Refused, at once, with who refused."""
    port = closed_port()
    for kind, result in asyncio.run(at("127.0.0.1", port)).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.REFUSED), kind
        assert result.text == f"connection refused by 127.0.0.1:{port}", kind
        assert result.duration_ms < 1500, kind


def test_nobody_listens_over_quic() -> None:
    """HTTP/3 is refused like the others, and is no trouble of this peer's."""
    port = closed_port()
    target = HttpTarget(url=f"https://127.0.0.1:{port}/", http_version="3")
    result = asyncio.run(look(target))
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.REFUSED)
    assert result.text == f"connection refused by 127.0.0.1:{port}"


def test_nobody_accepts() -> None:
    """A timeout while connecting, at the deadline."""
    with full_backlog() as port:
        found = asyncio.run(at("127.0.0.1", port, 0.5))
    for kind, result in found.items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT), kind
        assert result.text == "timeout after 0.5 s while connecting", kind
        assert result.duration_ms < 1500, kind


def test_no_such_name() -> None:
    """A name that nobody knows is DNS's no, whether it says so or nothing."""
    for kind, result in asyncio.run(at("no-such-host.invalid", 9)).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.DNS), kind
        assert result.text in ("name does not exist (NXDOMAIN)", "no answer from DNS"), kind


def test_no_way_there() -> None:
    """Where the kernel knows no way for TCP, the network is unreachable."""
    for kind, result in asyncio.run(at("255.255.255.255", 9)).items():
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.UNREACHABLE), kind
        assert result.text == "network is unreachable", kind


def test_silence() -> None:
    """A timeout says in which phase: the handshake where TLS comes first, else a login or the answer."""
    for kind, result in behind(hang, 0.6).items():
        doing = "logging in" if kind in LOGS_IN else "waiting for the answer"
        doing = "in the TLS handshake" if kind in OVER_TLS else doing
        assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TIMEOUT), kind
        assert result.text == f"timeout after 0.6 s while {doing}", kind
        assert result.duration_ms < 1500, kind


def test_a_look_that_is_cut_off_knows_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libcurl does not give up before the deadline, the socket tells whether TCP was connected."""
    monkeypatch.setattr(http, "EARLY_MS", -10_000)
    with full_backlog() as port:
        connecting = asyncio.run(look(TARGETS["https"]("127.0.0.1", port), timeout_s=0.4))
    assert connecting.text == "timeout after 0.4 s while connecting"
    assert behind(hang, 0.6)["https"].text == "timeout after 0.6 s while in the TLS handshake"


@pytest.mark.parametrize("ending", [reset, hang_up], ids=["reset", "hung up"])
def test_the_connection_ends(ending: Handler) -> None:
    """A reset and a close are told as such; in the handshake both end TLS."""
    for kind, result in behind(ending).items():
        allowed = (Kind.RESET, Kind.TLS) if kind in OVER_TLS else (Kind.RESET,)
        assert result.opinion is Opinion.DOWN, kind
        assert result.kind in allowed, (kind, result.text)
        assert any(word in result.text for word in ("reset", "closed", "handshake")), (kind, result.text)
