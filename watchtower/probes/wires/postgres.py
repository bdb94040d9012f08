"""The words of PostgreSQL's protocol 3.0 that a login and a query need.

Reads messages with their limits, logs in (SCRAM, MD5, or in the clear over TLS only), asks one simple query
and tells rows from errors. What comes is hostile. Decides nothing about opinions; connects nowhere.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

from watchtower.core.secret import Secret
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.rows import Rows
from watchtower.probes.wires.scram import MECHANISM, Exchange
from watchtower.probes.wires.wire import SHOWN_MAX, Wire, quoted

GOODBYE: Final = b"X\x00\x00\x00\x04"
_VERSION: Final = (196_608).to_bytes(4)
_TLS_PLEASE: Final = (8).to_bytes(4) + (80_877_103).to_bytes(4)
_LOGIN: Final = b"RESKNZv"
_ANSWER: Final = b"TDCENSZIAGHW"
_MESSAGES_MAX: Final = 10_000
_LOGIN_MESSAGE_MAX: Final = 65_536
_MEANINGS: Final = {
    "28000": "login refused",
    "28P01": "login refused",
    "3D000": "no such database",
    "53300": "too many connections",
    "57P01": "shutting down",
    "57P02": "crashed and restarts",
    "57P03": "not ready",
    "25006": "read-only",
}
"""SQLSTATE of an error -> what it means for whoever looks; the server's own words follow."""
_OTHER_WAYS: Final = {2: "Kerberos", 6: "SCM credentials", 7: "GSSAPI", 9: "SSPI"}


async def starttls(wire: Wire) -> str:
    """Ask for TLS, which a server of PostgreSQL grants with a single letter."""
    await wire.send(_TLS_PLEASE)
    granted = await wire.exactly(1)
    if granted == b"N":
        raise RefusalError("offers no TLS")
    if granted == b"E":
        raise RefusalError(f"offers no TLS: says {quoted(wire.unread)}")
    if granted != b"S":
        raise ProtocolError(f"not PostgreSQL: says {quoted(granted + wire.unread)}")
    return ""


async def log_in(wire: Wire, user: str, password: Secret | None, database: str) -> str:
    """Log in until the server is ready; gives its version. Raises RefusalError, ProtocolError, EOFError."""
    said = ("user", user, "database", database, "application_name", "watchtower", "client_encoding", "UTF8")
    words = _VERSION + b"".join(word.encode() + b"\0" for word in said) + b"\0"
    await wire.send((len(words) + 4).to_bytes(4) + words)
    login, version = _Login(wire, user, password), ""
    for _ in range(_MESSAGES_MAX):
        kind, body = await _message(wire, _LOGIN)
        if kind == b"R":
            await login.answer(body)
        elif kind == b"S" and body.startswith(b"server_version\0"):
            # Distributors add their own words in parentheses.
            version = _text(body[15:].split(b"\0", 1)[0]).partition(" ")[0][:SHOWN_MAX]
        elif kind == b"Z":
            return version
    raise ProtocolError("never gets ready")


async def ask(wire: Wire, query: str) -> Rows:
    """The rows of the last statement of `query`. Raises RefusalError with the server's error."""
    words = query.encode() + b"\0"
    await wire.send(b"Q" + (len(words) + 4).to_bytes(4) + words)
    found = Rows(count=0)
    while True:
        kind, body = await _message(wire, _ANSWER)
        if kind == b"T":
            found = Rows(count=0)
        elif kind == b"D":
            value = found.value if found.count else _first_value(body)
            found = Rows(count=found.count + 1, value=value)
        elif kind == b"C" and not found.count:
            # Without rows the last word of the tag says how many were changed: `UPDATE 3`.
            changed = _text(body.rstrip(b"\0")).rpartition(" ")[2]
            found = Rows(count=int(changed) if changed.isdecimal() and len(changed) < 19 else 0)
        elif kind in b"GHW":
            raise RefusalError("the query begins a COPY, which has no result")
        elif kind == b"Z":
            return found


class _Login:
    """What was asked of us so far: each way to log in is answered once and in its order."""

    def __init__(self, wire: Wire, user: str, password: Secret | None) -> None:
        self._wire = wire
        self._user = user
        self._password = password
        self._scram: Exchange | None = None
        self._answered: set[int] = set()

    async def answer(self, body: bytes) -> None:
        """Do what an Authentication message asks for."""
        way, rest = int.from_bytes(body[:4]), body[4:]
        if way in self._answered:
            raise ProtocolError("not PostgreSQL: asks for the same login twice")
        self._answered.add(way)
        if way == 0:
            self._check_proof()
        elif way in _OTHER_WAYS:
            raise RefusalError(f"login refused: wants {_OTHER_WAYS[way]}, which this probe does not speak")
        elif self._password is None:
            raise RefusalError("login refused: asks for a password, and none is configured")
        else:
            await self._prove(way, rest, self._password.reveal())

    async def _prove(self, way: int, rest: bytes, password: str) -> None:
        if way == 3:
            await self._say(_in_the_clear(password, is_secured=self._wire.is_secured))
        elif way == 5:
            await self._say(_md5(self._user, password, rest[:4]))
        elif way == 10:
            self._scram = Exchange(password, secrets.token_urlsafe(18))
            await self._begin_scram(self._scram, rest)
        elif way == 11 and self._scram is not None:
            await self._say(self._scram.proof(rest))
        elif way == 12 and self._scram is not None:
            self._scram.check(rest)
        else:
            raise ProtocolError(f"not PostgreSQL: asks for a login of kind {way}")

    def _check_proof(self) -> None:
        """Who let us in after SCRAM must have said that it knows the password as well."""
        if self._scram is not None and 12 not in self._answered:
            raise ProtocolError("does not prove that it knows the password: not the server it should be")

    async def _begin_scram(self, scram: Exchange, offered: bytes) -> None:
        mechanisms = offered.split(b"\0")
        if MECHANISM.encode() not in mechanisms:
            told = quoted(b" ".join(mechanisms).strip())
            raise RefusalError(f"login refused: offers {told}, not {MECHANISM}")
        first = scram.first()
        await self._say(MECHANISM.encode() + b"\0" + len(first).to_bytes(4) + first)

    async def _say(self, words: bytes) -> None:
        await self._wire.send(b"p" + (len(words) + 4).to_bytes(4) + words)


def _in_the_clear(password: str, *, is_secured: bool) -> bytes:
    if not is_secured:
        raise RefusalError("login refused: asks for the password in the clear; set `tls: true`")
    return password.encode() + b"\0"


def _md5(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode() + b"\0"


async def _message(wire: Wire, known: bytes) -> tuple[bytes, bytes]:
    """Letter and body of the next message that is no error. An error raises RefusalError."""
    head = await wire.exactly(5)
    kind, length = head[:1], int.from_bytes(head[1:])
    is_endless = known is _LOGIN and length > _LOGIN_MESSAGE_MAX
    if kind == b"E" and is_endless:
        # What a server says that cannot even start a process for us has no length.
        raise RefusalError(f"refuses: says {quoted(head[1:] + wire.unread)}")
    if kind not in known or length < 4 or is_endless:
        raise ProtocolError(f"not PostgreSQL: says {quoted(head + wire.unread)}")
    body = await wire.exactly(length - 4)
    if kind == b"E":
        raise _error(body, is_query=known is _ANSWER)
    return kind, body


def _error(body: bytes, *, is_query: bool) -> RefusalError:
    fields = {_text(part[:1]): _text(part[1:]) for part in body.split(b"\0") if part}
    code, message = fields.get("C", "")[:5], fields.get("M", "no message")
    meaning = _MEANINGS.get(code, "query failed" if is_query else "refuses")
    return RefusalError(f"{meaning}: {message} ({code})")


def _first_value(row: bytes) -> str | None:
    if int.from_bytes(row[:2]) == 0:
        return None
    length = int.from_bytes(row[2:6], signed=True)
    return "null" if length < 0 else _text(row[6 : 6 + length])


def _text(words: bytes) -> str:
    return words.decode("utf-8", "replace")
