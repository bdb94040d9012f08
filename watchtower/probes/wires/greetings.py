"""How servers greet, and how each protocol goes over to TLS: SMTP, IMAP, POP3, FTP, SSH, databases.

Decides whether what was said is that protocol, and whether the server refuses. Nobody logs in. What the
connection allows is wire.py's business, and so is every limit on bytes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final

from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires import mysql as mysql_wire
from watchtower.probes.wires import postgres as postgres_wire
from watchtower.probes.wires.wire import Wire, quoted

REPLY_LINES_MAX: Final = 50
_SSH_LINES_MAX: Final = 20
_SPARE_S: Final = 0.05
"""So long before the deadline what has come is told, instead of a timeout."""
_REPLY: Final = re.compile(r"(?P<code>[1-5][0-9][0-9])(?P<more>[ -]|$)(?P<text>.*)", re.DOTALL)
_SSH: Final = re.compile(r"SSH-(?P<version>[0-9.]{1,10})-.*", re.DOTALL)

Greet = Callable[[Wire], Awaitable[str]]
"""Reads the greeting and gives its first line. Raises ProtocolError, RefusalError or EOFError."""


async def greet_smtp(wire: Wire) -> str:
    """220, in one line or several."""
    code, lines = await _reply(wire, "SMTP")
    if code != "220":
        raise RefusalError(f"greets with {quoted(lines[0])}")
    return lines[0]


async def greet_imap(wire: Wire) -> str:
    """`* OK` or `* PREAUTH`; `* BYE` is a refusal."""
    line = await wire.line()
    words = line.split(" ", 2)
    if words[0] != "*" or len(words) < 2 or words[1].upper() not in {"OK", "PREAUTH", "BYE"}:
        raise ProtocolError(f"not IMAP: greets with {quoted(line)}")
    if words[1].upper() == "BYE":
        raise RefusalError(f"greets with {quoted(line)}")
    return line


async def greet_ssh(wire: Wire) -> str:
    """The version line; other lines may stand before it (RFC 4253, 4.2)."""
    first = ""
    for _ in range(_SSH_LINES_MAX):
        try:
            async with asyncio.timeout(wire.left_s() - _SPARE_S if first else None):
                line = await wire.line()
        except EOFError:
            if not first:
                raise
            raise ProtocolError(f"not SSH: {quoted(first)}, then closed") from None
        except TimeoutError:
            # Who waits for our first words, as mail servers do, is told by his own.
            raise ProtocolError(f"not SSH: {quoted(first)}, then silence") from None
        version = _SSH.fullmatch(line)
        if version is not None and version["version"] in {"2.0", "1.99"}:
            return line
        if version is not None:
            raise ProtocolError(f"speaks SSH {version['version']}, not 2.0: {quoted(line)}")
        first = first or line
    raise ProtocolError(f"not SSH: begins with {quoted(first)}")


async def starttls_smtp(wire: Wire) -> str:
    """Greeting, EHLO, STARTTLS."""
    greeting = await greet_smtp(wire)
    literal = f"IPv6:{wire.local_ip}" if ":" in wire.local_ip else wire.local_ip
    await wire.say(f"EHLO [{literal}]")
    code, lines = await _reply(wire, "SMTP")
    if code != "250":
        raise RefusalError(f"answers EHLO with {quoted(lines[0])}")
    if not any(line[4:].strip().upper() == "STARTTLS" for line in lines):
        raise RefusalError("offers no STARTTLS")
    await wire.say("STARTTLS")
    await _go_ahead(wire, "SMTP", "220", "STARTTLS")
    return greeting


async def starttls_imap(wire: Wire) -> str:
    """Greeting, STARTTLS, and whatever untagged lines stand before the answer."""
    greeting = await greet_imap(wire)
    await wire.say("a STARTTLS")
    for _ in range(REPLY_LINES_MAX):
        line = await wire.line()
        if line.startswith("a "):
            if not line.upper().startswith("A OK"):
                raise RefusalError(f"offers no STARTTLS: answers {quoted(line)}")
            return greeting
        if not line.startswith("* "):
            break
    raise ProtocolError(f"not IMAP: answers STARTTLS with {quoted(line)}")


async def starttls_pop3(wire: Wire) -> str:
    """Greeting, STLS."""
    greeting = await wire.line()
    if greeting.startswith("-ERR"):
        raise RefusalError(f"greets with {quoted(greeting)}")
    if not greeting.startswith("+OK"):
        raise ProtocolError(f"not POP3: greets with {quoted(greeting)}")
    await wire.say("STLS")
    line = await wire.line()
    if not line.startswith("+OK"):
        raise RefusalError(f"offers no STLS: answers {quoted(line)}")
    return greeting


async def starttls_ftp(wire: Wire) -> str:
    """Greeting, AUTH TLS."""
    code, lines = await _reply(wire, "FTP")
    if code != "220":
        raise RefusalError(f"greets with {quoted(lines[0])}")
    await wire.say("AUTH TLS")
    await _go_ahead(wire, "FTP", "234", "AUTH TLS")
    return lines[0]


STARTTLS: Final[dict[str, Greet]] = {
    "smtp": starttls_smtp,
    "imap": starttls_imap,
    "pop3": starttls_pop3,
    "ftp": starttls_ftp,
    "postgres": postgres_wire.starttls,
    "mysql": mysql_wire.starttls,
}
"""By protocol: all that is said before the handshake."""


async def _go_ahead(wire: Wire, protocol: str, wanted: str, asked: str) -> None:
    code, lines = await _reply(wire, protocol)
    if code != wanted:
        raise RefusalError(f"answers {asked} with {quoted(lines[0])}")


async def _reply(wire: Wire, protocol: str) -> tuple[str, list[str]]:
    """Code and lines of a reply, which may have several lines (`250-...`)."""
    lines: list[str] = []
    while len(lines) < REPLY_LINES_MAX:
        line = await wire.line()
        match = _REPLY.fullmatch(line)
        if match is None or (lines and line[:3] != lines[0][:3]):
            raise ProtocolError(f"not {protocol}: says {quoted(line)}")
        lines.append(line)
        if match["more"] != "-":
            return match["code"], lines
    raise ProtocolError(f"a reply of more than {REPLY_LINES_MAX} lines: {quoted(lines[0])}")
