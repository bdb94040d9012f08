"""Looks at mail servers: aiosmtpd and a small IMAP server, plain, over TLS and with STARTTLS."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from support.chains import below_intermediate
from support.looking import condition, look
from support.mail_servers import imap, smtp_server
from support.targets import Authority, Handler, Listener, closed_port, endless, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import ImapTarget, SmtpTarget, Target, TlsTarget


def see_smtp(
    context: ssl.SSLContext | None = None,
    *,
    over_tls: bool = False,
    service: dict[str, Any] | None = None,
    **fields: Any,
) -> Result:
    """One look at aiosmtpd; `fields` are those of the target, `service` those of the service."""

    async def run() -> Result:
        async with smtp_server(context, over_tls=over_tls) as port:
            target = SmtpTarget(host="localhost", port=port, tls=over_tls, **fields)
            return await look(target, **(service or {}))

    return asyncio.run(run())


def see_imap(handler: Handler, context: ssl.SSLContext | None = None, **fields: Any) -> Result:
    """One look at what greets with `handler`, over TLS from the first byte on when there is a context."""

    async def run() -> Result:
        async with Listener(handler, context) as server:
            return await look(ImapTarget(host="localhost", port=server.port, **fields))

    return asyncio.run(run())


def see(handler: Handler, kind: str = "smtp", *, timeout_s: float = 2.0, **fields: Any) -> Result:
    """One look of a kind at what speaks with `handler`."""

    async def run() -> Result:
        async with Listener(handler) as server:
            made: dict[str, type[SmtpTarget | ImapTarget | TlsTarget]] = {
                "smtp": SmtpTarget,
                "imap": ImapTarget,
                "tls": TlsTarget,
            }
            target: Target = made[kind](host="127.0.0.1", port=server.port, **fields)
            return await look(target, timeout_s=timeout_s)

    return asyncio.run(run())


def test_smtp_in_the_clear() -> None:
    """The server greets with 220: up, and the greeting is kept and can be judged."""
    wanted = condition("banner contains Python", "banner", "contains", "Python")
    result = see_smtp(service={"expect": (wanted,)})
    assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK)
    assert result.text.startswith('"220 mail.example Python SMTP')
    assert str(result.facts["banner"]).startswith("220 mail.example Python SMTP")
    assert set(result.phases_ms) == {"resolve", "connect", "first_byte", "transfer"}
    other = condition("banner contains Postfix", "banner", "contains", "Postfix")
    unmet = see_smtp(service={"expect": (other,)})
    assert unmet.kind is Kind.CONDITION
    assert unmet.text.startswith('banner contains Postfix: was "220 mail.example Python SMTP')


@pytest.mark.parametrize("over_tls", [True, False], ids=["smtps", "starttls"])
def test_smtp_over_tls(authority: Authority, over_tls: bool) -> None:
    """With a trusted certificate both ways are up, and the certificate can be judged."""
    soon = condition("cert.expires > 40d", "cert.expires", ">", 40 * 86_400.0)
    context = authority.context("localhost")
    result = see_smtp(context, over_tls=over_tls, starttls=not over_tls, service={"warn": (soon,)})
    assert (result.opinion, result.text[:18]) == (Opinion.DEGRADED, "cert.expires > 40d")
    assert result.facts["tls.version"] == "TLSv1.3"
    assert result.facts["cert.issuer"] == "CN=Test Authority"
    assert {"connect", "first_byte", "tls"} <= set(result.phases_ms)
    up = see_smtp(context, over_tls=over_tls, starttls=not over_tls)
    assert up.opinion is Opinion.UP
    assert "TLSv1.3, certificate valid for" in up.text


@pytest.mark.parametrize("over_tls", [True, False], ids=["smtps", "starttls"])
def test_smtp_with_a_bad_certificate(authority: Authority, over_tls: bool) -> None:
    """The second look goes the same way to the certificate and says what is wrong with it."""
    expired = authority.context("localhost", begins_days=-9, ends_days=-3)
    result = see_smtp(expired, over_tls=over_tls, starttls=not over_tls)
    assert (result.opinion, result.kind) == (Opinion.DOWN, Kind.TLS)
    assert result.text.startswith("certificate expired 3 days ago, on ")
    assert result.facts["cert.names"] == "localhost"
    assert see_smtp(expired, over_tls=over_tls, starttls=not over_tls, verify=False).opinion is Opinion.UP


def test_smtp_without_starttls() -> None:
    """A server that does not offer what was asked for is down, and that is what is said."""
    result = see_smtp(starttls=True)
    assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, Kind.STATUS, "offers no STARTTLS")


def test_imap_in_the_clear_over_tls_and_with_starttls(authority: Authority) -> None:
    """All three ways are up with the greeting as evidence."""
    context = authority.context("localhost")
    for result in (
        see_imap(imap()),
        see_imap(imap(), context, tls=True),
        see_imap(imap(context), starttls=True),
    ):
        assert result.opinion is Opinion.UP, result.text
        assert result.facts["banner"] == "* OK [CAPABILITY IMAP4rev1] Test IMAP ready."
    none = see_imap(imap(), starttls=True)
    assert (none.kind, none.text) == (Kind.STATUS, 'offers no STARTTLS: answers "a BAD Unknown command."')


def test_the_name_of_a_missing_intermediate(authority: Authority, tmp_path: Path) -> None:
    """IMAP with STARTTLS whose server forgets the intermediate."""
    result = see_imap(imap(below_intermediate(authority, tmp_path, is_sent=False)), starttls=True)
    assert result.text == (
        "certificate has an unknown issuer: CN=Middle (not trusted here, no intermediate was sent)"
    )


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("smtp", None),
        ("imap", None),
        ("pop3", (b"+OK ready\r\n", b"STLS", b"+OK begin\r\n")),
        ("ftp", (b"220-hello\r\n220 ready\r\n", b"AUTH TLS", b"234 go on\r\n")),
    ],
)
def test_tls_after_starttls_of_a_protocol(
    authority: Authority, protocol: str, words: tuple[bytes, bytes, bytes] | None
) -> None:
    """`starttls` of a tls service speaks the protocol first and then judges the certificate."""
    context = authority.context("localhost")

    async def scripted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert words is not None
        writer.write(words[0])
        assert (await reader.readline()).strip() == words[1]
        writer.write(words[2])
        await writer.drain()
        await writer.start_tls(context)
        await reader.read()

    async def run() -> Result:
        if protocol == "smtp":
            async with smtp_server(context) as port:
                return await look(TlsTarget(host="localhost", port=port, starttls="smtp"))
        async with Listener(imap(context) if words is None else scripted) as server:
            return await look(TlsTarget(host="localhost", port=server.port, starttls=protocol))

    result = asyncio.run(run())
    assert result.opinion is Opinion.UP, result.text
    assert "certificate valid for" in result.text


@pytest.mark.parametrize(
    ("kind", "handler", "outcome", "text"),
    [
        ("smtp", say(b"554 no service\r\n"), Kind.STATUS, 'greets with "554 no service"'),
        ("smtp", say(b"421 busy, user:pw@host\r\n"), Kind.STATUS, 'greets with "421 busy, ***@host"'),
        ("imap", say(b"* BYE too many\r\n"), Kind.STATUS, 'greets with "* BYE too many"'),
        ("smtp", say(b"SSH-2.0-OpenSSH\r\n"), Kind.PROTOCOL, 'not SMTP: says "SSH-2.0-OpenSSH"'),
        ("imap", say(b"220 hello\r\n"), Kind.PROTOCOL, 'not IMAP: greets with "220 hello"'),
        ("smtp", say(b"\x00\xff\xfe\x80\n"), Kind.PROTOCOL, "not SMTP: says 4 bytes of binary data"),
        ("smtp", say(b"220-a\r\n221 b\r\n"), Kind.PROTOCOL, 'not SMTP: says "221 b"'),
        ("smtp", say(b"220 cut", hang_up), Kind.PROTOCOL, 'closed in the middle of a line: "220 cut"'),
        ("smtp", hang_up, Kind.RESET, "connection closed while waiting for the answer"),
        ("smtp", reset, Kind.RESET, "connection reset while waiting for the answer"),
        ("smtp", hang, Kind.TIMEOUT, "timeout after 0.5 s while waiting for the answer"),
        ("smtp", say(b"220-x\r\n"), Kind.TIMEOUT, "timeout after 0.5 s while reading the answer"),
    ],
)
def test_what_else_may_answer(kind: str, handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words, credentials hidden."""
    result = see(handler, kind, timeout_s=0.5)
    assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, outcome, text)


def test_garbage_where_tls_begins(authority: Authority) -> None:
    """A server in the clear, one that closes, and one that speaks on after its go-ahead are told apart."""
    plain = see(say(b"220 hi\r\n"), tls=True)
    assert plain.kind is Kind.TLS
    assert plain.text == "TLS failed: what answers does not speak TLS (WRONG_VERSION_NUMBER)"
    closed = see(hang_up, tls=True)
    assert closed.kind in (Kind.RESET, Kind.TLS)
    assert "handshake" in closed.text
    injected = see(say(b"+OK hi\r\n+OK go\r\n+OK LOGGED IN\r\n"), "tls", starttls="pop3")
    assert injected.kind is Kind.PROTOCOL
    assert injected.text == 'says more in the clear where TLS begins: "+OK LOGGED IN"'


def test_refused() -> None:
    """Nobody listens."""
    port = closed_port()
    result = asyncio.run(look(SmtpTarget(host="127.0.0.1", port=port)))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")


def test_hostile_greetings_end_in_time() -> None:
    """Greetings without an end are left after a few kilobytes, and a dripping one at the deadline."""
    flood = see(endless(b"x" * 65_536))
    assert (flood.kind, flood.text[:33]) == (Kind.PROTOCOL, 'a line of more than 4096 bytes: "')
    assert len(flood.text) <= 160
    many = see(endless(b"220-x\r\n" * 1000))
    assert (many.kind, many.text) == (Kind.PROTOCOL, 'a reply of more than 50 lines: "220-x"')
    assert max(flood.duration_ms, many.duration_ms) < 1500
    slow = see(endless(b"2", 0.02), timeout_s=0.5)
    assert (slow.kind, slow.text) == (Kind.TIMEOUT, "timeout after 0.5 s while reading the answer")
    assert slow.duration_ms < 1500


def test_a_greeting_in_single_bytes_is_heard() -> None:
    """How the bytes are cut into segments does not matter."""

    async def bytewise(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"220 slow but sure\r\n":
            writer.write(bytes([byte]))
            await writer.drain()
        await reader.read()

    assert see(bytewise).facts["banner"] == "220 slow but sure"
