"""Looks at MySQL: a real MariaDB with each way to fail, and what else may answer there.

Debian has no server of MySQL itself; what that does otherwise (SHA-2 logins) is played by the test.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.database_servers import TOO_MUCH, stopped
from support.looking import condition, look, look_at
from support.mariadb_server import PASSWORD, MariaDb, mariadb
from support.targets import Authority, Handler, closed_port, endless, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import MysqlTarget, TlsTarget


@pytest.fixture(scope="module")
def server(trusted: Authority) -> Iterator[MariaDb]:
    """One server for all tests of this module."""
    with mariadb(trusted) as running:
        yield running


def target(port: int, **fields: Any) -> MysqlTarget:
    """Where `probe` logs in to `shop`, unless `fields` say otherwise."""
    fields = {"host": "localhost", "user": "probe", "database": "shop", "password": PASSWORD, **fields}
    for name in ("password", "query"):
        if isinstance(fields.get(name), str):
            fields[name] = Secret(fields[name])
    return MysqlTarget(port=port, **fields)


def see(server: MariaDb, service: dict[str, Any] | None = None, **fields: Any) -> Result:
    """One look at the real server."""
    return asyncio.run(look(target(server.port, **fields), **(service or {})))


def test_a_login_and_a_query(server: MariaDb) -> None:
    """`select 1` is good, and its phases are told apart: here the server speaks first."""
    result = see(server)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert result.text.startswith("1 row in ")
    assert str(result.facts["server"]).startswith("MariaDB 1")
    assert list(result.phases_ms) == ["resolve", "connect", "first_byte", "transfer", "login", "query"]
    assert (result.facts["rows"], "value" in result.facts) == (1, False)


def test_without_database_and_without_password(server: MariaDb) -> None:
    """Neither is needed where the server does not ask for it."""
    assert see(server, database="").opinion is Opinion.UP
    assert see(server, user="open", password=None, database="").opinion is Opinion.UP


def test_over_tls(server: MariaDb) -> None:
    """A user that must, a certificate that can be judged, and one that is not accepted."""
    soon = condition("cert.expires > 60d", "cert.expires", ">", 60 * 86_400.0)
    result = see(server, {"warn": (soon,)}, user="only_tls", tls=True)
    assert (result.opinion, result.text[:18]) == (Opinion.DEGRADED, "cert.expires > 60d")
    assert (result.facts["tls.version"], result.facts["cert.issuer"]) == ("TLSv1.3", "CN=Test Authority")
    assert {"first_byte", "tls", "login", "query"} <= set(result.phases_ms)
    wrong = see(server, tls=True, host="127.0.0.1")
    assert (wrong.kind, wrong.facts["cert.names"]) == (Kind.TLS, "localhost")
    assert see(server, tls=True, host="127.0.0.1", server_name="localhost").opinion is Opinion.UP
    assert see(server, tls=True, host="127.0.0.1", verify=False).opinion is Opinion.UP
    assert see(server, user="only_tls").text.startswith("login refused: Access denied")


def test_a_certificate_without_a_login(server: MariaDb) -> None:
    """A tls service with `starttls: mysql` looks at the certificate alone."""
    result = asyncio.run(look(TlsTarget(host="localhost", port=server.port, starttls="mysql")))
    assert result.opinion is Opinion.UP, result.text
    assert "certificate valid for 30 days" in result.text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"password": "wrong"}, "login refused: Access denied for user 'probe'@'127.0.0.1'"),
        ({"password": "wrong", "tls": True}, "login refused: Access denied for user 'probe'@'127.0.0.1'"),
        (
            {"password": None},
            "login refused: Access denied for user 'probe'@'127.0.0.1' (using password: NO)",
        ),
        ({"user": "nobody"}, "login refused: Access denied for user 'nobody'@'127.0.0.1'"),
        ({"user": "locked"}, "login refused: Access denied, this account is locked (4151)"),
        ({"user": "elsewhere"}, "login refused: Access denied for user 'elsewhere'@'127.0.0.1'"),
        ({"user": "modern"}, 'login refused: wants "client_ed25519", which this probe does not speak'),
        ({"database": "nope", "tls": True}, "no such database, or not permitted: Access denied for user"),
        ({"database": "nope"}, "no such database, or not permitted: Access denied for user 'probe'@'%'"),
        ({"query": "selekt 1"}, "query failed: You have an error in your SQL syntax"),
        ({"query": "select * from nothing"}, "query failed: Table 'shop.nothing' doesn't exist (1146)"),
        ({"query": "delete from orders"}, "query failed: DELETE command denied to user 'probe'"),
        ({"query": "kill connection_id()"}, "connection ended by the server: Connection was killed (1927)"),
    ],
)
def test_what_the_server_refuses(server: MariaDb, fields: dict[str, Any], text: str) -> None:
    """Each is down with the server's own reason and what it means, without the password."""
    result = see(server, **fields)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS), result.text
    assert result.text.startswith(text)
    assert PASSWORD not in result.text


def test_states_of_the_server(server: MariaDb) -> None:
    """A database that is not there for who may see all, too many connections, and one that only reads."""
    server.admin("grant select on *.* to probe@'%'; set global read_only = 1")
    try:
        gone = see(server, database="nope")
        read_only = see(server, query="update orders set note = 'x'")
    finally:
        server.admin("revoke select on *.* from probe@'%'; set global read_only = 0")
    assert gone.text == "no such database: Unknown database 'nope' (1049)"
    assert read_only.text.startswith("read-only: The MariaDB server is running with the --read-only option")

    first, second = (see(server, user="crowded", database="") for _ in range(2))
    assert first.opinion is Opinion.UP
    assert second.text.startswith("too many connections: User 'crowded' has exceeded")


def test_what_a_query_gives_is_judged(server: MariaDb) -> None:
    """Rows and the first value of the first row, with the actual value in the failure."""
    two = condition("value == 2", "value", "==", 2.0)
    found = see(server, {"expect": (two,)}, query="select id from orders where note = 'second'")
    assert found.opinion is Opinion.UP
    other = see(server, {"expect": (two,)}, query="select max(id) from orders")
    assert (other.kind, other.text, other.facts["value"]) == (Kind.CONDITION, 'value == 2: was "3"', "3")
    few = condition("rows < 3", "rows", "<", 3.0)
    assert see(server, {"expect": (few,)}, query="select * from orders").text == "rows < 3: was 3"
    none = see(server, {"expect": (two,)}, query="select id from orders where id = 9")
    assert none.text == "value == 2: no value"
    null = condition("value == null", "value", "==", "null")
    assert see(server, {"expect": (null,)}, query="select null").opinion is Opinion.UP
    long = condition("value contains yx", "value", "contains", "yx")
    for length in (300, 70_000):
        query = f"select concat(repeat('y', {length}), 'x')"
        assert see(server, {"expect": (long,)}, query=query).opinion is Opinion.UP
    first = see(server, {"expect": (two,)}, query="select id from orders where id > 1 order by id")
    assert (first.opinion, first.facts["rows"]) == (Opinion.UP, 2)
    changed = see(server, {"expect": (few,)}, query="update orders set note = 'new' where id = 1")
    assert (changed.opinion, changed.facts["rows"]) == (Opinion.UP, 1)


def test_a_result_that_is_too_large_is_left(server: MariaDb) -> None:
    """Neither many rows nor a large one are read to their end."""
    rows = "with recursive n as (select 1 i union all select i + 1 from n where i < 900) select 1 from n a, n"
    for query in ("select repeat('x', 1000000)", rows):
        assert see(server, query=query).text == TOO_MUCH


def test_timeouts_name_their_phase(server: MariaDb) -> None:
    """A server that stands still, and a query that takes too long."""
    slow = see(server, {"timeout_s": 0.4}, query="select sleep(1)")
    assert (slow.kind, slow.text) == (
        Kind.TIMEOUT,
        "timeout after 0.4 s while waiting for the result of the query",
    )
    with stopped(server.pid):
        hanging = see(server, {"timeout_s": 0.4})
    assert hanging.text == "timeout after 0.4 s while waiting for the answer"


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    result = asyncio.run(look(target(port, host="127.0.0.1")))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")


def packet(number: int, body: bytes) -> bytes:
    """A packet of the protocol."""
    return len(body).to_bytes(3, "little") + bytes([number]) + body


SCRAMBLE = bytes(range(1, 21))
SHA2_PROOF = bytes.fromhex("f16e4bdf1fbf64d96bba0a87b408b36ba19739c0313d446bba6b4165c13c40fc")
"""What PyMySQL 1.2 says of PASSWORD and SCRAMBLE."""


def greeting(plugin: bytes = b"caching_sha2_password", flags: int = 0xFFFFF7FF) -> bytes:
    """What a MySQL 8 says first; without TLS unless `flags` have it."""
    low, high = flags.to_bytes(4, "little")[:2], flags.to_bytes(4, "little")[2:]
    body = b"\x0a8.0.36\0" + bytes(4) + SCRAMBLE[:8] + b"\0" + low + b"\x2d\x02\0" + high
    return packet(0, body + b"\x15" + bytes(10) + SCRAMBLE[8:] + b"\0" + plugin + b"\0")


OK = b"\0\0\0\x02\0\0\0"
END = b"\xfe\0\0\x02\0"
RESULT = packet(1, b"\x01") + packet(2, b"column") + packet(3, END) + packet(4, b"\x017") + packet(5, END)


def after_login(*replies: bytes) -> Handler:
    """Greet; say each reply after hearing something, and then nothing more."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        for reply in replies:
            await reader.read(4096)
            writer.write(reply)
        await reader.read()

    return handler


def answer(handler: Handler, *, timeout_s: float = 1.0, **fields: Any) -> Result:
    """One look at what speaks with `handler`."""
    return look_at(handler, lambda port: target(port, **fields), timeout_s=timeout_s)


def test_the_fast_login_of_mysql_8() -> None:
    """The proof is SHA256(password) xor SHA256(SHA256(SHA256(password)) + scramble)."""
    heard: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting())
        heard.append(await reader.read(4096))
        writer.write(packet(2, b"\x01\x03") + packet(3, OK))
        heard.append(await reader.read(4096))
        writer.write(RESULT)
        heard.append(await reader.read())

    result = answer(handler)
    assert (result.opinion, result.facts["server"]) == (Opinion.UP, "MySQL 8.0.36"), result.text
    assert SHA2_PROOF in heard[0]
    assert PASSWORD.encode() not in heard[0]
    assert heard[1:] == [packet(0, b"\x03select 1"), packet(0, b"\x01")], "a query, and a goodbye"


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (say(b"SSH-2.0-OpenSSH\r\n"), Kind.PROTOCOL, 'not MySQL: greets with "SSH-2.0-OpenSSH"'),
        (say(b"220 mail\r\n"), Kind.PROTOCOL, 'not MySQL: greets with "220 mail"'),
        (say(packet(0, b"\x09old")), Kind.PROTOCOL, "not MySQL: greets with "),
        (say(packet(0, b"\x0a8.0\0short")), Kind.PROTOCOL, "not MySQL: its greeting is too short"),
        (say(packet(0, b"\xff\x10\x04Too many connections")), Kind.STATUS, "too many connections: Too many"),
        (
            say(packet(0, b"\xff\x69\x04Host is blocked")),
            Kind.STATUS,
            "login refused: Host is blocked (1129)",
        ),
        (say(b"\x20\0\0\0\x0a", hang_up), Kind.PROTOCOL, "closed in the middle of a message"),
        (hang_up, Kind.RESET, "connection closed while waiting for the answer"),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (hang, Kind.TIMEOUT, "timeout after 1.0 s while waiting for the answer"),
        (
            after_login(packet(2, b"\x01\x04")),
            Kind.STATUS,
            "login refused: asks for the password in the clear; set `tls: true`",
        ),
        (
            after_login(packet(2, b"\xfemysql_clear_password\0")),
            Kind.STATUS,
            "login refused: asks for the password in the clear; set `tls: true`",
        ),
        (after_login(packet(2, b"\xfe")), Kind.STATUS, "login refused: wants passwords as before MySQL 4.1"),
        (
            after_login(*[packet(2, b"\xfemysql_native_password\0x\0")] * 9),
            Kind.PROTOCOL,
            "never ends the login",
        ),
        (after_login(packet(2, b"")), Kind.PROTOCOL, "not MySQL: sends an empty packet"),
        (after_login(packet(2, b"\x07?")), Kind.PROTOCOL, "not MySQL: answers the login with"),
        (
            after_login(packet(2, OK), packet(1, b"\xfb/etc/passwd")),
            Kind.PROTOCOL,
            "asks for a file of ours instead of answering",
        ),
        (after_login(packet(2, OK), b"\xff\xff\xff\x01"), Kind.PROTOCOL, TOO_MUCH),
        (
            after_login(packet(2, OK), packet(1, b"\xfe" + b"\xff" * 8) + RESULT * 9999),
            Kind.PROTOCOL,
            TOO_MUCH,
        ),
        (
            after_login(packet(2, b"\xff\x15\x04#28000no " + PASSWORD.encode())),
            Kind.STATUS,
            "login refused: no *** (1045)",
        ),
    ],
)
def test_what_else_may_answer(handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words, and none costs time or memory."""
    began = time.monotonic()
    result = answer(handler)
    assert (result.opinion, result.kind) == (Opinion.DOWN, outcome), result.text
    assert result.text.startswith(text)
    assert time.monotonic() - began < 2.5


@pytest.mark.parametrize(
    "asked",
    [
        (b"\x01\x04",),
        (b"\xfemysql_clear_password\0",),
        (b"\xfecaching_sha2_password\0" + SCRAMBLE, b"\x01\x04"),
    ],
    ids=["sha2 in full", "in the clear", "switched to sha2"],
)
def test_a_password_is_said_over_tls_only(trusted: Authority, asked: tuple[bytes, ...]) -> None:
    """What MySQL 8 asks for at the first login of a user: the password itself, where TLS hides it."""
    heard: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        # Not by asyncio: its reader would take the client's handshake for more words in the clear.
        client, _ = listener.accept()
        client.settimeout(2)
        client.sendall(greeting(flags=0xFFFFFFFF))
        heard.append(client.recv(36))
        with trusted.context("localhost").wrap_socket(client, server_side=True) as secured:
            for number, reply in enumerate((*asked, OK)):
                heard.append(secured.recv(4096))
                secured.sendall(packet(2 * number + 3, reply))
            secured.recv(4096)
            secured.sendall(RESULT)
            secured.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        result = asyncio.run(look(target(listener.getsockname()[1], tls=True)))
        thread.join(5)
    assert result.opinion is Opinion.UP, result.text
    assert (len(heard[0]), heard[0][4:8]) == (36, heard[1][4:8]), "a request for TLS, said again over it"
    assert heard[-1] == packet(2 * len(asked) + 2, PASSWORD.encode() + b"\0")


def test_tls_that_is_not_offered() -> None:
    """The greeting says so, and no password has been said."""
    assert answer(say(greeting()), tls=True).text == "offers no TLS"


def test_an_answer_in_single_bytes_is_understood() -> None:
    """How the bytes are cut into segments does not matter; floods end, drips end at the deadline."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for words in (greeting(), packet(2, OK), RESULT):
            for byte in words:
                writer.write(bytes([byte]))
                await writer.drain()
            await reader.read(4096)

    assert answer(bytewise).facts["rows"] == 1
    flood = answer(say(greeting() + packet(2, OK) + RESULT[:-9], endless(packet(4, b"\x017") * 1000)))
    assert flood.text == TOO_MUCH
