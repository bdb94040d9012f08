"""Looks at AMQP: a real RabbitMQ with each way to fail, and what else may answer there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pamqp import commands, frame
from support.database_servers import stopped
from support.looking import condition, look, look_at
from support.rabbitmq_server import PASSWORD, RabbitMq, rabbitmq
from support.targets import Authority, Handler, after_words, closed_port, endless, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.secret import Secret
from watchtower.core.targets import AmqpTarget


@pytest.fixture(scope="module")
def broker(trusted: Authority) -> Iterator[RabbitMq]:
    """One broker for all tests of this module."""
    with rabbitmq(trusted) as running:
        yield running


def target(port: int, **fields: Any) -> AmqpTarget:
    """Where `probe` logs in to `/shop`, unless `fields` say otherwise."""
    fields = {"host": "localhost", "user": "probe", "password": PASSWORD, "vhost": "/shop", **fields}
    if isinstance(fields["password"], str):
        fields["password"] = Secret(fields["password"])
    return AmqpTarget(port=port, **fields)


def see(broker: RabbitMq, service: dict[str, Any] | None = None, **fields: Any) -> Result:
    """One look at the real broker."""
    port = broker.tls_port if fields.get("tls") else broker.port
    return asyncio.run(look(target(port, **fields), **(service or {})))


def test_a_login(broker: RabbitMq) -> None:
    """Being let into the virtual host is good; phases are told apart."""
    result = see(broker)
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
    assert result.text.startswith("logged in in ")
    assert str(result.facts["server"]).startswith("RabbitMQ 3.")
    assert list(result.phases_ms) == ["resolve", "connect", "login"]


def test_a_queue(broker: RabbitMq) -> None:
    """How many messages wait, and who takes them."""
    nobody = condition("consumers > 0", "consumers", ">", 0.0)
    result = see(broker, {"warn": (nobody,)}, queue="jobs")
    assert (result.opinion, result.text) == (Opinion.DEGRADED, "consumers > 0: was 0")
    assert (result.facts["messages"], result.facts["consumers"]) == (0, 0)
    assert "query" in result.phases_ms
    assert see(broker, queue="jobs", publish=True).text.startswith("0 messages, 0 consumers in ")


def test_over_tls(broker: RabbitMq) -> None:
    """A trusted certificate can be judged, another is told with its names."""
    soon = condition("cert.expires > 60d", "cert.expires", ">", 60 * 86_400.0)
    result = see(broker, {"warn": (soon,)}, tls=True)
    assert (result.opinion, result.text[:18]) == (Opinion.DEGRADED, "cert.expires > 60d")
    wrong = see(broker, tls=True, host="127.0.0.1")
    assert (wrong.kind, wrong.facts["cert.names"]) == (Kind.TLS, "localhost")
    assert see(broker, tls=True, host="127.0.0.1", verify=False).opinion is Opinion.UP
    plain = asyncio.run(look(target(broker.port, tls=True)))
    assert plain.text == "TLS failed: what answers does not speak TLS (WRONG_VERSION_NUMBER)"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"password": "wrong"}, "login refused: ACCESS_REFUSED - Login was refused using authentication"),
        ({"password": None}, "login refused: ACCESS_REFUSED - Login was refused using authentication"),
        ({"user": "nobody"}, "login refused: ACCESS_REFUSED - Login was refused using authentication"),
        ({"vhost": "nope"}, "no such virtual host, or not permitted: NOT_ALLOWED - vhost nope not found"),
        (
            {"user": "stranger"},
            "no such virtual host, or not permitted: NOT_ALLOWED - access to vhost '/shop'",
        ),
        ({"user": "crowded"}, "too many connections: NOT_ALLOWED - connection refused for user 'crowded'"),
        ({"queue": "nothing"}, "no such queue: NOT_FOUND - no queue 'nothing' in vhost '/shop' (404)"),
        ({"vhost": "closed", "publish": True}, "not permitted: ACCESS_REFUSED"),
    ],
)
def test_what_the_broker_refuses(broker: RabbitMq, fields: dict[str, Any], text: str) -> None:
    """Each is down with the broker's own reason and what it means, without the password."""
    result = see(broker, **fields)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.STATUS), result.text
    assert result.text.startswith(text)
    assert PASSWORD not in result.text


def test_a_broker_that_takes_no_messages(broker: RabbitMq) -> None:
    """Short of disk, it lets us in as before; only who publishes is told."""
    broker.control("set_disk_free_limit", str(10**15))
    try:
        result, without = see(broker, publish=True), see(broker)
    finally:
        broker.control("set_disk_free_limit", str(10**6))
    assert (result.kind, result.text) == (Kind.STATUS, "takes no messages: low on disk")
    assert without.opinion is Opinion.UP


def test_timeouts_name_their_phase(broker: RabbitMq) -> None:
    """A broker that stands still."""
    with stopped(broker.beam()):
        hanging = see(broker, {"timeout_s": 0.4})
    assert (hanging.kind, hanging.text) == (Kind.TIMEOUT, "timeout after 0.4 s while logging in")


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    result = asyncio.run(look(target(port, host="127.0.0.1")))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")


def answer(handler: Handler, *, timeout_s: float = 1.0, **fields: Any) -> Result:
    """One look at what answers with `handler` after the first words of the client."""
    return look_at(after_words(handler), lambda port: target(port, **fields), timeout_s=timeout_s)


def start(mechanisms: str = "PLAIN AMQPLAIN") -> bytes:
    """What a broker says first."""
    told: Any = {"product": "Test", "version": "1"}
    return frame.marshal(commands.Connection.Start(0, 9, told, mechanisms, "en_US"), 0)


def closes(code: int, text: str) -> bytes:
    """A broker that ends it."""
    return frame.marshal(commands.Connection.Close(code, text, 0, 0), 0)


def nested(depth: int) -> bytes:
    """A Start whose table holds a table, which holds a table ..."""
    table = b""
    for _ in range(depth):
        table = b"\x01kF" + len(table).to_bytes(4) + table
    body = b"\x00\x0a\x00\x0a\x00\x09" + len(table).to_bytes(4) + table + b"\0\0\0\x05PLAIN\0\0\0\0"
    return b"\x01\0\0" + len(body).to_bytes(4) + body + b"\xce"


TUNED = start() + frame.marshal(commands.Connection.Tune(0, 131_072, 0), 0)
IN = TUNED + frame.marshal(commands.Connection.OpenOk(), 0)
BLOCKED = frame.marshal(commands.Connection.Blocked("low on memory"), 0)


async def goes_after_the_login(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client in, hear it open a channel, and hang up."""
    writer.write(IN)
    await reader.readuntil(frame.marshal(commands.Channel.Open(), 1))
    writer.close()


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (say(b"HTTP/1.1 400 Bad Request\r\n"), Kind.PROTOCOL, 'not AMQP: says "HTTP/1.1 400 Bad Request"'),
        (say(b"AMQP\x03\x01\x00\x00"), Kind.PROTOCOL, "speaks another AMQP: version 3.1.0.0"),
        (say(b"\x01\0\0\x7f\xff\xff\xff"), Kind.PROTOCOL, "not AMQP: says 7 bytes of binary data"),
        (say(b"\x01\0\0\0\0\0\x04abcd!"), Kind.PROTOCOL, "not AMQP: a frame does not end where it says"),
        (say(b"\x01\0\0\0\0\0\x04abcd\xce"), Kind.PROTOCOL, "not AMQP: a frame makes no sense"),
        (say(nested(3000)), Kind.PROTOCOL, "not AMQP: a frame makes no sense"),
        (say(start()[:20], hang_up), Kind.PROTOCOL, "closed in the middle of a message"),
        (say(start("EXTERNAL")), Kind.STATUS, 'login refused: offers "EXTERNAL", not PLAIN'),
        (say(start(), hang_up), Kind.RESET, "connection closed while logging in"),
        (
            say(closes(320, "CONNECTION_FORCED - bye")),
            Kind.STATUS,
            "shutting down: CONNECTION_FORCED - bye (320)",
        ),
        (
            say(TUNED + closes(320, "CONNECTION_FORCED - bye")),
            Kind.STATUS,
            "shutting down: CONNECTION_FORCED - bye (320)",
        ),
        (say(start() + closes(403, f"no {PASSWORD}")), Kind.STATUS, "login refused: no *** (403)"),
        (say(IN + BLOCKED), Kind.STATUS, "takes no messages: low on memory"),
        (
            say(IN, endless(frame.marshal(commands.Connection.Unblocked(), 0) * 500)),
            Kind.PROTOCOL,
            "never answers",
        ),
        (
            goes_after_the_login,
            Kind.RESET,
            "connection closed while waiting for the result of the query",
        ),
        (reset, Kind.RESET, "connection reset while logging in"),
        (hang_up, Kind.RESET, "connection closed while logging in"),
        (hang, Kind.TIMEOUT, "timeout after 1.0 s while logging in"),
    ],
)
def test_what_else_may_answer(handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words, and none costs time or memory."""
    began = time.monotonic()
    result = answer(handler, queue="jobs")
    assert (result.opinion, result.kind) == (Opinion.DOWN, outcome), result.text
    assert result.text.startswith(text)
    assert time.monotonic() - began < 2.5


def test_frames_in_single_bytes_are_understood() -> None:
    """How the bytes are cut into segments does not matter."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in IN:
            writer.write(bytes([byte]))
            await writer.drain()
        heard.append(await reader.read())

    heard: list[bytes] = []
    assert answer(bytewise).facts["server"] == "Test 1"
    assert heard[0].endswith(frame.marshal(commands.Connection.Close(200, "done", 0, 0), 0))
