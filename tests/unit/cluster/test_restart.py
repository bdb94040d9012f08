"""The real SyncObj on our files: crash after crash, compactions between, and every answered entry is there.

pysyncobj throws its whole log away when that does not begin with the snapshot's last two entries: storage.py
sees to it that it does.
"""

from __future__ import annotations

from random import Random

from support.core_support import settings
from support.sim_disk import SimDisk

from watchtower.clock import SystemClock
from watchtower.cluster.engine import Engine
from watchtower.cluster.replica import Replica
from watchtower.cluster.storage import Storage
from watchtower.core.commands import Answer, Entry, Found, encode
from watchtower.core.model import State

ALONE = settings(peers=("a",))
ROUNDS = 25


class Process:
    """One life of a peer that is alone."""

    def __init__(self, disk: SimDisk) -> None:
        self.storage = Storage(disk, cluster="test", peer="a", alone=True, new_id=lambda: "disk")
        self.engine = Engine(ALONE, self.storage, Replica(), SystemClock(), lambda _peer, _message: False)
        self.answered = 0
        for _ in range(4):
            self.engine.tick()

    @property
    def state(self) -> State:
        """What is applied."""
        return self.engine.replica.state

    def propose(self, seq: int) -> None:
        """One entry, and the ticks that commit and apply it."""

        def done(answer: Answer | None) -> None:
            self.answered += answer is not None

        command = Found(cluster="test", members=("a",), at_wall=float(seq))
        self.engine.propose(
            encode(Entry(v=1, by="a", boot="boot", seq=seq, session=0, command=command)), done
        )
        for _ in range(3):
            self.engine.tick()


def test_every_answered_entry_survives_any_number_of_crashes() -> None:
    """With a compaction in some lives, right before the crash in others."""
    dice = Random(11)  # noqa: S311 - the same lives in every run
    disk = SimDisk(dice)
    answered = 0
    for life in range(ROUNDS):
        process = Process(disk)
        assert process.state.entries >= answered
        assert process.storage.amnesia == ""
        before = process.state.entries
        for seq in range(dice.randint(1, 4)):
            process.propose(100 * life + seq)
            if dice.random() < 0.4:
                process.engine.compact()
                for _ in range(dice.randint(0, 3)):
                    process.engine.tick()
        assert process.answered > 0
        answered = before + process.answered
        assert process.state.entries == answered
        disk.power_off()
        disk.crash(dice)
    assert "snapshot.previous" in disk.names()
    assert answered > ROUNDS


def test_a_full_disk_answers_nothing_and_a_new_life_has_what_was_answered() -> None:
    """An entry that only memory holds is not told to anybody; it comes when there is room again."""
    disk = SimDisk()
    process = Process(disk)
    process.propose(1)
    assert process.answered == 1
    disk.full = True
    process.propose(2)
    assert (process.answered, process.engine.status.trouble) == (1, "no space left on device")
    assert Process(disk.copy()).state.entries == 1
    disk.full = False
    process.engine._heal_at_s = 0.0
    for _ in range(5):
        process.engine.tick()
    assert (process.answered, process.engine.status.trouble) == (2, "")
    disk.power_off()
    disk.crash(Random(1))  # noqa: S311 - any image will do
    assert Process(disk).state.entries == 2
