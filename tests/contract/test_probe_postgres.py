"""Looks at PostgreSQL: a real primary and standbys with each way to fail, and what else may answer there."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.database_servers import stopped
from support.looking import condition, look, look_at
from support.memory import traced
from support.postgres_server import PASSWORD, Postgres, postgres, standby
from support.targets import Authority, Handler, after_words, closed_port, endless, hang, hang_up, reset, say

from watchtower.clock import SystemClock
from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import PostgresTarget, TlsTarget
from watchtower.probes.kinds.tls import Door, shake
from watchtower.probes.look import Look
from watchtower.probes.tools import Tools


@pytest.fixture(scope="module")
def server(trusted: Authority) -> Iterator[Postgres]:
    """One primary for all tests of this module."""
    with postgres(trusted) as running:
        yield running


def target(port: int, **fields: Any) -> PostgresTarget:
    """Where `probe` logs in to `postgres`, unless `fields` say otherwise."""
    fields = {"host": "localhost", "user": "probe", "database": "postgres", "password": PASSWORD, **fields}
    for name in ("password", "query"):
        if isinstance(fields.get(name), str):
            fields[name] = Secret(fields[name])
    return PostgresTarget(port=port, **fields)


def see(server: Postgres, service: dict[str, Any] | None = None, **fields: Any) -> Result:
    """One look at the real server."""
    return asyncio.run(look(target(server.port, **fields), **(service or {})))


def test_a_login_and_a_query(server: Postgres) -> None:
    """`select 1` is good, its phases are told apart, and what no condition judges is not repeated."""
    result = see(server)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert result.text.startswith("1 row in ")
    assert result.text.endswith(f", {result.facts['server']}")
    assert str(result.facts["server"]).startswith("PostgreSQL 1")
    assert list(result.phases_ms) == ["resolve", "connect", "login", "query"]
    assert (result.facts["rows"], "value" in result.facts, "role" in result.facts) == (1, False, False)


@pytest.mark.parametrize(("user", "password"), [("probe", PASSWORD), ("by_md5", PASSWORD), ("trusted", None)])
def test_ways_to_log_in(server: Postgres, user: str, password: str | None) -> None:
    """SCRAM, MD5, and a server that asks for nothing."""
    assert see(server, user=user, password=password).opinion is Opinion.UP


def test_over_tls(server: Postgres) -> None:
    """With a trusted certificate: its facts can be judged, and a password in the clear is said there only."""
    soon = condition("cert.expires > 60d", "cert.expires", ">", 60 * 86_400.0)
    result = see(server, {"warn": (soon,)}, user="only_tls", tls=True)
    assert (result.opinion, result.text[:18]) == (Opinion.DEGRADED, "cert.expires > 60d")
    assert (result.facts["tls.version"], result.facts["cert.issuer"]) == ("TLSv1.3", "CN=Test Authority")
    assert {"connect", "tls", "login", "query"} <= set(result.phases_ms)
    assert "certificate valid for" in see(server, tls=True).text
    assert see(server, user="in_clear", tls=True).opinion is Opinion.UP
    refused = see(server, user="in_clear")
    assert refused.text == "login refused: asks for the password in the clear; set `tls: true`"


def test_a_certificate_that_is_not_accepted(server: Postgres) -> None:
    """The second look goes the same way to the certificate; `verify: false` takes any."""
    wrong = see(server, tls=True, host="127.0.0.1")
    assert (wrong.opinion, wrong.kind) == (Opinion.DOWN, Kind.TLS)
    assert wrong.text.startswith("certificate is not for 127.0.0.1 but for localhost")
    assert see(server, tls=True, host="127.0.0.1", server_name="localhost").opinion is Opinion.UP
    assert see(server, tls=True, host="127.0.0.1", verify=False).opinion is Opinion.UP


def test_certificates_of_the_service(
    server: Postgres, trusted: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An authority that only this service trusts, a certificate of our own, and files that are not there."""
    pem = str(trusted.pem("certified"))
    refused = see(server, user="certified", password=None, tls=True)
    assert refused.text.startswith("login refused: connection requires a valid client certificate")
    assert see(server, user="certified", password=None, tls=True, cert=pem, key=pem).opinion is Opinion.UP
    monkeypatch.setenv("SSL_CERT_FILE", str(Authority(tmp_path, "Another").ca_file))
    assert see(server, tls=True).text.endswith("CN=Test Authority, which is not trusted here")
    assert see(server, tls=True, ca=str(trusted.ca_file)).opinion is Opinion.UP
    wrong: dict[str, Any]
    for wrong in ({"ca": "/no/such.pem"}, {"cert": str(trusted.ca_file)}):
        unknown = see(server, None, tls=True, **wrong)
        assert (unknown.opinion, unknown.kind) == (Opinion.UNKNOWN, Kind.INCONCLUSIVE)
        assert unknown.text.startswith("a PEM file of this service cannot be used here (")


def test_a_certificate_without_a_login(server: Postgres) -> None:
    """A tls service with `starttls: postgres` looks at the certificate alone."""
    result = asyncio.run(look(TlsTarget(host="localhost", port=server.port, starttls="postgres")))
    assert result.opinion is Opinion.UP, result.text
    assert "certificate valid for 30 days" in result.text


def test_nothing_waits_for_an_acknowledgement(server: Postgres) -> None:
    """Two small writes in a row over TLS: with Nagle's algorithm every login would seem 40 ms slower."""

    async def run() -> int:
        tools, clock = Tools(SystemClock(), "a", lambda _peer: False), SystemClock()
        looked = Look(clock, clock.now().boot + 5)
        door = Door(host="localhost", port=server.port, name="localhost", starttls="postgres")
        wire, _ = await shake(door, tools, looked, verify=False)
        is_set = wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        wire.hang_up()
        await tools.close()
        return is_set

    assert asyncio.run(run())


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"password": "wrong"}, 'login refused: password authentication failed for user "probe" (28P01)'),
        ({"user": "nobody"}, 'login refused: password authentication failed for user "nobody" (28P01)'),
        (
            {"user": "by_md5", "password": "no"},
            'login refused: password authentication failed for user "by_md5"',
        ),
        ({"password": None}, "login refused: asks for a password, and none is configured"),
        ({"user": "only_tls"}, 'login refused: no pg_hba.conf entry for host "127.0.0.1", user "only_tls"'),
        ({"database": "shop"}, 'no such database: database "shop" does not exist (3D000)'),
        ({"user": "crowded"}, 'too many connections: too many connections for role "crowded" (53300)'),
        ({"query": "selekt 1"}, 'query failed: syntax error at or near "selekt" (42601)'),
        ({"query": "select * from nothing"}, 'query failed: relation "nothing" does not exist (42P01)'),
        ({"query": "delete from orders"}, "query failed: permission denied for table orders (42501)"),
        ({"query": "select 1/0"}, "query failed: division by zero (22012)"),
        (
            {"user": "trusted", "query": "select pg_terminate_backend(pg_backend_pid())"},
            "shutting down: terminating connection due to administrator command (57P01)",
        ),
        ({"query": "copy orders to stdout"}, "the query begins a COPY, which has no result"),
    ],
)
def test_what_the_server_refuses(server: Postgres, fields: dict[str, Any], text: str) -> None:
    """Each is down with the server's own reason and what it means, without the password."""
    result = see(server, **fields)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS)
    assert result.text.startswith(text)
    assert PASSWORD not in result.text


def test_what_a_query_gives_is_judged(server: Postgres) -> None:
    """Rows and the first value of the first row, with the actual value in the failure."""
    two = condition("value == 2", "value", "==", 2.0)
    assert (
        see(server, {"expect": (two,)}, query="select id from orders where note = 'second'").opinion
        is Opinion.UP
    )
    other = see(server, {"expect": (two,)}, query="select max(id) from orders")
    assert (other.kind, other.text, other.facts["value"]) == (Kind.CONDITION, 'value == 2: was "3"', "3")
    few = condition("rows < 3", "rows", "<", 3.0)
    assert see(server, {"expect": (few,)}, query="select * from orders").text == "rows < 3: was 3"
    none = see(server, {"expect": (two,)}, query="select id from orders where id = 9")
    assert none.text == "value == 2: no value"
    null = condition("value == null", "value", "==", "null")
    assert see(server, {"expect": (null,)}, query="select null").opinion is Opinion.UP
    first = see(server, {"expect": (two,)}, query="select id from orders where id > 1 order by id")
    assert (first.opinion, first.facts["rows"]) == (Opinion.UP, 2)
    changed = see(server, {"expect": (few,)}, query="update orders set note = note where id < 3")
    assert (changed.opinion, changed.facts["rows"]) == (Opinion.UP, 2)
    last = see(server, {"expect": (two,)}, query="select 1; select 2")
    assert last.opinion is Opinion.UP, last.text
    hostile = see(server, {"expect": (two,)}, query="select E'\\x1b[31m' || repeat('x', 1000)")
    assert hostile.text == 'value == 2: was "?[31m' + "x" * 54 + '…"'


def test_a_result_that_is_too_large_is_left(server: Postgres) -> None:
    """Neither many rows nor a large one are read to their end."""
    for query in ("select repeat('x', 10000000)", "select * from generate_series(1, 1000000)"):
        result = see(server, query=query)
        assert (result.kind, result.text) == (
            Kind.PROTOCOL,
            "sends or announces more than 256 KiB: ask for less",
        )


def test_the_role(server: Postgres) -> None:
    """A primary and a standby say what they are, and a standby that it only reads."""
    primary = condition("role == primary", "role", "==", "primary")
    assert see(server, {"expect": (primary,)}).facts["role"] == "primary"
    with standby(server, is_hot=True) as follower:
        result = see(follower, {"expect": (primary,)})
        assert (result.kind, result.text) == (Kind.CONDITION, 'role == primary: was "standby"')
        written = see(follower, query="update orders set note = 'x'")
        assert written.text == "read-only: cannot execute UPDATE in a read-only transaction (25006)"


def test_a_server_that_is_not_ready(server: Postgres) -> None:
    """A standby that lets nobody in yet."""
    with standby(server, is_hot=False) as follower:
        result = see(follower)
    assert (result.kind, result.text[:10]) == (Kind.STATUS, "not ready:")
    assert result.text.endswith("(57P03)")


def test_timeouts_name_their_phase(server: Postgres) -> None:
    """A server that stands still, and a query that takes too long."""
    slow = see(server, {"timeout_s": 0.5}, query="select pg_sleep(3)")
    assert (slow.kind, slow.text) == (
        Kind.TIMEOUT,
        "timeout after 0.5 s while waiting for the result of the query",
    )
    with stopped(server.pid):
        hanging = see(server, {"timeout_s": 0.5})
    assert (hanging.kind, hanging.text) == (Kind.TIMEOUT, "timeout after 0.5 s while logging in")


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    result = asyncio.run(look(target(port, host="127.0.0.1")))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")


def answer(handler: Handler, *, timeout_s: float = 1.0, **fields: Any) -> Result:
    """One look at what answers with `handler` after the first words of the client."""
    return look_at(after_words(handler), lambda port: target(port, **fields), timeout_s=timeout_s)


def message(kind: bytes, body: bytes) -> bytes:
    """A message of the protocol."""
    return kind + (len(body) + 4).to_bytes(4) + body


def login(way: int, rest: bytes = b"") -> bytes:
    """An Authentication message."""
    return message(b"R", way.to_bytes(4) + rest)


READY = login(0) + message(b"S", b"server_version\x0015.1\0") + message(b"Z", b"I")
ROW = message(b"D", b"\0\1" + (1).to_bytes(4) + b"7")
SASL = login(10, b"SCRAM-SHA-256\0\0")


def challenge(words: str) -> Handler:
    """SCRAM is offered; after our first words the server says `words` behind our nonce."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SASL)
        said = (await reader.read(4096)).decode("latin-1")
        writer.write(login(11, f"r={said.rpartition('r=')[2]}{words}".encode()))
        await reader.read(4096)
        writer.write(login(0) + READY)
        await reader.read()

    return handler


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (
            say(b"HTTP/1.1 400 Bad Request\r\n"),
            Kind.PROTOCOL,
            'not PostgreSQL: says "HTTP/1.1 400 Bad Request"',
        ),
        (say(b"SSH-2.0-OpenSSH\r\n"), Kind.PROTOCOL, 'not PostgreSQL: says "SSH-2.0-OpenSSH"'),
        (say(b"Esorry, cannot fork\n\0"), Kind.STATUS, 'refuses: says "sorry, cannot fork"'),
        (say(b"R\0", hang_up), Kind.PROTOCOL, "closed in the middle of a message: 2 bytes of binary data"),
        (hang_up, Kind.RESET, "connection closed while logging in"),
        (reset, Kind.RESET, "connection reset while logging in"),
        (say(READY, reset), Kind.RESET, "connection reset while waiting for the result of the query"),
        (say(login(7)), Kind.STATUS, "login refused: wants GSSAPI, which this probe does not speak"),
        (say(login(77)), Kind.PROTOCOL, "not PostgreSQL: asks for a login of kind 77"),
        (say(login(5, b"salt") * 2), Kind.PROTOCOL, "not PostgreSQL: asks for the same login twice"),
        (say(login(10, b"PLAIN\0\0")), Kind.STATUS, 'login refused: offers "PLAIN", not SCRAM-SHA-256'),
        (
            say(SASL + login(11, b"r=elsewhere,s=AAAA,i=4096")),
            Kind.PROTOCOL,
            "its SCRAM challenge is not for us",
        ),
        (
            say(SASL + READY),
            Kind.PROTOCOL,
            "does not prove that it knows the password: not the server it should be",
        ),
        (challenge("x,s=AAAA,i=4096"), Kind.PROTOCOL, "does not prove that it knows the password"),
        (
            challenge("x,s=AAAA,i=2000000000"),
            Kind.STATUS,
            "asks for 2000000000 rounds of SCRAM, more than 100000",
        ),
    ],
)
def test_what_else_may_answer(handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words."""
    result = answer(handler)
    assert (result.opinion, result.kind) == (Opinion.DOWN, outcome), result.text
    assert result.text.startswith(text)


def test_a_server_without_tls_and_one_that_speaks_on() -> None:
    """What was asked for is not granted; or more comes in the clear where TLS begins."""
    assert answer(say(b"N"), tls=True).text == "offers no TLS"
    assert answer(say(b"HTTP/1.1 400\r\n"), tls=True).text == 'not PostgreSQL: says "HTTP/1.1 400"'
    injected = answer(say(b"S" + READY), tls=True)
    assert injected.text.startswith("says more in the clear where TLS begins")
    garbage = answer(say(b"S", say(b"\x15\x03\x01\x00\x02\x02\x28")), tls=True)
    assert garbage.kind in (Kind.TLS, Kind.PROTOCOL)


def test_hostile_servers_cost_neither_time_nor_memory() -> None:
    """A message of 2 GB is never waited for, an endless answer is left, a drip ends at the deadline."""
    began = time.monotonic()
    early = answer(say(login(0) + b"S" + (2**31 - 1).to_bytes(4)))
    assert (early.kind, early.text) == (Kind.PROTOCOL, "not PostgreSQL: says 5 bytes of binary data")
    huge = answer(say(READY + b"D" + (2**31 - 1).to_bytes(4)))
    assert huge.text == "sends or announces more than 256 KiB: ask for less"
    rows = answer(say(READY, endless(ROW * 1000)))
    assert rows.text == huge.text
    notices = answer(endless(message(b"N", b"") * 1000))
    assert notices.text in {"never gets ready", huge.text}
    assert time.monotonic() - began < 2
    with traced() as taken:
        for words in (READY + b"D" + (2**31 - 1).to_bytes(4), READY + ROW * 100_000):
            assert answer(say(words)).text == huge.text
    assert taken.peak_bytes < 4_000_000, "what was announced or sent beyond the limit was taken in"
    drip = answer(endless(b"N\0", 0.02), timeout_s=0.5)
    assert drip.kind in (Kind.TIMEOUT, Kind.PROTOCOL)
    assert drip.duration_ms < 1500


def test_an_answer_in_single_bytes_is_understood() -> None:
    """How the bytes are cut into segments does not matter."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in READY:
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read(4096)
        for byte in message(b"T", b"") + ROW + message(b"C", b"SELECT 1\0") + message(b"Z", b"I"):
            writer.write(bytes([byte]))
            await writer.drain()
        heard.append(await reader.read())

    heard: list[bytes] = []
    assert answer(bytewise).facts["rows"] == 1
    assert heard == [message(b"X", b"")], "a goodbye, which keeps the server's log clean"


def test_a_password_that_comes_back_is_hidden() -> None:
    """A server that says the password aloud does not get it into evidence."""
    words = f"SFATAL\0C28P01\0Mno entry with {PASSWORD} today\0\0".encode()
    result = answer(say(message(b"E", words)))
    assert result.text == "login refused: no entry with *** today (28P01)"


def test_silence_ends_at_the_deadline() -> None:
    """A server that accepts and says nothing."""
    assert answer(hang, timeout_s=0.3).text == "timeout after 0.3 s while logging in"
