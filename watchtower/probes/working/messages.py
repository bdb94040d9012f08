"""What a peer and a probe worker say to each other, and how it crosses the socket between them.

The worker is told what it needs for looking and nothing else: no channel, no token, no secret of the cluster.
What a look itself needs (a password, a header) crosses here and nowhere else, and is a Secret again on the
other side. The environment of a worker is the peer's own.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from watchtower.core.model import Result
from watchtower.core.secret import Secret
from watchtower.core.settings import HttpSettings, ProbeSettings, Service, Settings
from watchtower.core.stats import ProbeStats

FRAME_BYTES_MAX: Final = 256 * 1024 * 1024
"""Ten thousand services with everything they may hold stay far below it."""
_LENGTH_BYTES: Final = 4


class Begin(Struct, frozen=True, tag="begin"):
    """Look at these services, `first` at those; `links` are the peers we are linked to."""

    settings: Settings
    first: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


class Reload(Struct, frozen=True, tag="reload"):
    """Take new settings."""

    settings: Settings


class LookAt(Struct, frozen=True, tag="look at"):
    """Look at these services out of turn, in `in_s` seconds."""

    names: tuple[str, ...]
    in_s: float


class Links(Struct, frozen=True, tag="links"):
    """The peers we are linked to now."""

    up: tuple[str, ...]


Order = Begin | Reload | LookAt | Links


class Said(Struct, frozen=True):
    """A line for the log: level, logger, text."""

    level: int
    name: str
    text: str


class Batch(Struct, frozen=True, kw_only=True):
    """What came of looking since the batch before, sent at `sent_boot`, and how the worker is doing."""

    sent_boot: float
    config_hash: str = ""
    """Of the settings that the results were looked for by."""
    results: tuple[Result, ...] = ()
    unanswered: tuple[str, ...] = ()
    stats: ProbeStats
    trouble: str = ""
    lag_s: float = 0.0
    rss_bytes: int = 0
    open_files: int = 0
    dropped_total: int = 0
    said: tuple[Said, ...] = ()


def share_of(settings: Settings, services: dict[str, Service], probe: ProbeSettings) -> Settings:
    """The part of `settings` that a worker for these services needs."""
    cluster = msgspec.structs.replace(settings.cluster, secrets=())
    return msgspec.structs.replace(
        settings, cluster=cluster, http=HttpSettings(), channels={}, services=services, probe=probe
    )


def _plain(value: Any) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"a {type(value).__name__} does not cross to a worker")


def _typed(wanted: type, value: Any) -> Any:
    if wanted is Secret and isinstance(value, str):
        return Secret(value)
    raise TypeError(f"no {wanted.__name__} comes out of a {type(value).__name__}")


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_plain)
_ORDERS: Final[msgspec.msgpack.Decoder[Order]] = msgspec.msgpack.Decoder(Order, dec_hook=_typed)
_BATCHES: Final = msgspec.msgpack.Decoder(Batch)


def frame(message: Order | Batch) -> bytes:
    """The message as it goes over the line."""
    body = _ENCODER.encode(message)
    return len(body).to_bytes(_LENGTH_BYTES) + body


def order(body: bytes) -> Order:
    """What the peer said. Raises msgspec.MsgspecError."""
    return _ORDERS.decode(body)


def batch(body: bytes) -> Batch:
    """What the worker said. Raises msgspec.MsgspecError."""
    return _BATCHES.decode(body)


class Frames:
    """Cuts what was read into whole messages."""

    def __init__(self) -> None:
        self._read = bytearray()

    def feed(self, more: bytes) -> list[bytes]:
        """The bodies that are complete now. Raises ValueError for a length that nobody sends."""
        self._read += more
        bodies, start = [], 0
        while len(self._read) - start >= _LENGTH_BYTES:
            length = int.from_bytes(self._read[start : start + _LENGTH_BYTES])
            if length > FRAME_BYTES_MAX:
                raise ValueError(f"a message of {length} bytes")
            end = start + _LENGTH_BYTES + length
            if len(self._read) < end:
                break
            bodies.append(bytes(self._read[start + _LENGTH_BYTES : end]))
            start = end
        del self._read[:start]
        return bodies
