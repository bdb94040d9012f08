"""Looks at Redis: a real server in each state that it may be in, and what else may answer there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.database_servers import TOO_MUCH, stopped
from support.looking import condition, look, look_at
from support.redis_server import PASSWORD, Redis, dump_of, redis
from support.targets import Authority, Handler, after_words, closed_port, endless, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import RedisTarget


@pytest.fixture(scope="module")
def server(trusted: Authority) -> Iterator[Redis]:
    """One open server with a user, some keys and TLS for all tests of this module."""
    users = f"user probe on >{PASSWORD} ~* +ping +get +auth"
    with redis(trusted, users, "enable-debug-command yes") as running:
        running.admin("SET health fine", "SET seven 7", "RPUSH jobs a b c", f"SETRANGE large {2**21} x")
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[Redis]:
    """One that asks for a password."""
    with redis(None, f"requirepass {PASSWORD}") as running:
        yield running


def target(port: int, **fields: Any) -> RedisTarget:
    """A target on loopback; texts of secrets are made Secrets."""
    for name in ("password", "query"):
        if isinstance(fields.get(name), str):
            fields[name] = Secret(fields[name])
    return RedisTarget(**{"host": "localhost", "port": port, **fields})


def see(server: Redis, service: dict[str, Any] | None = None, **fields: Any) -> Result:
    """One look at a real server."""
    port = server.tls_port if fields.get("tls") else server.port
    return asyncio.run(look(target(port, **fields), **(service or {})))


def test_a_ping(server: Redis) -> None:
    """PONG is good, without a login that nobody asks for; phases are told apart."""
    result = see(server)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert result.text.startswith("PONG in ")
    assert list(result.phases_ms) == ["resolve", "connect", "login", "query"]
    assert "value" not in result.facts


def test_logins(server: Redis, locked: Redis) -> None:
    """A password alone, and a user with one."""
    assert see(locked, password=PASSWORD).opinion is Opinion.UP
    assert see(server, user="probe", password=PASSWORD).opinion is Opinion.UP


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "login refused: NOAUTH Authentication required."),
        ({"password": "wrong"}, "login refused: WRONGPASS invalid username-password pair"),
        ({"user": "nobody", "password": "x"}, "login refused: WRONGPASS invalid username-password pair"),
        ({"password": PASSWORD, "database": 99}, "no such database: ERR DB index is out of range"),
        ({"password": PASSWORD, "query": "NONSENSE"}, "query failed: ERR unknown command 'NONSENSE'"),
        ({"password": PASSWORD, "query": "GET"}, "query failed: ERR wrong number of arguments"),
    ],
)
def test_what_the_server_refuses(locked: Redis, fields: dict[str, Any], text: str) -> None:
    """Each is down with the server's own reason and what it means."""
    result = see(locked, **fields)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS)
    assert result.text.startswith(text)
    assert PASSWORD not in result.text


def test_what_a_user_may_not(server: Redis) -> None:
    """An ACL that allows the login and little else."""
    login: dict[str, Any] = {"user": "probe", "password": PASSWORD}
    assert see(server, query="GET health", **login).opinion is Opinion.UP
    denied = see(server, query="LLEN jobs", **login)
    assert denied.text.startswith("not permitted: NOPERM")


def test_what_a_command_gives_is_judged(server: Redis) -> None:
    """The first value and how many; nothing there is no value."""
    fine = condition("value == fine", "value", "==", "fine")
    assert see(server, {"expect": (fine,)}, query="GET health").facts["value"] == "fine"
    assert see(server, {"expect": (fine,)}, query="GET nothing").text == "value == fine: no value"
    assert see(server, {"expect": (fine,)}, query="GET 'seven'").text == 'value == fine: was "7"'
    few = condition("value < 3", "value", "<", 3.0)
    assert see(server, {"expect": (few,)}, query="LLEN jobs").text == 'value < 3: was "3"'
    assert see(server, query="LRANGE jobs 0 -1").facts["rows"] == 3
    assert see(server, query="COMMAND INFO get set").facts["rows"] == 2
    assert see(server, query="GET large").text.startswith('announces "2097')


def test_over_tls(server: Redis) -> None:
    """A trusted certificate can be judged, another is told with its names."""
    soon = condition("cert.expires > 60d", "cert.expires", ">", 60 * 86_400.0)
    result = see(server, {"warn": (soon,)}, tls=True)
    assert (result.opinion, result.facts["tls.version"]) == (Opinion.DEGRADED, "TLSv1.3")
    wrong = see(server, tls=True, host="127.0.0.1")
    assert (wrong.kind, wrong.facts["cert.names"]) == (Kind.TLS, "localhost")
    assert see(server, tls=True, host="127.0.0.1", verify=False).opinion is Opinion.UP
    plain = asyncio.run(look(target(server.port, tls=True), timeout_s=0.3))
    assert plain.text == "timeout after 0.3 s while in the TLS handshake"


def test_a_replica_and_one_without_its_primary(server: Redis) -> None:
    """Roles, a replica that takes no writes, and one that says nothing while it is cut off."""
    primary = condition("role == primary", "role", "==", "primary")
    assert see(server, {"expect": (primary,)}).facts["role"] == "primary"
    with redis(None, f"replicaof 127.0.0.1 {closed_port()}") as replica:
        assert see(replica, {"expect": (primary,)}).text == 'role == primary: was "replica"'
        written = see(replica, query="SET a b")
        assert written.text == "read-only: READONLY You can't write against a read only replica."
        replica.admin("CONFIG SET replica-serve-stale-data no")
        assert see(replica).text.startswith("cut off from its primary: MASTERDOWN Link with MASTER is down")


def test_a_server_that_loads(server: Redis) -> None:
    """Its port is open, and it says that it is not ready."""
    slow = ("key-load-delay 20000", "loading-process-events-interval-bytes 1024")
    with redis(None, *slow, dump=dump_of(server, 2000)) as loading:
        result = see(loading)
    assert (result.kind, result.text) == (
        Kind.STATUS,
        "not ready: LOADING Redis is loading the dataset in memory",
    )


def test_a_server_that_is_full(server: Redis) -> None:
    """Of connections, and of data."""
    with server.connected() as admin:
        try:
            admin("CONFIG SET maxclients 1")
            crowded = see(server)
            admin("CONFIG SET maxclients 100", "CONFIG SET maxmemory 1")
            full = see(server, query="SET more data")
        finally:
            admin("CONFIG SET maxclients 100", "CONFIG SET maxmemory 0")
    assert (crowded.kind, crowded.text) == (
        Kind.STATUS,
        "too many connections: ERR max number of clients reached",
    )
    assert full.text.startswith("out of memory: OOM command not allowed")


def test_timeouts_name_their_phase(server: Redis, locked: Redis) -> None:
    """A server that stands still, and a command that blocks."""
    slow = see(server, {"timeout_s": 0.4}, query="BLPOP nothing 0")
    assert (slow.kind, slow.text) == (
        Kind.TIMEOUT,
        "timeout after 0.4 s while waiting for the result of the query",
    )
    with stopped(locked.pid):
        hanging = see(locked, {"timeout_s": 0.4}, password=PASSWORD)
    assert hanging.text == "timeout after 0.4 s while logging in"


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    result = asyncio.run(look(target(port, host="127.0.0.1")))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")


def answer(handler: Handler, *, timeout_s: float = 1.0, **fields: Any) -> Result:
    """One look at what answers with `handler` after the first words of the client."""
    return look_at(after_words(handler), lambda port: target(port, **fields), timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (say(b"HTTP/1.1 400 Bad Request\r\n"), Kind.PROTOCOL, 'not Redis: says "HTTP/1.1 400 Bad Request"'),
        (say(b"\x15\x03\x01\x00\x02\x02\x46\n"), Kind.PROTOCOL, "not Redis: says 7 bytes of binary data"),
        (say(b"$many\r\n"), Kind.PROTOCOL, 'not Redis: announces "many"'),
        (say(b"$2147483647\r\n"), Kind.PROTOCOL, 'announces "2147483647" bytes or elements: ask for less'),
        (say(b"*2000000000\r\n"), Kind.PROTOCOL, 'announces "2000000000" bytes or elements: ask for less'),
        (say(b"*" + b"9" * 3000 + b"\r\n"), Kind.PROTOCOL, 'announces "999'),
        (say(b"$200000\r\nabc", hang_up), Kind.PROTOCOL, 'closed in the middle of a message: "abc"'),
        (say(b"$1\r\nabcd\r\n"), Kind.PROTOCOL, "not Redis: a text of another length than it says"),
        (endless(b"*1\r\n" * 1000), Kind.PROTOCOL, TOO_MUCH),
        (endless(b"x" * 4096), Kind.PROTOCOL, "a line of more than 4096 bytes"),
        (say(b"-ERR my " + PASSWORD.encode() + b" is\r\n"), Kind.STATUS, "login refused: ERR my *** is"),
        (hang_up, Kind.RESET, "connection closed while logging in"),
        (reset, Kind.RESET, "connection reset while logging in"),
        (say(b"+OK\r\n", reset), Kind.RESET, "connection reset while waiting for the result of the query"),
        (hang, Kind.TIMEOUT, "timeout after 1.0 s while logging in"),
    ],
)
def test_what_else_may_answer(handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words, and none costs time or memory."""
    began = time.monotonic()
    result = answer(handler, password=PASSWORD)
    assert (result.opinion, result.kind) == (Opinion.DOWN, outcome), result.text
    assert result.text.startswith(text)
    assert time.monotonic() - began < 2.5


def test_a_reply_in_single_bytes_is_understood() -> None:
    """How the bytes are cut into segments does not matter."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"*3\r\n*1\r\n:7\r\n$-1\r\n-ERR inside\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    assert answer(bytewise).facts["rows"] == 3
