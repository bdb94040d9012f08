"""The words of the MySQL protocol, as MySQL and MariaDB speak it, that a login and a query need.

Reads packets with their limits, proves the password (native, SHA-2; in the clear over TLS only), asks one
query and tells rows from errors. A server that asks for one of our files gets none. Decides nothing about
opinions.
"""

from __future__ import annotations

import hashlib
from typing import Final

from msgspec import Struct

from watchtower.core.secret import Secret
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.rows import Rows
from watchtower.probes.wires.wire import SHOWN_MAX, Wire, quoted

GOODBYE: Final = b"\x01\x00\x00\x00\x01"
_TLS: Final = 0x800
_WANTED: Final = 0x1 | 0x4 | 0x8 | 0x200 | 0x2000 | 0x8000 | 0x80000
"""Long password, long flag, a database (an empty name is none), protocol 4.1, transactions, 20 bytes of
scramble, authentication plugins. The same before and after TLS begins."""
_UTF8: Final = 45
_PACKET_MAX: Final = 0x1000000
_STEPS_MAX: Final = 5
_NATIVE: Final = "mysql_native_password"
_SHA2: Final = "caching_sha2_password"
_IN_THE_CLEAR: Final = ("mysql_clear_password", "sha256_password", "dialog")
_MEANINGS: Final = {
    **dict.fromkeys((1045, 1129, 1130, 1131, 1698, 1820, 1862, 3118, 4151), "login refused"),
    1044: "no such database, or not permitted",
    1049: "no such database",
    **dict.fromkeys((1040, 1203, 1226), "too many connections"),
    1053: "shutting down",
    1927: "connection ended by the server",
    **dict.fromkeys((1290, 1792, 1836), "read-only"),
    3159: "login refused",
}
"""Number of an error -> what it means for whoever looks; the server's own words follow."""


class Greeting(Struct, frozen=True, kw_only=True):
    """What a server says first. `version` is as people know it: `MariaDB 10.11.6`."""

    version: str
    capabilities: int
    scramble: bytes
    plugin: str


async def starttls(wire: Wire) -> str:
    """Hear the greeting and ask for TLS; the greeting is handed on, since its scramble is needed later."""
    heard = await hear(wire)
    if not greeting_in(heard).capabilities & _TLS:
        raise RefusalError("offers no TLS")
    await _say(wire, 1, _capabilities(_WANTED | _TLS))
    return heard.decode("latin-1")


async def hear(wire: Wire) -> bytes:
    """The packet that a server greets with. Raises ProtocolError, RefusalError, EOFError."""
    head = await wire.exactly(4)
    length = int.from_bytes(head[:3], "little")
    if head[3] != 0 or not 1 <= length <= 4_096:
        raise ProtocolError(f"not MySQL: greets with {quoted(head + wire.unread)}")
    body = await wire.exactly(length)
    if body[0] == 0xFF:
        raise _error(body, otherwise="refuses")
    if body[0] != 10:
        raise ProtocolError(f"not MySQL: greets with {quoted(head + body)}")
    return body


def greeting_in(body: bytes) -> Greeting:
    """What stands in the packet. Raises ProtocolError."""
    version, _, rest = body[1:].partition(b"\0")
    if len(rest) < 44:
        raise ProtocolError("not MySQL: its greeting is too short")
    length = max(rest[20] - 8, 13)
    plugin = rest[31 + length :].partition(b"\0")[0]
    return Greeting(
        version=_version(_text(version)),
        capabilities=int.from_bytes(rest[13:15] + rest[18:20], "little"),
        scramble=(rest[4:12] + rest[31 : 31 + length])[:20],
        plugin=_text(plugin) or _NATIVE,
    )


async def log_in(wire: Wire, greeting: Greeting, user: str, password: Secret | None, database: str) -> None:
    """Log in and enter the database, "" for none. Raises RefusalError, ProtocolError, EOFError."""
    flags = _WANTED | (_TLS if wire.is_secured else 0)
    said = password.reveal().encode() if password else b""
    plugin, scramble = greeting.plugin, greeting.scramble
    first = _proof(plugin, said, scramble) if plugin in (_NATIVE, _SHA2) else b""
    words = _capabilities(flags) + user.encode() + b"\0" + bytes([len(first)]) + first
    words += database.encode() + b"\0" + plugin.encode() + b"\0"
    number = 2 if wire.is_secured else 1
    await _say(wire, number, words)
    for _ in range(_STEPS_MAX):
        number, body = await _packet(wire)
        kind = body[:1]
        if kind == b"\x00":
            return
        if kind == b"\xff":
            raise _error(body, otherwise="login refused")
        if kind == b"\xfe":
            plugin, scramble = _switch(body)
            await _say(wire, number + 1, _answer(plugin, said, scramble, is_secured=wire.is_secured))
        elif body == b"\x01\x04":
            await _say(wire, number + 1, _in_the_clear(said, is_secured=wire.is_secured))
        elif body != b"\x01\x03":
            raise ProtocolError(f"not MySQL: answers the login with {quoted(body)}")
    raise ProtocolError("never ends the login")


async def ask(wire: Wire, query: str) -> Rows:
    """The rows of `query`. Raises RefusalError with the server's error."""
    await _say(wire, 0, b"\x03" + query.encode())
    _, body = await _packet(wire)
    if body[:1] == b"\xff":
        raise _error(body, otherwise="query failed")
    if body[:1] == b"\xfb":
        raise ProtocolError("asks for a file of ours instead of answering")
    columns, _ = _length(body[1:] if body[:1] == b"\x00" else body)
    if body[:1] == b"\x00":
        return Rows(count=columns)  # no result: what stands there are the rows that were changed
    for _ in range(columns + 1):
        await _packet(wire)
    found = Rows(count=0)
    while True:
        _, body = await _packet(wire)
        if body[:1] == b"\xff":
            raise _error(body, otherwise="query failed")
        if body[:1] == b"\xfe" and len(body) < 9:
            return found
        found = Rows(count=found.count + 1, value=found.value if found.count else _first_value(body))


def _capabilities(flags: int) -> bytes:
    """The part of our answer that stands before the user, and that alone asks for TLS."""
    return flags.to_bytes(4, "little") + (_PACKET_MAX).to_bytes(4, "little") + bytes([_UTF8]) + bytes(23)


def _switch(body: bytes) -> tuple[str, bytes]:
    plugin, _, scramble = body[1:].partition(b"\0")
    if not plugin:
        raise RefusalError(
            "login refused: wants passwords as before MySQL 4.1, which this probe does not speak"
        )
    return _text(plugin), scramble.rstrip(b"\0")[:20]


def _answer(plugin: str, password: bytes, scramble: bytes, *, is_secured: bool) -> bytes:
    if plugin in (_NATIVE, _SHA2):
        return _proof(plugin, password, scramble)
    if plugin in _IN_THE_CLEAR:
        return _in_the_clear(password, is_secured=is_secured)
    raise RefusalError(f"login refused: wants {quoted(plugin)}, which this probe does not speak")


def _proof(plugin: str, password: bytes, scramble: bytes) -> bytes:
    """Proves that we know the password, without saying it; an empty password has nothing to prove."""
    if not password:
        return b""
    if plugin == _NATIVE:
        inner = hashlib.sha1(password, usedforsecurity=False).digest()
        stored = hashlib.sha1(inner, usedforsecurity=False).digest()
        mask = hashlib.sha1(scramble + stored, usedforsecurity=False).digest()
    else:
        inner = hashlib.sha256(password).digest()
        mask = hashlib.sha256(hashlib.sha256(inner).digest() + scramble).digest()
    return bytes(left ^ right for left, right in zip(inner, mask, strict=True))


def _in_the_clear(password: bytes, *, is_secured: bool) -> bytes:
    if not is_secured:
        raise RefusalError("login refused: asks for the password in the clear; set `tls: true`")
    return password + b"\0"


async def _packet(wire: Wire) -> tuple[int, bytes]:
    """Number and body of the next packet."""
    head = await wire.exactly(4)
    body = await wire.exactly(int.from_bytes(head[:3], "little"))
    if not body:
        raise ProtocolError("not MySQL: sends an empty packet")
    return head[3], body


async def _say(wire: Wire, number: int, words: bytes) -> None:
    await wire.send(len(words).to_bytes(3, "little") + bytes([number % 256]) + words)


def _error(body: bytes, *, otherwise: str) -> RefusalError:
    number = int.from_bytes(body[1:3], "little")
    message = body[9:] if body[3:4] == b"#" else body[3:]
    return RefusalError(f"{_MEANINGS.get(number, otherwise)}: {_text(message)} ({number})")


def _first_value(row: bytes) -> str:
    if row[:1] == b"\xfb":
        return "null"
    length, at = _length(row)
    return _text(row[at : at + length])


def _length(words: bytes) -> tuple[int, int]:
    """A number as MySQL writes lengths, and how many bytes it took."""
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(words[0] if words else 0, 0)
    if not size:
        return int.from_bytes(words[:1]), 1
    return int.from_bytes(words[1 : 1 + size], "little"), 1 + size


def _version(text: str) -> str:
    """MariaDB says `5.5.5-` first, for replicas that know no version above."""
    parts = text.removeprefix("5.5.5-").split("-")
    name = "MariaDB" if "MariaDB" in parts else "MySQL"
    return f"{name} {parts[0]}"[:SHOWN_MAX]


def _text(words: bytes) -> str:
    return words.decode("utf-8", "replace")
