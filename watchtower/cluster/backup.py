"""A backup: the replicated state in one checked file; `cluster backup` writes it, `cluster restore` reads it.

First line: magic, format, CRC-32 of all but itself, length; then the State as JSON. It holds what people
were told and what they have to hear, and no secret. Whose log it stood in does not matter: a restored
peer begins a new one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from watchtower.cluster.snapshot import first_line
from watchtower.core.model import State
from watchtower.errors import ClusterError

_MAGIC: Final = b"watchtower-backup"
_FORMAT: Final = 1
BYTES_MAX: Final = 64 * 2**20


def encode(state: State) -> bytes:
    """The bytes of a backup of `state`."""
    body = msgspec.json.encode(state)
    return first_line(_MAGIC, _FORMAT, body) + b"\n" + body


def decode(raw: bytes) -> State:
    """The state of a backup. Raises ClusterError with the reason when it is none, or damaged."""
    header, _, body = raw.partition(b"\n")
    if not header[:64].startswith(_MAGIC + b" "):
        raise ClusterError("this is no watchtower backup")
    if header.split(b" ")[1] != b"%d" % _FORMAT:
        raise ClusterError("this backup was written by a newer watchtower: use that version to restore it")
    if header != first_line(_MAGIC, _FORMAT, body):
        raise ClusterError("this backup is damaged: its checksum does not match; use another one")
    try:
        return msgspec.json.decode(body, type=State)
    except msgspec.DecodeError as error:
        raise ClusterError(f"this backup does not fit this version of watchtower: {error}") from error
