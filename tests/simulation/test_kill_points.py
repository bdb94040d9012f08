"""The power goes at every single operation on the disk: nothing acknowledged is lost, and every start works.

One workload is counted, then run again for each of its operations with the power going before, amid and
after it; each time many crash images are drawn, and each must start, go on, and start again. One image in
four loses power once more while it is starting; in another one only the process was killed, and the power
goes after what it found at its next start was acknowledged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from msgspec import Struct
from support.sim_disk import SimCrash, SimDisk, When
from support.storage_support import NO_OP, Memory, command, history, snapshot_of, state_after, used_disk

from watchtower.cluster.journal_file import LogEntry

MOMENTS: tuple[When, ...] = ("before", "during", "after")
IMAGES = 12
IMAGES_FULL = 150
LEADERS = 60


def truth() -> list[LogEntry]:
    """What the cluster has agreed on, in the end: five entries of term 1, then term 2."""
    first = history(5)
    return first + [(command(index, 2), index, 2) for index in range(6, LEADERS + 31)]


TRUTH = truth()


class Acked(Struct, kw_only=True):
    """What others were told by the last good flush. `floor`: from there on entries were cut since."""

    entries: dict[int, LogEntry] = {}
    floor: int = 10**9
    term: int = 0
    voted_for: str = ""
    quarantines: tuple[str, ...] = ()
    disk_id: str = ""


class Life:
    """The workload, step by step, with a note of what was acknowledged."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self.acked = Acked()

    def run(self) -> None:
        """All of it. Raises SimCrash when the power goes."""
        for step in (self.begin, self.follow, self.shorten, self.fall_behind, self.suffer, self.restart):
            step()

    def ack(self) -> None:
        """Flush, and note what may be told now."""
        self.memory.journal.flush()
        self.note()

    def note(self) -> None:
        """Everything is on the disk."""
        self.acked = acked_by(self.memory)

    def grow(self, count: int) -> None:
        """Entries of the truth, each acknowledged on its own."""
        for entry in TRUTH[self.memory.last[1] :][:count]:
            self.memory.journal.add(*entry)
            self.ack()

    def begin(self) -> None:
        """A first start, the end of its quarantine, a vote, and a tail that will lose."""
        self.memory = Memory(self.disk)
        self.acked.quarantines = (self.memory.journal.quarantine, "")
        self.memory.journal.set_quarantine("")
        self.memory.journal.setCurrentTerm(1, "b")
        self.ack()
        self.grow(4)
        self.memory.append(3, 1, "loses")
        self.ack()

    def follow(self) -> None:
        """A new leader: term, cut, its entries in one batch, commits."""
        self.memory.journal.setCurrentTerm(2, None)
        self.memory.cut(6)
        self.acked.floor = 6
        for entry in TRUTH[5:9]:
            self.memory.journal.add(*entry)
        self.memory.journal.setCurrentTerm(2, "c")
        self.ack()
        self.memory.commit(8)
        self.grow(2)

    def shorten(self) -> None:
        """Two compactions of its own, the second with a batch still unwritten."""
        self.memory.compact()
        self.ack()
        self.grow(3)
        self.memory.commit(12)
        self.memory.journal.add(*TRUTH[self.memory.last[1]])
        self.memory.compact()
        self.ack()
        self.grow(2)

    def fall_behind(self) -> None:
        """A leader's snapshot from far ahead, after a tail that the leader does not have."""
        self.memory.append(2, 2, "loses")
        self.memory.journal.flush()
        assert self.memory.install(snapshot_of(TRUTH[:LEADERS]))
        self.acked.floor = self.memory.last[1]
        self.ack()
        self.memory.commit(LEADERS)
        self.grow(2)

    def suffer(self) -> None:
        """A full disk, then one whose syncs fail: nothing is told meanwhile, and both heal."""
        for name in ("full", "sync_error"):
            setattr(self.disk, name, True)
            self.memory.journal.add(*TRUTH[self.memory.last[1]])
            for attempt in (self.ack, self.ack):
                with pytest.raises(OSError, match=r".+"):
                    attempt()
            assert not self.memory.journal.heal()
            self.memory.compact()
            setattr(self.disk, name, False)
            assert self.memory.journal.heal()
            self.note()
            self.grow(2)
        self.memory.commit(self.memory.last[1] - 1)
        self.memory.compact()
        self.ack()

    def restart(self) -> None:
        """A clean stop, another start, and a little more."""
        self.memory.journal._destroy()
        self.memory = Memory(self.disk)
        self.grow(3)
        self.memory.commit(self.memory.last[1])
        self.memory.compact()
        self.ack()


def acked_by(memory: Memory) -> Acked:
    """What may be told when everything that `memory` holds is on the disk."""
    journal = memory.journal
    return Acked(
        entries=memory.entries(),
        term=journal.getCurrentTerm(),
        voted_for=journal.getVotedForNodeId() or "",
        quarantines=(journal.quarantine,),
        disk_id=journal.disk_id,
    )


def operations() -> int:
    """How many operations the workload makes."""
    disk = SimDisk()
    Life(disk).run()
    return disk.operations


def killed_at(number: int, when: When) -> Life:
    """The workload, its power gone at one operation."""
    life = Life(SimDisk(Random(number)))  # noqa: S311 - the same run every time
    life.disk.fail_at(number, when)
    with pytest.raises(SimCrash):
        life.run()
    return life


def images(life: Life, number: int, count: int) -> Iterator[tuple[SimDisk, Acked]]:
    """Disks as the power cut may have left them, and what had been acknowledged by then."""
    for each in range(count):
        dice = Random(1000 * number + each)  # noqa: S311 - the same images every time
        disk, acked = life.disk.copy(), life.acked
        if each % 4 == 1:
            disk.restart()
            acked = acked_at_start(disk)
            disk.power_off()
        disk.crash(dice)
        if each % 4 == 0:
            disk.fail_at(dice.randint(1, 8), dice.choice(MOMENTS))
            with pytest.raises(SimCrash):
                start_for_ever(disk)
            disk.crash(dice)
        yield disk, acked


def acked_at_start(disk: SimDisk) -> Acked:
    """What a peer tells others right after a start on `disk`."""
    memory = Memory(disk)
    memory.journal.flush()
    return acked_by(memory)


def start_for_ever(disk: SimDisk) -> None:
    """Start, write anew, and start again, until the power goes."""
    while True:
        Memory(disk).journal.flush()


def check(disk: SimDisk, acked: Acked) -> None:
    """A start finds everything that was acknowledged, nothing that cannot be, and the state that follows."""
    memory = Memory(disk)
    storage, entries = memory.storage, memory.entries()
    assert not [name for name in disk.names() if "damaged" in name], storage.findings
    if acked.disk_id:
        assert storage.disk_id == acked.disk_id
        assert storage.amnesia in acked.quarantines
    assert_log(entries, memory.applied if storage.snapshots.exists else 0, acked)
    assert_vote(memory, acked)
    first, last = memory.journal[0][1], memory.last[1]
    assert list(entries) == list(range(first, last + 1))
    assert 1 <= memory.journal.getRaftCommitIndex() <= last
    assert memory.replay() == state_after(TRUTH[: first - 1] + memory.journal[:])


def assert_log(entries: dict[int, LogEntry], covered: int, acked: Acked) -> None:
    """Every acknowledged entry is in the log, or in the snapshot."""
    lost = [
        index
        for index, entry in acked.entries.items()
        if covered < index < acked.floor and entries.get(index) != entry
    ]
    assert not lost


def assert_vote(memory: Memory, acked: Acked) -> None:
    """The term never goes back, and in it there is no other vote."""
    term = memory.journal.getCurrentTerm()
    assert term >= acked.term
    if term == acked.term and acked.voted_for:
        assert memory.journal.getVotedForNodeId() == acked.voted_for


def test_a_power_cut_at_any_operation_loses_nothing_acknowledged(
    full: bool, measured: Callable[[str], None]
) -> None:
    """Before, amid and after every write, sync, rename and removal of journal, snapshot and identity."""
    count = operations()
    tried = 0
    for number in range(1, count + 1):
        for when in MOMENTS:
            life = killed_at(number, when)
            for disk, acked in images(life, number, IMAGES_FULL if full else IMAGES):
                check(disk, acked)
                # It goes on from there: what it holds now is written anew, and found again.
                memory = Memory(disk)
                memory.journal.flush()
                again = Memory(disk)
                assert again.journal[:] == memory.journal[:]
                assert again.replay() == memory.replay()
                tried += 1
    measured(f"{count} operations x {len(MOMENTS)} moments, {tried} crash images: 0 acknowledged writes lost")


REPAIRED = (("snapshot",), ("snapshot", "identity.json"))
FORGOTTEN = (
    ("journal",),
    ("journal", "snapshot"),
    ("snapshot", "journal.previous"),
    ("journal", "identity.json"),
)


@pytest.mark.parametrize("names", REPAIRED + FORGOTTEN, ids=" and ".join)
def test_a_power_cut_while_damage_is_dealt_with_changes_nothing(names: tuple[str, ...]) -> None:
    """What can be repaired is repaired at the next start; what was forgotten is not remembered."""
    disk, entries = used_disk()
    for name in names:
        disk.flip(name, len(disk.content(name)) // 2)
    whole = disk.copy()
    Memory(whole).journal.flush()
    for number in range(1, whole.operations + 1):
        for each in range(3 * IMAGES):
            copy = disk.copy()
            copy.fail_at(number, MOMENTS[each % 3])
            with pytest.raises(SimCrash):
                start_for_ever(copy)
            copy.crash(Random(1000 * number + each))  # noqa: S311 - the same images every time
            memory = Memory(copy)
            if names in REPAIRED:
                assert memory.storage.amnesia == ""
                assert memory.replay() == state_after(entries)
            else:
                assert memory.storage.amnesia != ""
                assert memory.storage.disk_id != "disk-0"


def test_the_workload_reaches_every_file() -> None:
    """A sweep over a workload that writes less than it says would prove nothing."""
    disk = SimDisk()
    life = Life(disk)
    life.run()
    assert disk.names() == (
        "identity.json",
        "journal",
        "journal.mark",
        "journal.previous",
        "snapshot",
        "snapshot.previous",
    )
    assert life.memory.journal[0][1] > LEADERS
    assert NO_OP not in life.memory.journal[:]
