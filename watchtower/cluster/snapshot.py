"""The replicated state on disk and on its way to a lagging peer: one checked file, never a pickle.

First line: magic, format, CRC-32 of all but itself, length. Then JSON: cluster name, the last two log
entries (pysyncobj goes on from both; they carry index and term), and the State. A file that does not
check out is never installed and never read as "empty"; the one before it is kept.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from watchtower.cluster.disk import Disk
from watchtower.cluster.journal import Journal
from watchtower.cluster.journal_file import BAD_JSON, DamageError, LogEntry, is_ours
from watchtower.core.model import State
from watchtower.errors import ClusterError

SNAPSHOT: Final = "snapshot"
SNAPSHOT_NEW: Final = "snapshot.new"
SNAPSHOT_PREVIOUS: Final = "snapshot.previous"
SNAPSHOT_BYTES_MAX: Final = 64 * 2**20
"""A longer snapshot is not taken from a peer; ten thousand services that all fail make a quarter of it."""
FORMAT: Final = 1

_MAGIC: Final = b"watchtower-snapshot"
_FIRST_LINE_MAX: Final = 64


class Content(Struct, frozen=True, kw_only=True):
    """What a snapshot holds. `last` is the newest entry in `state`, `before` the one before it."""

    cluster: str
    last: LogEntry
    before: LogEntry
    state: State


class SnapshotStore:
    """The newest snapshot of one folder, and the one before it. `exists`: there is one."""

    def __init__(self, disk: Disk, cluster: str, journal: Journal, *, exists: bool) -> None:
        self._disk = disk
        self._cluster = cluster
        self._journal = journal
        self.exists = exists

    def is_in_log(self, entry: LogEntry) -> bool:
        """True when this peer holds `entry` and all before it: index and term tell (Raft's log matching)."""
        if not self._journal:
            return False
        place = entry[1] - self._journal[0][1]
        return place < 0 or (place < len(self._journal) and self._journal[place][2] == entry[2])

    def raw(self) -> bytes | None:
        """The newest snapshot as it is on disk; None when there is none. Raises OSError."""
        return self._disk.read(SNAPSHOT)

    def load(self) -> Content | None:
        """The newest snapshot; None when there is none.

        Raises DamageError or ClusterError when it cannot be used, OSError when it cannot be read.
        """
        raw = self.raw()
        return None if raw is None else decode(raw, self._cluster)

    def write(self, raw: bytes) -> None:
        """Make `raw`, a checked snapshot, the newest one. Raises OSError; then the old one is still there."""
        try:
            self._disk.create(SNAPSHOT_NEW, raw)
            self._disk.sync(SNAPSHOT_NEW)
        except OSError:
            with suppress(OSError):  # it only takes room
                self._disk.remove(SNAPSHOT_NEW)
            raise
        if SNAPSHOT in self._disk.names():
            # First its name: else a power cut could keep only the renaming away of the old one.
            self._disk.sync_folder()
            self._disk.rename(SNAPSHOT, SNAPSHOT_PREVIOUS)
        self._disk.rename(SNAPSHOT_NEW, SNAPSHOT)
        self._disk.sync_folder()
        self.exists = True


def encode(content: Content) -> bytes:
    """The bytes of a snapshot file."""
    # Not sorted: a restored state must iterate like the one that was never written.
    body = msgspec.json.encode(content)
    return first_line(_MAGIC, FORMAT, body) + b"\n" + body


def decode(raw: bytes, cluster: str) -> Content:
    """The content of a snapshot file.

    Raises DamageError when it is damaged, ClusterError when it is of another cluster or version.
    """
    first, newline, _ = raw[:_FIRST_LINE_MAX].partition(b"\n")
    body = memoryview(raw)[len(first) + 1 :]
    if not newline or first != first_line(_MAGIC, FORMAT, body):
        _refuse(raw, first, body)
    try:
        content = msgspec.json.decode(body, type=Content)
    except BAD_JSON as error:
        raise ClusterError(f"does not fit this version of watchtower: {error}") from error
    if content.cluster != cluster:
        raise ClusterError(f"is of cluster {content.cluster!r}, this is {cluster!r}")
    last, before = content.last, content.before
    if not is_ours(last) or not is_ours(before) or last[1] != before[1] + 1:
        raise DamageError("holds entries that cannot be there")
    return content


def first_line(magic: bytes, version: int, body: bytes | memoryview) -> bytes:
    """The line before a checked file's `body`: what it is, its format, CRC-32 of both, and length."""
    checksum = zlib.crc32(body, zlib.crc32(b"%s %d" % (magic, version)))
    return b" ".join((magic, b"%d" % version, b"%08x" % checksum, b"%d" % len(body)))


def _refuse(raw: bytes, first: bytes, body: memoryview) -> None:
    """Raise what is wrong with a snapshot whose first line does not fit."""
    words = first.split(b" ")
    if not raw:
        raise DamageError("is empty")
    if words[0] != _MAGIC or len(words) != 4:
        raise DamageError("is no snapshot of watchtower")
    is_ours = words[2:] == first_line(_MAGIC, FORMAT, body).split(b" ")[2:]
    if words[1].isdigit() and int(words[1]) != FORMAT and not is_ours:
        raise ClusterError(f"has format {int(words[1])}, this watchtower knows format {FORMAT}")
    raise DamageError("is damaged: its checksum does not match")
