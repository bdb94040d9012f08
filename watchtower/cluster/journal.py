"""This peer's own folder: lock, identity, and a look at the files before pysyncobj trusts them.

Inside are pysyncobj's journal and our snapshots. Known faults of that journal, to be replaced: records
are not fsynced, so a power cut may lose acknowledged ones; kill -9 inside its compaction may lose the
tail after the snapshot (it rewrites in place); a flipped byte inside a record goes unnoticed.
"""

from __future__ import annotations

import fcntl
import os
import struct
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from watchtower.cluster import snapshot
from watchtower.errors import ClusterError

_HEADER: Final = struct.Struct("<24s8sII")
_RECORD_MIN: Final = 16


class _Identity(Struct, frozen=True, kw_only=True):
    format: int
    cluster: str
    peer: str


class _Meta(Struct, frozen=True):
    """What library.py keeps beside the journal."""

    currentTerm: int = 0  # noqa: N815 - pysyncobj's name
    votedForNodeId: str | None = None  # noqa: N815 - pysyncobj's name
    raftCommitIndex: int = 1  # noqa: N815 - pysyncobj's name


class Storage:
    """The folder `<storage_path>/<peer>` of one running peer, locked while it is open.

    Raises ClusterError, with what to do, when the folder cannot be used, belongs to another peer or
    cluster, is in use, or holds damaged files.
    """

    def __init__(self, storage_path: str, *, cluster: str, peer: str) -> None:
        self.folder = Path(storage_path) / peer
        self.journal = self.folder / "journal"
        self.snapshot = self.folder / "snapshot"
        self._lock = -1
        try:
            self._open(cluster, peer)
        except OSError as error:
            self.close()
            raise ClusterError(
                f"the data folder {self.folder} cannot be used: {error.strerror}. "
                "`storage.path` must name a folder that this user may write."
            ) from error
        except ClusterError:
            self.close()
            raise

    def close(self) -> None:
        """Let another process use the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self, cluster: str, peer: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self._lock = _locked(self.folder / "lock")
        _check_identity(self.folder / "identity.json", _Identity(format=1, cluster=cluster, peer=peer))
        try:
            _check_files(self.journal, self.snapshot)
        except ClusterError as error:
            raise ClusterError(
                f"{error}. While a majority of the other peers runs, move {self.folder} away and start "
                "again: this peer then copies everything from them. Otherwise restore the folder."
            ) from error


def _locked(path: Path) -> int:
    """A descriptor that holds the lock; the kernel frees it when this process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise ClusterError(
            f"the data folder {path.parent} is in use by another watchtower (process {owner or 'unknown'}): "
            "stop it, or give this peer its own `storage.path`"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"%d\n" % os.getpid())
    return descriptor


def _check_identity(path: Path, mine: _Identity) -> None:
    if not path.exists():
        fresh = path.with_suffix(".tmp")
        fresh.write_bytes(msgspec.json.encode(mine))
        fresh.replace(path)
        return
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Identity)
    except msgspec.DecodeError as error:
        raise ClusterError(f"{path} is damaged: {error}") from error
    if found != mine:
        raise ClusterError(
            f"the data folder {path.parent} belongs to peer {found.peer!r} of cluster {found.cluster!r}, "
            f"this is peer {mine.peer!r} of cluster {mine.cluster!r}: use another `storage.path`, "
            "or move the folder away"
        )


def _check_files(journal: Path, snapshot_file: Path) -> None:
    """Raise ClusterError for what pysyncobj would crash on, or silently take for empty."""
    meta = journal.with_name(journal.name + ".meta")
    if not journal.exists():
        if snapshot_file.exists() or meta.exists():
            raise ClusterError(f"{journal} is missing, but this peer has run before")
        return
    indexes = _indexes(journal)
    if meta.exists():
        _check_meta(meta)
    elif indexes and indexes[-1] > 1:
        raise ClusterError(f"{meta} is missing, but the journal has entries")
    if snapshot_file.exists():
        snapshot.load(snapshot_file)
    elif indexes and indexes[0] > 1:
        raise ClusterError(f"{snapshot_file} is missing, but the journal begins at entry {indexes[0]}")


def _check_meta(path: Path) -> None:
    try:
        msgspec.json.decode(path.read_bytes(), type=_Meta)
    except msgspec.DecodeError as error:
        raise ClusterError(f"{path} is damaged: {error}") from error


def _indexes(path: Path) -> list[int]:
    """The index of each record of pysyncobj's journal. Raises ClusterError when the file is damaged."""
    raw = path.read_bytes()
    if len(raw) < _HEADER.size or not raw.startswith(b"PYSYNCOBJ\0"):
        raise ClusterError(f"{path} is damaged: it is no journal")
    end = _HEADER.unpack_from(raw)[3]
    indexes = []
    at = _HEADER.size
    while at < end:
        size = _record_size(raw, at, end)
        if size < _RECORD_MIN:
            raise ClusterError(f"{path} is damaged at byte {at}")
        indexes.append(struct.unpack_from("<Q", raw, at + 4)[0])
        at += size + 8
    if any(later != earlier + 1 for earlier, later in pairwise(indexes)):
        raise ClusterError(f"{path} is damaged: its entries do not follow one another")
    return indexes


def _record_size(raw: bytes, at: int, end: int) -> int:
    """Payload bytes of the record at `at`; 0 when its two length fields do not agree."""
    if at + 8 > min(end, len(raw)):
        return 0
    size = int(struct.unpack_from("<I", raw, at)[0])
    if at + size + 8 > min(end, len(raw)) or struct.unpack_from("<I", raw, at + 4 + size)[0] != size:
        return 0
    return size
