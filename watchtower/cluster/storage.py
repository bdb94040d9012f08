"""What a peer finds in its folder at its start, and what it makes of it: go on, repair, forget, or refuse.

It goes on only from files that can be shown to hold everything this peer ever acknowledged: the newest
snapshot and the journal, or the ones before them, joined. Else damaged files are set aside, never read as
empty, and the peer starts from the best valid snapshot with `amnesia`: it must not vote until the others
have refilled it. A peer that is alone, and files of others or of a newer version, are refused with what to
do. Whose folder it is stands in `identity.json`; the lock keeps a second process out.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from watchtower.cluster import identity as identity_file
from watchtower.cluster import journal_file
from watchtower.cluster import snapshot as snapshot_file
from watchtower.cluster.disk import Disk, FolderDisk, reason
from watchtower.cluster.identity import IDENTITY, Identity
from watchtower.cluster.journal import Journal
from watchtower.cluster.journal_file import (
    JOURNAL,
    JOURNAL_NEW,
    JOURNAL_PREVIOUS,
    MARK,
    DamageError,
    Head,
    LogEntry,
    Mark,
    Reading,
)
from watchtower.cluster.snapshot import SNAPSHOT, SNAPSHOT_NEW, SNAPSHOT_PREVIOUS, Content, SnapshotStore
from watchtower.errors import ClusterError

EMPTY: Final = "its data folder is empty"
WITHOUT_OTHERS: Final = (
    "restore a backup (`watchtower cluster restore`), "
    "or begin with what is left (`watchtower cluster rescue`)"
)
"""What to do about damage when nobody can refill this peer."""

_COPY: Final = "copy.new"
_OURS: Final = (IDENTITY, JOURNAL, JOURNAL_PREVIOUS, SNAPSHOT, SNAPSHOT_PREVIOUS)
_UNREADABLE: Final = (errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EFBIG)
"""What a bad sector says; other errors are about permission, and no damage."""
_MISSING: Final = "is missing"
_NO_MARK: Final = Mark()
_T = TypeVar("_T")


class _Way(Struct, frozen=True):
    """A snapshot file, "" for none, with a log that goes on from it without a gap."""

    name: str
    content: Content | None
    entries: list[LogEntry]


class Storage:
    """The journal and the snapshots of one peer in one folder, checked.

    `findings` are plain sentences for the log; `amnesia` is "" or why this peer must not vote until it is
    refilled; `disk_id` is another one whenever the peer may have forgotten something. Raises ClusterError,
    with what to do, when the folder is of another peer, cluster or version, cannot be used, or is damaged
    while there is nobody to copy from (`alone`).
    """

    journal: Journal
    snapshots: SnapshotStore

    def __init__(
        self, disk: Disk, *, cluster: str, peer: str, alone: bool, new_id: Callable[[], str]
    ) -> None:
        self._disk = disk
        self._cluster, self._peer = cluster, peer
        self._alone = alone
        self._new_id = new_id
        self._findings: list[str] = []
        self._problems: dict[str, str] = {}
        try:
            self._open()
        except OSError as error:
            raise ClusterError(
                f"the data folder {disk.place} cannot be used: {reason(error)}. "
                "`storage.path` must name a folder that this user may write, with room in it."
            ) from error

    @property
    def findings(self) -> tuple[str, ...]:
        """What the start found and did."""
        return tuple(self._findings)

    @property
    def amnesia(self) -> str:
        """Why this peer must not vote yet; kept in the journal until somebody clears it there."""
        return self.journal.quarantine

    @property
    def disk_id(self) -> str:
        """Which disk this is."""
        return self.journal.disk_id

    # ---- what to do

    def _open(self) -> None:
        names = self._disk.names()
        identity = None
        if any(name in names for name in _OURS):
            self._finish_renames(names)
            identity = self._load(IDENTITY, self._parse_identity)
            if identity is None:
                self._findings.append(f"{IDENTITY} {self._problems.get(IDENTITY, _MISSING)}: written anew.")
            self._go_on(identity.disk_id if identity is not None else "")
        else:
            self._begin(None, "" if self._alone else EMPTY)
        if identity is None or identity.disk_id != self.disk_id:
            self._write_identity()

    def _go_on(self, disk_id: str) -> None:
        """From the files of an earlier run. `disk_id`: whose memory they must be; "" when nothing says it."""
        reading = self._read_journal(disk_id)
        content = self._read_snapshot(SNAPSHOT)
        if reading is None:
            self._forget(content)
        elif SNAPSHOT not in self._problems and self._fits(content, reading.entries):
            self._take(reading, content, reading.entries[0][1] if reading.entries else 0)
        elif (way := next(self._ways(content, reading.entries), None)) is not None:
            self._repair(reading, way)
        else:
            self._forget(content)
        if reading is not None and reading.is_torn:
            self._findings.append("A crash tore the end of the journal: cut off; nobody had been told of it.")

    def _fits(self, content: Content | None, entries: list[LogEntry]) -> bool:
        """True when the log goes on from the snapshot, or from the beginning of all; else notes why not."""
        first = entries[0][1] if entries else 1
        if content is None and first > 1:
            self._problems[SNAPSHOT] = f"is missing, but the journal begins at entry {first}"
        elif content is not None and first > content.before[1]:
            self._problems[SNAPSHOT] = f"ends at entry {content.last[1]}, but the journal begins at {first}"
        return SNAPSHOT not in self._problems

    def _ways(self, content: Content | None, entries: list[LogEntry]) -> Iterator[_Way]:
        """Other ways to everything that was acknowledged, best first."""
        previous = self._read_snapshot(SNAPSHOT_PREVIOUS)
        logs = [entries]
        older = self._load(JOURNAL_PREVIOUS, self._parse_journal)
        if older is not None and (joined := _joined(older.entries, entries)):
            logs.append(joined)
        for name, base in ((SNAPSHOT, content), (SNAPSHOT_PREVIOUS, previous)):
            if base is not None:
                yield from (_Way(name, base, log) for log in logs if _place_in(log, base) >= 0)
        yield from (_Way("", None, log) for log in logs if log and log[0][1] == 1)

    def _repair(self, reading: Reading, way: _Way) -> None:
        """Everything is there, but not where it should be."""
        said = self._said()
        reading.entries = way.entries
        self._take(reading, way.content, 0)
        if way.name != SNAPSHOT:
            self._set_aside(SNAPSHOT)
        if way.name == SNAPSHOT_PREVIOUS:
            self._disk.rename(SNAPSHOT_PREVIOUS, SNAPSHOT)
        self._disk.sync_folder()
        self._findings.append(f"{said}; repaired from the files before it, nothing is lost.")

    def _forget(self, content: Content | None) -> None:
        """What this peer acknowledged cannot be shown to be complete. Refuses when nobody can refill it."""
        said = self._said()
        if self._alone:
            raise ClusterError(
                f"{said} (in {self._disk.place}), and there is no other peer to copy from: {WITHOUT_OTHERS}"
            )
        best = content
        self._set_aside(JOURNAL)
        if best is None:
            self._set_aside(SNAPSHOT)
            best = self._read_snapshot(SNAPSHOT_PREVIOUS)
            if best is not None:
                self._disk.rename(SNAPSHOT_PREVIOUS, SNAPSHOT)
        self._begin(best, said)
        start = f"its snapshot up to entry {best.last[1]}" if best is not None else "nothing"
        self._findings.append(
            f"{said}; set aside as *.damaged. This peer starts from {start} and does not vote until the "
            "others have refilled it."
        )

    def _begin(self, content: Content | None, quarantine: str) -> None:
        """A new journal, on what is from now on another disk."""
        head = Head(cluster=self._cluster, peer=self._peer, disk_id=self._new_id(), generation=0, count=0)
        term = content.last[2] if content is not None else 0
        self._take(Reading(head=head, term=term, quarantine=quarantine), content, 0)
        self.journal.flush()

    def _take(self, reading: Reading, content: Content | None, first_on_disk: int) -> None:
        if content is not None:
            reading.entries = _from_snapshot(reading.entries, content)
        known = content.last[1] if content is not None else 1
        last = reading.entries[-1][1] if reading.entries else 1
        reading.commit_index = min(max(reading.commit_index, known), last)
        self.journal = Journal(self._disk, reading, first_on_disk=first_on_disk)
        self.snapshots = SnapshotStore(self._disk, self._cluster, self.journal, exists=content is not None)

    # ---- files

    def _finish_renames(self, names: tuple[str, ...]) -> None:
        """A crash between two renames leaves the newest file without its name; any other new file is void."""
        if JOURNAL_NEW in names:
            new = self._load(JOURNAL_NEW, self._parse_journal)
            old = self._load(JOURNAL_PREVIOUS, self._parse_journal)
            is_next = new is not None and old is not None and new.head.follows(old.head)
            self._name_or_remove(JOURNAL_NEW, JOURNAL, is_due=is_next and JOURNAL not in names)
        if SNAPSHOT_NEW in names:
            is_due = SNAPSHOT not in names and self._read_snapshot(SNAPSHOT_NEW) is not None
            self._name_or_remove(SNAPSHOT_NEW, SNAPSHOT, is_due=is_due)

    def _name_or_remove(self, new: str, name: str, *, is_due: bool) -> None:
        raw = self._disk.read(new) if is_due else None
        if raw is not None:
            # A copy: the process may have been killed before it synced this one, and what was read of it is
            # in the cache only.
            self._put(name, raw)
        self._disk.remove(new)

    def _put(self, name: str, raw: bytes) -> None:
        """Make `raw` the whole of a file, at once and for good."""
        self._disk.create(_COPY, raw)
        self._disk.sync(_COPY)
        self._disk.rename(_COPY, name)
        self._disk.sync_folder()

    def _load(self, name: str, parse: Callable[[bytes], _T]) -> _T | None:
        """What the file `name` says; None when there is none or, with the problem noted, none of use."""
        try:
            raw = self._disk.read(name)
            return None if raw is None else parse(raw)
        except DamageError as error:
            self._problems[name] = str(error)
        except ClusterError as error:
            raise ClusterError(f"{self._disk.place}/{name} {error}") from error
        except OSError as error:
            if error.errno not in _UNREADABLE:
                raise
            self._problems[name] = f"cannot be read ({reason(error)})"
        return None

    def _read_journal(self, disk_id: str) -> Reading | None:
        """The journal, checked against what was once on the disk."""
        mark = self._load(MARK, journal_file.read_mark) or Mark()
        reading = self._load(JOURNAL, lambda raw: self._parse_journal(raw, mark))
        if reading is None:
            self._problems.setdefault(JOURNAL, f"{_MISSING}, but this peer has run before")
        elif disk_id not in ("", reading.head.disk_id) and not reading.quarantine:
            self._problems[JOURNAL] = "is from before this peer lost its memory"
            return None
        return reading

    def _read_snapshot(self, name: str) -> Content | None:
        return self._load(name, lambda raw: snapshot_file.decode(raw, self._cluster))

    def _parse_journal(self, raw: bytes, mark: Mark = _NO_MARK) -> Reading:
        reading = journal_file.read(raw, mark)
        self._check_owner(reading.head.cluster, reading.head.peer)
        return reading

    def _parse_identity(self, raw: bytes) -> Identity:
        found = identity_file.decode(raw)
        self._check_owner(found.cluster, found.peer)
        return found

    def _check_owner(self, cluster: str, peer: str) -> None:
        if (cluster, peer) != (self._cluster, self._peer):
            raise ClusterError(
                f"belongs to peer {peer!r} of cluster {cluster!r}, this is peer {self._peer!r} of cluster "
                f"{self._cluster!r}: use another `storage.path`, or move the folder away"
            )

    def _write_identity(self) -> None:
        identity = Identity(cluster=self._cluster, peer=self._peer, disk_id=self.disk_id)
        self._put(IDENTITY, identity_file.encode(identity))

    def _set_aside(self, name: str) -> None:
        """Keep a damaged file for who wants to look at it, and the one before it; older ones go."""
        names = self._disk.names()
        if name in names:
            if f"{name}.damaged" in names:
                self._disk.rename(f"{name}.damaged", f"{name}.damaged.older")
            self._disk.rename(name, f"{name}.damaged")

    def _said(self) -> str:
        return " and ".join(
            f"{name} {self._problems[name]}" for name in (JOURNAL, SNAPSHOT) if name in self._problems
        )


def _from_snapshot(entries: list[LogEntry], content: Content) -> list[LogEntry]:
    """The log from the snapshot on, as pysyncobj wants it: else it would throw all of it away.

    A log that does not hold the snapshot's last entries ended before it, or went another way: a crash came
    between taking a leader's snapshot and beginning the log anew.
    """
    place = _place_in(entries, content)
    return entries[place:] if place >= 0 else [content.before, content.last]


def _place_in(entries: list[LogEntry], content: Content) -> int:
    """Where in the log the snapshot's last two entries stand; -1 when they do not."""
    place = content.before[1] - entries[0][1] if entries else -1
    return place if place >= 0 and entries[place : place + 2] == [content.before, content.last] else -1


def _joined(older: list[LogEntry], newer: list[LogEntry]) -> list[LogEntry] | None:
    """One log of two; None unless a common entry shows that they are one (Raft's log matching)."""
    if not older or not newer:
        return None
    place = newer[0][1] - older[0][1]
    if not 0 <= place < len(older) or older[place] != newer[0]:
        return None
    return older[:place] + newer


class Folder:
    """An opened data folder: locked, for this user alone."""

    def __init__(self, disk: FolderDisk, lock: int) -> None:
        self.disk = disk
        self._lock = lock

    def close(self) -> None:
        """Let another process use the folder."""
        self.disk.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def open_folder(storage_path: str, peer: str) -> Folder:
    """The folder `<storage_path>/<peer>`, made if need be. Raises ClusterError when it cannot be used."""
    path = Path(storage_path) / peer
    try:
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        FolderDisk(path.parent).sync_folder()
        return Folder(FolderDisk(path), _locked(path / "lock"))
    except OSError as error:
        raise ClusterError(
            f"the data folder {path} cannot be used: {reason(error)}. "
            "`storage.path` must name a folder that this user may write."
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
