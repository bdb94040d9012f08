"""The replicated state on disk and on its way to a lagging peer: one checked file, never a pickle.

First line: magic, format, CRC-32 and length of what follows. Then JSON: cluster name, the last two log
entries (pysyncobj needs both to go on from there), and the State. A file that does not check out is
never installed and never read as "empty".
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from watchtower.cluster.replica import Replica
from watchtower.core.model import State
from watchtower.errors import ClusterError

_MAGIC: Final = b"watchtower-snapshot"
_FORMAT: Final = b"1"
_HEADER_MAX: Final = 64

Entry = tuple[bytes, int, int]


class Content(Struct, frozen=True, kw_only=True):
    """What a snapshot holds. `last` is the newest entry in `state`, `before` the one before it."""

    cluster: str
    last: Entry
    before: Entry
    state: State


class SnapshotFile:
    """pysyncobj's serializer and deserializer for one replica of one cluster."""

    def __init__(self, path: Path, cluster: str, replica: Replica) -> None:
        self.path = path
        self._cluster = cluster
        self._replica = replica

    def write(self, path: str, log_part: tuple[Entry, Entry, Any]) -> None:
        """Write the replica's state to `path`, down to the disk. pysyncobj then installs the file."""
        last, before, _members = log_part
        content = Content(cluster=self._cluster, last=last, before=before, state=self._replica.state)
        body = msgspec.json.encode(content)
        header = b" ".join((_MAGIC, _FORMAT, b"%08x" % zlib.crc32(body), b"%d" % len(body)))
        with Path(path).open("wb") as file:
            file.write(header + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())

    def read(self, path: str) -> tuple[Entry, Entry, list[Any]]:
        """Put the state of the file at `path` into the replica.

        pysyncobj swallows whatever is raised here and goes on with what it had, so any failure also
        halts the replica: a peer with half a state must not answer anybody.
        """
        try:
            content = self._load(path)
        except (ClusterError, OSError) as error:
            self._replica.halt(str(error))
            raise
        self._replica.state = content.state
        return content.last, content.before, []

    def _load(self, path: str) -> Content:
        content = load(Path(path))
        if content.cluster != self._cluster:
            raise ClusterError(f"{path} is of cluster {content.cluster!r}, this is {self._cluster!r}")
        return content


def load(path: Path) -> Content:
    """The content of a snapshot file. Raises ClusterError when it is damaged, OSError when unreadable."""
    raw = path.read_bytes()
    header, _, body = raw.partition(b"\n")
    expected = b" ".join((_MAGIC, _FORMAT, b"%08x" % zlib.crc32(body), b"%d" % len(body)))
    if header != expected:
        raise ClusterError(f"{path} is damaged: {_difference(header)}")
    try:
        return msgspec.json.decode(body, type=Content)
    except msgspec.DecodeError as error:
        raise ClusterError(f"{path} does not fit this version of watchtower: {error}") from error


def _difference(header: bytes) -> str:
    if not header[:_HEADER_MAX].startswith(_MAGIC + b" "):
        return "it is no watchtower snapshot"
    if header.split(b" ")[1] != _FORMAT:
        return "it has a format that this version of watchtower does not know"
    return "its checksum does not match"


def install(fresh: str, path: str) -> None:
    """Check the file `fresh` and put it in the place of `path`. Raises ClusterError when it is damaged.

    Stands in for pysyncobj's atomicReplace: also a snapshot that a leader sent comes this way, and when
    it is refused the leader sends it again.
    """
    load(Path(fresh))
    Path(fresh).replace(path)
    sync_folder(Path(path).parent)


def sync_folder(folder: Path) -> None:
    """Make renames in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
