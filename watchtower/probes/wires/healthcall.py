"""One call of grpc.health.v1.Health/Check on a connected wire: HTTP/2 by h2, the two small messages by hand.

Decides what is a gRPC answer and what is not. Everything that comes is hostile: the wire ends it after
16 KiB, so the window never grows, h2 checks every frame, and no message over MESSAGE_BYTES_MAX is kept. Only
grpc.py imports this, when it looks, because h2 comes with an extra.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from msgspec import Struct

from watchtower.core.targets import GRPC_CODES, GRPC_STATUSES, GrpcTarget
from watchtower.core.text import clean
from watchtower.probes.failures import ProtocolError, RefusalError
from watchtower.probes.wires.wire import READ_BYTES_MAX, Wire, quoted

MESSAGE_BYTES_MAX: Final = 1_024
HEADERS_BYTES_MAX: Final = 8_192
SAID_MAX: Final = 60
FRAME_HEAD_BYTES: Final = 9
SETTINGS_TYPE: Final = 4
_PREFIX_BYTES: Final = 5
# Protocol buffers: field 1 as a number; what is eight or four bytes long, and what says its length.
_STATUS_KEY: Final = 0x08
_FIXED_BYTES: Final = {1: 8, 5: 4}
_LENGTH_FIRST: Final = 2
_STREAM: Final = 1


class Answer(Struct, frozen=True, kw_only=True):
    """How the call ended: a word of GRPC_CODES, what was said to it, and a word of GRPC_STATUSES, if any."""

    code: str
    message: str = ""
    status: str = ""


class _Heard(Struct, kw_only=True):
    """What has come of the answer so far."""

    headers: dict[str, str] = {}
    body: bytes = b""
    is_over: bool = False


async def check(wire: Wire, target: GrpcTarget, *, left_s: float, user_agent: str) -> Answer:
    """Ask, and wait for the end of the answer.

    Raises ProtocolError for what is no gRPC, RefusalError for a refusal below gRPC, EOFError for an end
    without an answer.
    """
    talk = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    talk.local_settings = h2.settings.Settings(client=True, initial_values=_our_settings())
    talk.initiate_connection()
    talk.send_headers(_STREAM, _request_headers(target, left_s, user_agent))
    talk.send_data(_STREAM, _framed(_question(target.service)), end_stream=True)
    await wire.send(talk.data_to_send())
    heard, first = _Heard(), b""
    while not heard.is_over:
        words = await wire.take()
        if not words:
            raise EOFError
        if len(first) < FRAME_HEAD_BYTES:
            first += words
            _check_first(first)
        _hear(talk, words, heard)
        if (reply := talk.data_to_send()) and not heard.is_over:
            await wire.send(reply)
    return _answer(heard)


def _our_settings() -> dict[h2.settings.SettingCodes, int]:
    return {
        h2.settings.SettingCodes.ENABLE_PUSH: 0,
        h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: READ_BYTES_MAX,
        h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: HEADERS_BYTES_MAX,
    }


def _request_headers(target: GrpcTarget, left_s: float, user_agent: str) -> list[tuple[str, str]]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return [
        (":method", "POST"),
        (":scheme", "https" if target.tls else "http"),
        (":path", "/grpc.health.v1.Health/Check"),
        (":authority", f"{host}:{target.port}"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        # A second more than we wait, so that it is always us who says that it took too long.
        ("grpc-timeout", f"{round((left_s + 1) * 1000)}m"),
        ("user-agent", user_agent),
    ]


def _check_first(first: bytes) -> None:
    """Raise ProtocolError unless what comes first is SETTINGS, as it is from every HTTP/2 server.

    h2 would wait for the rest of the frame whose length and type other protocols' words seem to be.
    """
    if len(first) < FRAME_HEAD_BYTES or (first[0] == 0 and first[3] == SETTINGS_TYPE):
        return
    if first.startswith(b"HTTP/1"):
        raise ProtocolError(f"speaks HTTP/1.1, not HTTP/2: {quoted(first.splitlines()[0])}")
    raise ProtocolError(f"not HTTP/2: begins with {quoted(first)}")


def _hear(talk: h2.connection.H2Connection, words: bytes, heard: _Heard) -> None:
    try:
        events = talk.receive_data(words)
    except h2.exceptions.H2Error as error:
        raise ProtocolError(
            f"breaks the rules of HTTP/2: {clean(str(error), SAID_MAX) or type(error).__name__}"
        ) from error
    for event in events:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                heard.headers.update(_told(event.headers or []))
            case h2.events.DataReceived():
                heard.body += event.data or b""
                if len(heard.body) > MESSAGE_BYTES_MAX:
                    raise ProtocolError(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
            case h2.events.StreamEnded():
                heard.is_over = True
            case h2.events.StreamReset():
                raise RefusalError(f"breaks the call off: RST_STREAM ({_error_name(event.error_code)})")
            case h2.events.ConnectionTerminated() if (
                not heard.is_over and (event.last_stream_id or 0) < _STREAM
            ):
                raise _gone_away(event)
            case _:
                pass


def _told(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}


def _gone_away(event: h2.events.ConnectionTerminated) -> RefusalError:
    said = f": {quoted(event.additional_data)}" if event.additional_data else ""
    return RefusalError(f"takes no calls: GOAWAY ({_error_name(event.error_code)}){said}")


def _error_name(code: h2.errors.ErrorCodes | int | None) -> str:
    return code.name if isinstance(code, h2.errors.ErrorCodes) else str(code)


def _answer(heard: _Heard) -> Answer:
    """The Answer that headers, message and trailers make. Raises ProtocolError and RefusalError."""
    status, kind = heard.headers.get(":status", ""), heard.headers.get("content-type", "")
    code = heard.headers.get("grpc-status", "")
    if not code and status != "200":
        raise RefusalError(f"answers HTTP {clean(status, 5)}, no gRPC")
    if not code and not kind.startswith("application/grpc"):
        raise ProtocolError(f"not gRPC: answers {quoted(kind) if kind else 'without a content type'}")
    if not code.isdecimal() or len(code) > 3:
        raise ProtocolError(f"ends without a valid grpc-status{f': {quoted(code)}' if code else ''}")
    number = int(code)
    name = GRPC_CODES[number] if number < len(GRPC_CODES) else f"code {number}"
    message = unquote_to_bytes(heard.headers.get("grpc-message", "")).decode("utf-8", "replace")
    return Answer(code=name, message=message, status=_status(_unframed(heard.body)) if number == 0 else "")


def _framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def _unframed(body: bytes) -> bytes:
    """The one message of a body."""
    message = body[_PREFIX_BYTES:]
    if len(body) < _PREFIX_BYTES or int.from_bytes(body[1:_PREFIX_BYTES], "big") != len(message):
        raise ProtocolError(f"says OK with {len(body)} bytes that are not one message")
    if body[0]:
        raise ProtocolError("answers compressed, which nobody asked for")
    return message


def _question(service: str) -> bytes:
    """`HealthCheckRequest{service = 1: string}`."""
    name = service.encode()
    return b"\x0a" + _varint(len(name)) + name if name else b""


def _status(message: bytes) -> str:
    """The word in `HealthCheckResponse{status = 1: enum}`; what is not written is 0. Raises ProtocolError."""
    at, found = 0, 0
    try:
        while at < len(message):
            key, at = _read_varint(message, at)
            value, at = _read_field(message, at, wire_type=key & 7)
            found = value if key == _STATUS_KEY else found
    except (ValueError, IndexError):
        raise ProtocolError("the answer is no HealthCheckResponse") from None
    if at != len(message):
        raise ProtocolError("the answer is a HealthCheckResponse cut short")
    return GRPC_STATUSES[found] if found < len(GRPC_STATUSES) else f"status {found}"


def _read_field(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """The number in a field, 0 for what is none, and where it ends. Raises ValueError, IndexError."""
    if wire_type in _FIXED_BYTES:
        return 0, at + _FIXED_BYTES[wire_type]
    number, at = _read_varint(message, at)
    if wire_type == _LENGTH_FIRST:
        return 0, at + number
    if wire_type:
        raise ValueError(wire_type)
    return number, at


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends. Raises ValueError, IndexError at the end."""
    number = 0
    for shift in range(0, 70, 7):
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError(number)
