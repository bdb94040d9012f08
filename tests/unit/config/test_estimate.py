"""What a configuration asks of each peer, and what is said when it is too much: arithmetic as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import settings

from watchtower.config import estimate
from watchtower.config.estimate import COST_OVER_TLS_MS, Load, cost_ms, loads, warnings
from watchtower.core.settings import ProbeSettings, Service, Settings
from watchtower.core.targets import (
    DnsTarget,
    HeartbeatTarget,
    HttpTarget,
    PostgresTarget,
    SmtpTarget,
    TcpTarget,
    TlsTarget,
    WsTarget,
)

HTTP = HttpTarget(url="http://h/")
HTTPS = HttpTarget(url="https://h/")
TCP = TcpTarget(host="h", port=1)
DNS = DnsTarget(name="h")
BEAT = HeartbeatTarget(period_s=60, grace_s=30)
ROOMY = 100_000


def many(count: int, target: Any = HTTP, *, voters: str = "abc", **change: Any) -> list[Service]:
    """So many services of one kind."""
    made = Service(name="x", target=target, voters=tuple(voters), interval_s=10, timeout_s=5)
    return [replace(made, name=f"s{number}", **change) for number in range(count)]


def watching(services: Iterable[Service], concurrency: int = 200) -> Settings:
    """Three peers that watch these and not each other."""
    named = {f"{number}": service for number, service in enumerate(services)}
    return replace(
        settings(peers=("a", "b", "c")), services=named, probe=ProbeSettings(concurrency=concurrency)
    )


def of(peer: str, made: Settings) -> Load:
    """The load of one peer."""
    return next(load for load in loads(made) if load.peer == peer)


def test_a_handshake_costs_more() -> None:
    """A kind that is spoken with and without TLS counts as two."""
    plain = PostgresTarget(host="h", port=1, database="d")
    made = watching([*many(10, plain), *many(10, replace(plain, tls=True))])
    assert of("a", made).per_s == pytest.approx({"postgres": 1, "postgres over TLS": 1})
    assert cost_ms("postgres over TLS") == pytest.approx(cost_ms("postgres") + COST_OVER_TLS_MS)


def test_a_handshake_after_the_greeting_costs_as_much() -> None:
    """STARTTLS ends in the same handshake; a `tls` service is one already."""
    mail = SmtpTarget(host="h", port=25)
    upgraded = TlsTarget(host="h", port=25, starttls="smtp")
    made = watching([*many(10, mail), *many(20, replace(mail, starttls=True)), *many(30, upgraded)])
    assert of("a", made).per_s == pytest.approx({"smtp": 1, "smtp over TLS": 2, "tls": 3})


def test_a_socket_over_tls_is_known_by_its_scheme() -> None:
    """A WebSocket has no flag for TLS, but a URL."""
    made = watching([*many(10, WsTarget(url="ws://h/")), *many(20, WsTarget(url="wss://h/"))])
    assert of("a", made).per_s == pytest.approx({"ws": 1, "ws over TLS": 2})


def test_looks_are_summed_by_kind_over_what_the_peer_looks_at() -> None:
    """Heartbeats call us; a service with other voters is theirs."""
    made = watching(
        [
            *many(100),
            *many(50, HTTPS),
            *many(20, TCP, interval_s=1),
            *many(10, DNS, voters="bc"),
            *many(9, BEAT),
        ]
    )
    assert of("a", made).per_s == pytest.approx({"http": 10, "https": 5, "tcp": 20})
    assert of("b", made).per_s == pytest.approx({"http": 10, "https": 5, "tcp": 20, "dns": 1})
    assert (of("a", made).services, of("b", made).services) == (170, 180)
    assert of("b", made).looks_per_s == pytest.approx(36)


@pytest.mark.parametrize(
    ("services", "percent"),
    [
        ([], 0.0),
        (many(1000), 10 * estimate.COST_MS["http"]),
        (many(1000, HTTPS), 10 * estimate.COST_MS["https"]),
        ([*many(100, TCP), *many(200, DNS)], estimate.COST_MS["tcp"] + 2 * estimate.COST_MS["dns"]),
    ],
)
def test_cpu_is_looks_times_cost_on_top_of_idling(services: list[Service], percent: float) -> None:
    """Milliseconds a second are tenths of a percent."""
    assert of("a", watching(services)).cpu_percent == pytest.approx(estimate.IDLE_PERCENT + percent)


def test_every_kind_has_a_cost() -> None:
    """One that was never measured counts as HTTP."""
    assert estimate.cost_ms("never-heard-of") == estimate.COST_MS_ELSE


@pytest.mark.parametrize(
    ("services", "concurrency", "hanging", "sockets"),
    [
        # Half of them are waited for at any time; twice as many while they are confirmed.
        (many(100, timeout_s=5), 200, 50, 100),
        (many(100, timeout_s=1), 200, 10, 20),
        # No more than one look of a service at a time.
        (many(100, timeout_s=10), 200, 100, 100),
        # The bound and a quarter.
        (many(1000, timeout_s=5), 200, 500, 250),
        (many(1000, timeout_s=5), 1000, 500, 1000),
        (many(3, timeout_s=1), 200, 1, 1),
        ([], 200, 0, 0),
    ],
)
def test_what_is_under_way_at_worst(
    services: list[Service], concurrency: int, hanging: int, sockets: int
) -> None:
    """While all hang, and while all are being confirmed down."""
    load = of("a", watching(services, concurrency))
    assert (load.hanging, load.sockets, load.children) == (hanging, sockets, 0)


@pytest.mark.parametrize(
    ("services", "concurrency", "descriptors", "words"),
    [
        (many(100), 200, ROOMY, []),
        (many(3000, timeout_s=0.5), 200, ROOMY, []),
        (
            many(25_000, timeout_s=0.05),
            200,
            ROOMY,
            ["would look 2500 times a second", "Make `interval` ", " times as long"],
        ),
        (
            many(1000),
            200,
            ROOMY,
            ["500 looks of a", "`probe.concurrency` allows 200", "`probe: {concurrency: 500}`"],
        ),
        (many(30_000, timeout_s=3, voters="c"), 9000, ROOMY, ["c would look 3000 times"]),
        (many(40_000, timeout_s=5), 10_000, ROOMY, ["20000 looks", "Set a shorter `timeout`"]),
        (
            many(200),
            200,
            256,
            ["may need 328 open", "`LimitNOFILE=328`", "have 256 here"],
        ),
        (many(200), 200, 328, []),
        (many(200), 200, 1024, []),
    ],
)
def test_what_is_too_much_is_said_with_the_setting(
    services: list[Service], concurrency: int, descriptors: int, words: list[str]
) -> None:
    """Each in a sentence; nothing is said of what is well."""
    said = " ".join(warnings(loads(watching(services, concurrency)), concurrency, descriptors))
    assert all(word in said for word in words), said
    assert bool(said) == bool(words), said
