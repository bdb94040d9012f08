"""A peer's memory driven as pysyncobj drives it, on a simulated disk, with a note of what was acknowledged.

`Memory` is one life of one peer: entries, cuts, votes, commits, compaction, a snapshot from a leader. The
state is a running hash of the entries, so a lost, repeated or reordered one shows. Not a test itself.
"""

from __future__ import annotations

import hashlib
import zlib

from support.sim_disk import SimDisk

from watchtower.cluster.exchange import SnapshotExchange
from watchtower.cluster.journal_file import LogEntry
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import Content, encode
from watchtower.cluster.storage import Storage
from watchtower.core.model import State

CLUSTER = "prod"
NO_OP = (b"\1", 1, 0)


class Memory:
    """One peer from a start on. `acked` is what it has told others: log, term, vote."""

    def __init__(self, disk: SimDisk, *, alone: bool = False) -> None:
        self.disk = disk
        self.storage = open_storage(disk, alone=alone)
        self.journal = self.storage.journal
        self.replica = Replica()
        self.exchange = SnapshotExchange(self.storage.snapshots, self.replica, CLUSTER)
        self.applied = 1
        if not len(self.journal):
            self.journal.add(*NO_OP)
        if self.storage.snapshots.exists:
            _, last, before, _ = self.exchange.deserialize()
            assert (self.journal[0], self.journal[1]) == (before, last)
            self.applied = last[1]

    @property
    def last(self) -> LogEntry:
        """The newest entry."""
        return self.journal[-1]

    def entries(self) -> dict[int, LogEntry]:
        """The log by index."""
        return {entry[1]: entry for entry in self.journal[:]}

    def append(self, count: int, term: int, text: str = "entry") -> None:
        """Add entries, as a leader's proposals or a follower's appends do."""
        for _ in range(count):
            index = self.last[1] + 1
            self.journal.add(command(index, term, text), index, term)

    def cut(self, index: int) -> None:
        """Drop the entries from `index` on, as a follower does with what a new leader does not have."""
        self.journal.deleteEntriesFrom(index - self.journal[0][1])

    def commit(self, index: int) -> None:
        """The entries up to `index` are committed, and applied."""
        self.journal.setRaftCommitIndex(index)
        log = self.entries()
        for each in range(self.applied + 1, index + 1):
            self.replica.state = rolled(self.replica.state, log[each])
        self.applied = max(self.applied, index)

    def compact(self) -> None:
        """Write a snapshot of what is applied and shorten the log, as pysyncobj's tick does."""
        log = self.entries()
        before = log[self.applied - 1]
        self.exchange.serialize((None, log[self.applied], before, None), before[1])
        outcome, number = self.exchange.checkSerializing()
        if outcome == 2 and number is not None:  # SERIALIZER_STATE.SUCCESS
            self.journal.deleteEntriesTo(number - self.journal[0][1])

    def install(self, raw: bytes, chunk_bytes: int = 200) -> bool:
        """Take a leader's snapshot in parts, as pysyncobj does. False when it was refused."""
        sent = zlib.compress(raw)
        for begin in range(0, len(sent), chunk_bytes):
            is_last = begin + chunk_bytes >= len(sent)
            if self.exchange.setTransmissionData((sent[begin : begin + chunk_bytes], begin == 0, is_last)):
                _, last, before, _ = self.exchange.deserialize()
                self.journal.clear()
                self.journal.add(*before)
                self.journal.add(*last)
                self.applied = last[1]
                return True
        return False

    def replay(self) -> State:
        """The state after every entry there is."""
        state = self.replica.state
        for index, entry in sorted(self.entries().items()):
            if index > self.applied:
                state = rolled(state, entry)
        return state


def open_storage(disk: SimDisk, *, alone: bool = False, peer: str = "a", cluster: str = CLUSTER) -> Storage:
    """What a start of a peer finds. Ids tell how often the disk was written to before."""
    return Storage(disk, cluster=cluster, peer=peer, alone=alone, new_id=lambda: f"disk-{disk.operations}")


def command(index: int, term: int, text: str = "entry") -> bytes:
    """A command of some length, different in every entry."""
    return b"\0" + f"{text} {index} of term {term} ".encode() * 3


def rolled(state: State, entry: LogEntry) -> State:
    """The state after one entry more."""
    digest = hashlib.sha256(state.cluster.encode() + repr(entry).encode()).hexdigest()
    return State(cluster=digest, last_incident=state.last_incident + 1)


def state_after(entries: list[LogEntry]) -> State:
    """The state after a whole history, without its first entry, which pysyncobj never applies."""
    state = State()
    for entry in entries[1:]:
        state = rolled(state, entry)
    return state


def history(count: int, term: int = 1, text: str = "entry") -> list[LogEntry]:
    """A log from the very first entry."""
    return [NO_OP, *((command(index, term, text), index, term) for index in range(2, count + 1))]


def snapshot_of(entries: list[LogEntry], cluster: str = CLUSTER) -> bytes:
    """A snapshot after a whole history."""
    return encode(Content(cluster=cluster, last=entries[-1], before=entries[-2], state=state_after(entries)))


def used_disk(disk: SimDisk | None = None) -> tuple[SimDisk, list[LogEntry]]:
    """A folder after three compactions and more, cleanly closed, and all that was acknowledged in it."""
    disk = disk or SimDisk()
    memory = Memory(disk)
    memory.journal.set_quarantine("")
    memory.journal.setCurrentTerm(1, "a")
    for _ in range(3):
        for _ in range(4):
            memory.append(2, 1)
            memory.journal.flush()
        memory.commit(memory.last[1] - 2)
        memory.compact()
        memory.journal.flush()
    memory.append(3, 1)
    memory.journal.flush()
    memory.journal._destroy()
    return disk, history(memory.last[1])
