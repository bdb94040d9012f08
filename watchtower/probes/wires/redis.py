"""The words of Redis (RESP 2) that a login and a command need.

Reads replies of any shape with their limits and keeps of them what conditions judge: how many, and the
first value. What comes is hostile: memory is taken for what has come, and no depth of nesting costs a stack.
Decides nothing about opinions; connects nowhere.
"""

from __future__ import annotations

from typing import Final

from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.rows import Rows
from watchtower.probes.wires.wire import ANSWER_BYTES_MAX, Wire, quoted

_MEANINGS: Final = {
    "NOAUTH": "login refused",
    "WRONGPASS": "login refused",
    "NOPERM": "not permitted",
    "LOADING": "not ready",
    "MASTERDOWN": "cut off from its primary",
    "READONLY": "read-only",
    "MISCONF": "takes no writes",
    "NOREPLICAS": "takes no writes",
    "OOM": "out of memory",
    "BUSY": "busy with a script",
    "CLUSTERDOWN": "the cluster is down",
    "DENIED": "refuses",
    "ERR max number of clients reached": "too many connections",
}
"""How an error begins -> what it means for whoever looks; the server's own words follow."""


async def ask(wire: Wire, *words: str, otherwise: str = "query failed") -> Rows:
    """The reply to a command. An error raises RefusalError; one without a known meaning means `otherwise`."""
    said = [word.encode() for word in words]
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in said)
    await wire.send(b"*%d\r\n%s" % (len(said), parts))
    return await _reply(wire, otherwise)


async def _reply(wire: Wire, otherwise: str) -> Rows:
    kind, rest = await _head(wire)
    if kind == "-":
        raise _error(rest, otherwise)
    if kind != "*":
        value = await _scalar(wire, kind, rest)
        return Rows(count=0 if value is None else 1, value=value)
    count = _number(rest)
    value, left = None, count
    while left > 0:
        left -= 1
        kind, rest = await _head(wire)
        if kind == "*":
            left += max(_number(rest), 0)
            continue
        # An error inside an array (of EXEC, say) is a value like any other.
        found = await _scalar(wire, kind, rest)
        value = found if value is None else value
    return Rows(count=max(count, 0), value=value)


async def _scalar(wire: Wire, kind: str, rest: str) -> str | None:
    """A simple text, a number or a bulk text; None for the one that is not there."""
    if kind != "$":
        return rest
    length = _number(rest)
    if length < 0:
        return None
    words = await wire.exactly(length + 2)
    if not words.endswith(b"\r\n"):
        raise ProtocolError("not Redis: a text of another length than it says")
    return words[:-2].decode("utf-8", "replace")


async def _head(wire: Wire) -> tuple[str, str]:
    line = await wire.line()
    if line[:1] not in {"+", "-", ":", "$", "*"}:
        raise ProtocolError(f"not Redis: says {quoted(line)}")
    return line[0], line[1:]


def _number(text: str) -> int:
    """A length. Raises ProtocolError for what is none, or beyond any limit."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal():
        raise ProtocolError(f"not Redis: announces {quoted(text)}")
    if len(digits) > 9 or int(digits) > ANSWER_BYTES_MAX:
        raise ProtocolError(f"announces {quoted(text)} bytes or elements: ask for less")
    return int(text)


def _error(text: str, otherwise: str) -> RefusalError:
    meaning = next((told for begins, told in _MEANINGS.items() if text.startswith(begins)), otherwise)
    return RefusalError(f"{meaning}: {text}")
