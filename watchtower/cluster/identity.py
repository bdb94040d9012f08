"""Whose data folder it is: cluster, peer, and which disk; one small checked file.

The journal's head says the same; this one tells that a peer has run here before when the journal is gone.
Whether it fits is the caller's to decide.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
from msgspec import Struct

from watchtower.cluster.journal_file import BAD_JSON, OLD, DamageError
from watchtower.errors import ClusterError

IDENTITY: Final = "identity.json"
FORMAT: Final = 2


class _Format(Struct, frozen=True):
    format: int


class Identity(Struct, frozen=True, kw_only=True):
    """Whose folder it is. `check`: of the rest, so that a flipped bit does not make it somebody else's."""

    format: int = FORMAT
    cluster: str
    peer: str
    disk_id: str
    check: int = 0

    def checked(self) -> Identity:
        """The same with the right checksum."""
        words = f"{self.format} {self.cluster} {self.peer} {self.disk_id}"
        return msgspec.structs.replace(self, check=zlib.crc32(words.encode()))


def encode(identity: Identity) -> bytes:
    """The content of the file."""
    return msgspec.json.encode(identity.checked())


def decode(raw: bytes) -> Identity:
    """What the file says. Raises DamageError, or ClusterError when another version of watchtower wrote it."""
    try:
        version = msgspec.json.decode(raw, type=_Format).format
        if version != FORMAT and not _is_ours_but_for_its_format(raw):
            raise ClusterError(
                OLD if version < FORMAT else f"has format {version}, this watchtower knows format {FORMAT}"
            )
        identity = msgspec.json.decode(raw, type=Identity)
    except BAD_JSON as error:
        raise DamageError(f"is damaged ({error})") from error
    if identity != identity.checked():
        raise DamageError("is damaged: its checksum does not match")
    return identity


def _is_ours_but_for_its_format(raw: bytes) -> bool:
    """True when it is the number of the format that has rotted: the checksum covers ours."""
    try:
        identity = msgspec.json.decode(raw, type=Identity)
    except BAD_JSON:
        return False
    ours = msgspec.structs.replace(identity, format=FORMAT)
    return ours == ours.checked()


def disk_name(made_wall: float, unique: str) -> str:
    """The name of a disk: greater than that of any its peer had before, which voids old promises."""
    return f"{max(0, round(made_wall * 1000)):013x}-{unique}"
