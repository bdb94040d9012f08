"""Raft's own memory: log, term, vote, commit index and quarantine, in one checked file.

The interface is that of pysyncobj's journal. Changes are buffered; `flush` brings them onto the disk as one
batch, before anybody is told. After any OSError the file is not touched again, since a failed fsync may
have dropped what it claims to hold (Rebello et al., Can Applications Recover from fsync Failures?, ATC
2020): `heal` writes a new one from memory. So does the first flush after a start: what was read then may be
in the page cache only.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import overload

from watchtower.cluster import records
from watchtower.cluster.disk import Disk, reason
from watchtower.cluster.journal_file import (
    JOURNAL,
    JOURNAL_NEW,
    JOURNAL_PREVIOUS,
    MARK,
    RECORD_BYTES,
    LogEntry,
    Note,
    Reading,
    commit_note,
    cut_note,
    entry_note,
    image,
    mark_file,
    quarantine_note,
    vote_note,
)


class Journal:
    """The log as a sequence of (command, index, term), and what else Raft must not forget.

    `trouble` is "" or why the disk takes nothing just now: until `heal` every flush raises OSError.
    `quarantine` is "" or why this peer must not vote until the others have refilled it.
    """

    def __init__(self, disk: Disk, reading: Reading, *, first_on_disk: int = 0) -> None:
        self._disk = disk
        self._head = reading.head
        self._entries = reading.entries
        self._term, self._voted_for = reading.term, reading.voted_for
        self._commit_index = self._written_commit = reading.commit_index
        self.quarantine = reading.quarantine
        self.trouble = ""
        self._pending: list[Note] = []
        self._is_anew = True
        self._first_on_disk = first_on_disk
        self._salt = self._end = 0
        self._size = self._measure()

    # ---- what pysyncobj calls

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, place: int) -> LogEntry: ...

    @overload
    def __getitem__(self, place: slice) -> list[LogEntry]: ...

    def __getitem__(self, place: int | slice) -> LogEntry | list[LogEntry]:
        return self._entries[place]

    def add(self, command: bytes, idx: int, term: int) -> None:
        """Append one entry. Raises ValueError for one that does not follow the last."""
        if self._entries and idx != self._entries[-1][1] + 1:
            raise ValueError(f"entry {idx} does not follow entry {self._entries[-1][1]}")
        entry = (bytes(command), idx, term)
        self._entries.append(entry)
        self._note(entry_note(entry))

    def clear(self) -> None:
        """Forget the whole log: a snapshot takes its place."""
        self._entries = []
        self._begin_anew()

    def deleteEntriesFrom(self, entryFrom: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Forget the entries from place `entryFrom` on."""
        if entryFrom < len(self._entries):
            self._note(cut_note(self._entries[entryFrom][1]))
            del self._entries[entryFrom:]

    def deleteEntriesTo(self, entryTo: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Forget the entries before place `entryTo`: a snapshot holds them."""
        if entryTo > 0:
            self._entries = self._entries[entryTo:]
            self._begin_anew()

    def setRaftCommitIndex(self, raftCommitIndex: int) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Note what is committed. Raises OSError when it grows and may rest on what the disk does not take.

        The number itself goes with the next batch: it is a hint for the next start.
        """
        if raftCommitIndex > self._commit_index:
            self.flush()
        self._commit_index = raftCommitIndex

    def getRaftCommitIndex(self) -> int:  # noqa: N802 - pysyncobj's name
        """Index of the last entry known to be committed."""
        return self._commit_index

    def setCurrentTerm(self, term: int, votedForNodeId: str | None) -> None:  # noqa: N802, N803 - pysyncobj's names
        """Note term and vote; like entries, they count once they are flushed."""
        self._term, self._voted_for = term, votedForNodeId or ""
        self._note(vote_note(self._term, self._voted_for))

    def getCurrentTerm(self) -> int:  # noqa: N802 - pysyncobj's name
        """The latest term this peer has seen."""
        return self._term

    def getVotedForNodeId(self) -> str | None:  # noqa: N802 - pysyncobj's name
        """Whom this peer has voted for in that term."""
        return self._voted_for or None

    def onOneSecondTimer(self) -> None:  # noqa: N802 - pysyncobj's name
        """Nothing is written for the time's sake."""

    def _destroy(self) -> None:
        """Write what is left, the commit index too, if the disk takes it: nobody counts on it."""
        if not self.trouble:
            with suppress(OSError):
                self._note_commit()
                self.flush()

    # ---- what is ours

    @property
    def is_dirty(self) -> bool:
        """True when something was changed that the disk does not have."""
        return self._is_anew or bool(self._pending)

    @property
    def size_bytes(self) -> int:
        """Length of the file, or what it will be after the next flush."""
        return self._size

    @property
    def disk_id(self) -> str:
        """Which disk this is; another one remembers nothing of what this one promised."""
        return self._head.disk_id

    def set_quarantine(self, why: str) -> None:
        """Note why this peer must not vote, or with "" that it may; counts once it is flushed."""
        if why != self.quarantine:
            self.quarantine = why
            self._note(quarantine_note(why))

    def flush(self) -> None:
        """Bring everything onto the disk. Raises OSError, with `trouble` set, when it does not take it."""
        if self.trouble:
            raise OSError(errno.EIO, self.trouble)
        if self.is_dirty:
            self._write()

    def heal(self) -> bool:
        """Write everything into a new file; True when that worked and the trouble is over."""
        if self.trouble:
            with suppress(OSError):
                self._write()
        return not self.trouble

    # ---- writing

    def _note(self, note: Note) -> None:
        self._pending.append(note)
        self._size += len(note[1]) + RECORD_BYTES

    def _note_commit(self) -> None:
        if self._commit_index != self._written_commit:
            self._note(commit_note(self._commit_index))

    def _begin_anew(self) -> None:
        self._is_anew = True
        self._size = self._measure()

    def _measure(self) -> int:
        return sum(len(entry_note(entry)[1]) + RECORD_BYTES for entry in self._entries)

    def _write(self) -> None:
        try:
            if self._is_anew:
                self._replace()
            else:
                self._append()
        except OSError as error:
            self._is_anew = True
            self.trouble = reason(error)
            raise
        self._pending.clear()
        self._written_commit = self._commit_index
        self._first_on_disk = self._entries[0][1] if self._entries else 0
        self._is_anew, self.trouble = False, ""
        # A hint beside the file, written after it and without a sync: it tells a later start that the file
        # was longer once.
        with suppress(OSError):
            self._disk.create(MARK, mark_file(self._head, self._size))

    def _append(self) -> None:
        begin = self._end
        batch = bytearray(records.mark(begin, self._salt))
        self._note_commit()
        for kind, payload in self._pending:
            batch += records.frame(kind, payload, begin + len(batch), self._salt)
        self._disk.append(JOURNAL, bytes(batch))
        self._disk.sync(JOURNAL)
        self._size = self._end = begin + len(batch)

    def _replace(self) -> None:
        """A new file in the place of the old one. When its log begins later, the old one is kept."""
        raw, head, salt = image(self._reading(), self._head.generation + 1)
        first = self._entries[0][1] if self._entries else 0
        try:
            self._disk.create(JOURNAL_NEW, raw)
            self._disk.sync(JOURNAL_NEW)
        except OSError:
            with suppress(OSError):  # it only takes room
                self._disk.remove(JOURNAL_NEW)
            raise
        if 0 < self._first_on_disk < first:
            # First its name: else a power cut could keep only the renaming away of the old one.
            self._disk.sync_folder()
            self._disk.rename(JOURNAL, JOURNAL_PREVIOUS)
            self._first_on_disk = 0
        self._disk.rename(JOURNAL_NEW, JOURNAL)
        self._disk.sync_folder()
        self._head, self._salt = head, salt
        self._size = self._end = len(raw)

    def _reading(self) -> Reading:
        return Reading(
            head=self._head,
            entries=self._entries,
            term=self._term,
            voted_for=self._voted_for,
            commit_index=self._commit_index,
            quarantine=self.quarantine,
        )
