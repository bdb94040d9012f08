"""What a journal file says, from its bytes and back: nothing here touches a disk.

A first line with magic and format, a head that says whose it is, then records in the order in which things
happened. Reading is strict: what was once on the disk and is gone is damage, and so is what could never
have been written, because one entry that pysyncobj cannot apply would stop this peer for good.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from watchtower.cluster import records
from watchtower.cluster.records import Kind, Record
from watchtower.errors import ClusterError

JOURNAL: Final = "journal"
JOURNAL_NEW: Final = "journal.new"
JOURNAL_PREVIOUS: Final = "journal.previous"
MARK: Final = "journal.mark"
FORMAT: Final = 1

OLD: Final = (
    "was written by a watchtower from before its first release: move the folder away and start again, "
    "while a majority of the other peers runs"
)

_MAGIC: Final = b"watchtower-journal "
_FIRST_LINE: Final = _MAGIC + b"%d\n" % FORMAT
_HEAD_SALT: Final = zlib.crc32(_FIRST_LINE)
"""The head's checksum covers the first line: so a rotten format is told from another version's."""
_FIRST_LINE_MAX: Final = 64
_OLD_MAGIC: Final = b"PYSYNCOBJ\0"
_ENTRY: Final = struct.Struct("<QQ")
_NUMBER: Final = struct.Struct("<Q")
_MARK: Final = struct.Struct("<IQQ")
RECORD_BYTES: Final = 9
"""What a record needs beside its payload."""
_NUMBER_MAX: Final = 2**53
_COMMANDS: Final = (b"\0", b"\1")
"""First byte of pysyncobj's regular command and of its no-op; the other kinds are never ours."""

Note = tuple[Kind, bytes]
"""What becomes a record."""
BAD_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises for bytes that are not what they should be."""
LogEntry = tuple[bytes, int, int]
"""Command, index, term: as pysyncobj wants it."""


class DamageError(ValueError):
    """A file that is not what was written. The text goes on after the file's name: "is empty"."""


class Head(Struct, frozen=True, kw_only=True):
    """Whose journal a file is. `count` records follow that were on the disk before the file got its name."""

    cluster: str
    peer: str
    disk_id: str
    generation: int
    count: int

    def follows(self, other: Head) -> bool:
        """True for the head of the file that came right after the one with head `other`."""
        return (self.disk_id, self.generation) == (other.disk_id, other.generation + 1)


class Mark(Struct, frozen=True):
    """So much of the journal of this generation was on the disk once. `disk` stands for the disk's id."""

    disk: int = 0
    generation: int = 0
    size: int = 0


class Reading(Struct, kw_only=True):
    """What a journal file says. `is_torn`: its end was torn by a crash, and is left out."""

    head: Head
    entries: list[LogEntry] = []
    term: int = 0
    voted_for: str = ""
    commit_index: int = 1
    quarantine: str = ""
    is_torn: bool = False


def entry_note(entry: LogEntry) -> Note:
    """One entry more."""
    command, index, term = entry
    return Kind.ENTRY, _ENTRY.pack(index, term) + command


def cut_note(index: int) -> Note:
    """No entries from `index` on."""
    return Kind.CUT, _NUMBER.pack(index)


def vote_note(term: int, voted_for: str) -> Note:
    """The term, and the vote in it."""
    return Kind.VOTE, _NUMBER.pack(term) + voted_for.encode()


def commit_note(index: int) -> Note:
    """So much is known to be committed."""
    return Kind.COMMIT, _NUMBER.pack(index)


def quarantine_note(why: str) -> Note:
    """Why this peer must not vote; "" when it may."""
    return Kind.QUARANTINE, why.encode()


def image(reading: Reading, generation: int) -> tuple[bytes, Head, int]:
    """A whole journal file that says what `reading` says, its head, and the salt of its records."""
    body = [
        vote_note(reading.term, reading.voted_for),
        commit_note(reading.commit_index),
        quarantine_note(reading.quarantine),
        *map(entry_note, reading.entries),
    ]
    head = msgspec.structs.replace(reading.head, generation=generation, count=len(body))
    raw = bytearray(_FIRST_LINE)
    first = records.frame(Kind.HEAD, msgspec.json.encode(head), len(raw), _HEAD_SALT)
    salt = records.checksum_of(first)
    raw += first
    for kind, payload in body:
        raw += records.frame(kind, payload, len(raw), salt)
    return bytes(raw), head, salt


def mark_file(head: Head, size: int) -> bytes:
    """The content of the file beside the journal."""
    return records.frame(Kind.MARK, _MARK.pack(_number_of(head), head.generation, size), 0)


def _number_of(head: Head) -> int:
    return zlib.crc32(head.disk_id.encode())


def read_mark(raw: bytes | None) -> Mark:
    """What the file beside the journal says; nothing when it is missing or torn, since it is never synced."""
    record = records.record_at(raw or b"", 0)
    if record is None or record.kind != Kind.MARK or len(record.payload) != _MARK.size:
        return Mark()
    return Mark(*_MARK.unpack(record.payload))


def read(raw: bytes, mark: Mark) -> Reading:
    """What a journal file says.

    Raises DamageError when it has lost something that was once on the disk, ClusterError when another
    version of watchtower wrote it.
    """
    at = _begin(raw)
    record = records.record_at(raw, at, _HEAD_SALT)
    if record is None or record.kind != Kind.HEAD:
        raise DamageError("is damaged in its first record")
    salt = records.checksum_of(raw[at : record.end])
    try:
        head = msgspec.json.decode(record.payload, type=Head)
    except BAD_JSON as error:
        raise DamageError(f"is damaged in its first record: {error}") from error
    reading = Reading(head=head)
    end, count = _replay(reading, records.scan(raw, record.end, salt), record.end)
    if count < head.count or end < _synced_size(head, mark) or records.is_synced(raw, end, salt):
        raise DamageError(f"{'is damaged' if end < len(raw) else 'was cut off'} at byte {end}")
    reading.is_torn = end < len(raw)
    return reading


def _begin(raw: bytes) -> int:
    """Where the first record begins."""
    line, newline, _ = raw[:_FIRST_LINE_MAX].partition(b"\n")
    if not raw:
        raise DamageError("is empty")
    if raw.startswith(_OLD_MAGIC):
        raise ClusterError(OLD)
    version = line.removeprefix(_MAGIC)
    if version == line or not newline or not version.isdigit():
        raise DamageError("is no journal of watchtower")
    begin = len(line) + 1
    if int(version) != FORMAT:
        if records.record_at(raw, begin, _HEAD_SALT) is not None:
            raise DamageError("is damaged in its first line")
        raise ClusterError(f"has format {int(version)}, this watchtower knows format {FORMAT}")
    return begin


def _synced_size(head: Head, mark: Mark) -> int:
    """So many bytes of the file with head `head` were on the disk once, as far as `mark` knows."""
    if mark.disk != _number_of(head) or mark.generation < head.generation:
        return 0
    if mark.generation > head.generation:
        raise DamageError("is older than the one that was last written here")
    return mark.size


def _replay(reading: Reading, found: Iterable[Record], end: int) -> tuple[int, int]:
    """Put the records into `reading`; where they end, and how many there were."""
    count = 0
    for record in found:
        try:
            _apply(reading, record.kind, record.payload)
        except (struct.error, UnicodeDecodeError) as error:
            raise DamageError(f"is damaged before byte {record.end}: {error}") from error
        end, count = record.end, count + 1
    return end, count


def _apply(reading: Reading, kind: int, payload: bytes) -> None:
    if kind == Kind.ENTRY:
        _add(reading.entries, payload)
    elif kind == Kind.CUT:
        _cut(reading.entries, *_NUMBER.unpack(payload))
    elif kind == Kind.VOTE:
        reading.term = _NUMBER.unpack_from(payload)[0]
        reading.voted_for = payload[_NUMBER.size :].decode()
    elif kind == Kind.COMMIT:
        reading.commit_index = _NUMBER.unpack(payload)[0]
    elif kind == Kind.QUARANTINE:
        reading.quarantine = payload.decode()
    elif kind != Kind.MARK:
        raise DamageError(f"holds a record of unknown kind {kind}")


def _add(entries: list[LogEntry], payload: bytes) -> None:
    index, term = _ENTRY.unpack_from(payload)
    entry = (payload[_ENTRY.size :], index, term)
    if not is_ours(entry) or (entries and (index != entries[-1][1] + 1 or term < entries[-1][2])):
        raise DamageError(f"holds an entry {index} that cannot be there")
    entries.append(entry)


def _cut(entries: list[LogEntry], index: int) -> None:
    if entries:
        del entries[max(0, index - entries[0][1]) :]


def is_ours(entry: LogEntry) -> bool:
    """True for an entry that pysyncobj can apply: another one would stop this peer for good."""
    command, index, term = entry
    return command[:1] in _COMMANDS and 1 <= index <= _NUMBER_MAX and 0 <= term <= _NUMBER_MAX
