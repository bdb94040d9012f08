"""The words of AMQP 0-9-1, as RabbitMQ speaks it, that a login and a look at a queue need.

pamqp (the extra `amqp`) makes and reads frames; how large they may be, which are expected and what a broker's
refusal means is decided here. What comes is hostile. Decides nothing about opinions; connects nowhere.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from msgspec import Struct
from pamqp import commands, exceptions, frame, header

from watchtower.core.secret import Secret
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.wire import SHOWN_MAX, Wire, quoted

_FRAME_BYTES_MAX: Final = 65_536
_FRAMES_MAX: Final = 50
_FRAME_END: Final = 0xCE
_NONSENSE: Final = (
    exceptions.PAMQPException, struct.error, ArithmeticError, AttributeError, LookupError, RecursionError,
    TypeError, ValueError,
)  # fmt: skip
"""All that reading a frame of nonsense was seen to raise, and its kin."""
_MEANINGS: Final = {
    320: "shutting down",
    403: "not permitted",
    404: "no such queue",
    405: "the queue is another connection's own",
    506: "out of resources",
    530: "no such virtual host, or not permitted",
    541: "internal error",
}
"""Code that a broker closes with -> what it means for whoever looks; its own words follow."""
_NOWHERE: Final = "watchtower.nowhere"


class Queue(Struct, frozen=True, kw_only=True):
    """What a broker says of a queue."""

    messages: int
    consumers: int


async def log_in(wire: Wire, user: str, password: str, vhost: str) -> str:
    """Log in to a virtual host; gives what the broker calls itself. Raises RefusalError, ProtocolError."""
    await wire.send(header.ProtocolHeader().marshal())
    start = await _awaited(wire, commands.Connection.Start, otherwise="refuses")
    if "PLAIN" not in str(start.mechanisms).split():
        raise RefusalError(f"login refused: offers {quoted(str(start.mechanisms))}, not PLAIN")
    mine: dict[str, Any] = {
        "product": "watchtower",
        "capabilities": {"authentication_failure_close": True, "connection.blocked": True},
    }
    said = f"\0{user}\0{password}"
    await _send(wire, 0, commands.Connection.StartOk(mine, "PLAIN", said, "en_US"))
    await _awaited(wire, commands.Connection.Tune, otherwise="login refused")
    # No heartbeats: the look is over before the first could be due.
    await _send(wire, 0, commands.Connection.TuneOk(1, _FRAME_BYTES_MAX, 0), commands.Connection.Open(vhost))
    await _awaited(wire, commands.Connection.OpenOk, otherwise="login refused")
    return _name(start.server_properties)


async def open_channel(wire: Wire) -> None:
    """Open the one channel that a look needs."""
    await _send(wire, 1, commands.Channel.Open())
    await _awaited(wire, commands.Channel.OpenOk)


async def look_at(wire: Wire, queue: str) -> Queue:
    """How many messages and consumers a queue has; RefusalError when there is none."""
    await _send(wire, 1, commands.Queue.Declare(queue=queue, passive=True))
    told = await _awaited(wire, commands.Queue.DeclareOk)
    return Queue(messages=int(told.message_count or 0), consumers=int(told.consumer_count or 0))


async def publish(wire: Wire) -> None:
    """Publish an empty message that reaches no queue. RefusalError when the broker takes none.

    A broker that is short of memory or disk says so to those who publish, and reads nothing after that.
    """
    message = commands.Basic.Publish(routing_key=_NOWHERE), header.ContentHeader(body_size=0)
    await _send(wire, 1, *message, commands.Channel.Close(200, "done", 0, 0))
    await _awaited(wire, commands.Channel.CloseOk)


def goodbye() -> bytes:
    """What is said before hanging up."""
    return frame.marshal(commands.Connection.Close(200, "done", 0, 0), 0)


async def _send(wire: Wire, channel: int, *frames: Any) -> None:
    """Send frames at one go: a second small packet would wait for the first to be acknowledged."""
    await wire.send(b"".join(frame.marshal(one, channel) for one in frames))


async def _awaited(wire: Wire, wanted: type[Any], *, otherwise: str = "") -> Any:
    """The method that is awaited; what may come before it is passed over, and a refusal raises."""
    for _ in range(_FRAMES_MAX):
        method = await _frame(wire)
        if isinstance(method, wanted):
            return method
        if isinstance(method, commands.Connection.Close | commands.Channel.Close):
            raise _refusal(int(method.reply_code or 0), str(method.reply_text), otherwise)
        if isinstance(method, commands.Connection.Blocked):
            raise RefusalError(f"takes no messages: {method.reason}")
    raise ProtocolError("never answers what it was asked")


async def _frame(wire: Wire) -> Any:
    head = await wire.exactly(7)
    if head[:4] == b"AMQP":
        version = ".".join(str(number) for number in head[4:] + await wire.exactly(1))
        raise ProtocolError(f"speaks another AMQP: version {version}")
    size = int.from_bytes(head[3:])
    if head[0] not in {1, 2, 3, 8} or size > _FRAME_BYTES_MAX:
        raise ProtocolError(f"not AMQP: says {quoted(head + wire.unread)}")
    body = await wire.exactly(size + 1)
    if body[-1] != _FRAME_END:
        raise ProtocolError("not AMQP: a frame does not end where it says")
    try:
        return frame.unmarshal(head + body)[2]
    except _NONSENSE:
        raise ProtocolError("not AMQP: a frame makes no sense") from None


def _refusal(code: int, text: str, otherwise: str) -> RefusalError:
    meaning = _MEANINGS.get(code, otherwise or "refuses")
    if code == 403 and otherwise:
        meaning = otherwise
    if "connection limit" in text:
        meaning = "too many connections"
    return RefusalError(f"{meaning}: {text} ({code})")


def _name(properties: Any) -> str:
    said = properties if isinstance(properties, dict) else {}
    product, version = (str(said.get(key, "")) for key in ("product", "version"))
    return f"{product or 'AMQP'} {version}".strip()[:SHOWN_MAX]


def revealed(password: Secret | None) -> str:
    """The password, "" when there is none: a broker always asks."""
    return password.reveal() if password else ""
