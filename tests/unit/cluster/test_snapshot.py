"""Snapshots: on disk and between peers, checked before they count, never a reason to stop."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from pysyncobj.config import SERIALIZER_STATE
from support.sim_disk import SimDisk
from support.storage_support import (
    CLUSTER,
    Memory,
    history,
    rolled,
    snapshot_of,
    state_after,
    used_disk,
)

from watchtower.cluster import exchange as exchange_file
from watchtower.cluster.exchange import SnapshotExchange
from watchtower.cluster.journal_file import DamageError
from watchtower.cluster.replica import Replica
from watchtower.cluster.snapshot import Content, decode, encode, first_line
from watchtower.core.model import PeerRow, State
from watchtower.errors import ClusterError


def content(*, last: int = 5, before: int = 4) -> Content:
    """A small one."""
    return Content(
        cluster=CLUSTER, last=(b"\0x", last, 2), before=(b"\0x", before, 2), state=State(last_incident=7)
    )


def test_what_was_written_is_what_is_read() -> None:
    """State and the end of the log, in the very types that pysyncobj compares."""
    assert decode(encode(content()), CLUSTER) == content()


def test_the_order_of_what_is_in_the_state_survives() -> None:
    """A restored peer goes through its dictionaries as those do that never wrote them."""
    state = State(peers={"b": PeerRow(), "a": PeerRow()})
    raw = encode(Content(cluster=CLUSTER, last=(b"\0", 2, 1), before=(b"\0", 1, 0), state=state))
    assert list(decode(raw, CLUSTER).state.peers) == ["b", "a"]


def test_every_flipped_bit_is_found() -> None:
    """The first line's included."""
    raw = encode(content())
    for place in range(len(raw)):
        damaged = bytearray(raw)
        damaged[place] ^= 1
        with pytest.raises(DamageError):
            decode(bytes(damaged), CLUSTER)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda _: b"", DamageError, "is empty"),
        (lambda _: b"x" * 100, DamageError, "is no snapshot of watchtower"),
        (lambda _: bytes(100), DamageError, "is no snapshot of watchtower"),
        (lambda raw: raw[:-1], DamageError, "checksum does not match"),
        (lambda raw: raw + b"x", DamageError, "checksum does not match"),
        (lambda raw: raw.replace(b"snapshot 1", b"snapshot 2", 1), DamageError, "checksum does not match"),
        (
            lambda raw: raw.replace(b"snapshot 1", b"snapshot 2", 1) + b"x",
            ClusterError,
            "has format 2.*knows format 1",
        ),
        (lambda raw: with_body(raw, b"{}"), ClusterError, "does not fit this version"),
        (lambda raw: with_body(raw, b"[" * 100_000), ClusterError, "does not fit this version"),
        (lambda _: encode(content(last=7)), DamageError, "cannot be there"),
        (lambda _: encode(content(last=2**60, before=2**60 - 1)), DamageError, "cannot be there"),
    ],
)
def test_what_is_wrong_is_said(change: Callable[[bytes], bytes], error: type[Exception], words: str) -> None:
    """A sentence that goes on after the file's name."""
    with pytest.raises(error, match=words):
        decode(change(encode(content())), CLUSTER)


def with_body(raw: bytes, body: bytes) -> bytes:
    """A snapshot whose checksum is right, of another content."""
    magic, version, _, _ = raw.partition(b"\n")[0].split(b" ")
    return first_line(magic, int(version), body) + b"\n" + body


def test_a_snapshot_of_another_cluster_is_refused() -> None:
    """Whoever sends it."""
    with pytest.raises(ClusterError, match="is of cluster 'prod', this is 'staging'"):
        decode(encode(content()), "staging")


def test_the_one_before_is_kept() -> None:
    """Two snapshots on disk, no more."""
    disk = SimDisk()
    memory = Memory(disk, alone=True)
    written = []
    for _ in range(3):
        memory.append(3, 1)
        memory.commit(memory.last[1])
        memory.compact()
        memory.journal.flush()
        written.append(disk.content("snapshot"))
    assert disk.content("snapshot.previous") == written[1]
    assert memory.exchange.state_bytes == len(written[2])


def test_a_disk_that_takes_no_snapshot_stops_nobody() -> None:
    """The old one stays, the log stays, the reason is kept, and the next try works."""
    disk, _ = used_disk()
    memory = Memory(disk)
    old = disk.content("snapshot")
    memory.commit(memory.last[1])
    disk.full = True
    memory.compact()
    assert memory.exchange.trouble == "no space left on device"
    assert disk.content("snapshot") == old
    assert "snapshot.new" not in disk.names(), "a part takes no room"
    assert memory.replica.halted == ""
    disk.full = False
    memory.compact()
    memory.journal.flush()
    assert memory.exchange.trouble == ""
    assert Memory(disk).replay() == memory.replay()


def test_a_snapshot_that_cannot_be_restored_halts_the_replica() -> None:
    """Where pysyncobj would go on with an empty state, the replica does not."""
    disk, _ = used_disk()
    memory = Memory(disk)
    disk.flip("snapshot", 90)
    for _ in range(2):
        replica = Replica()
        with pytest.raises((DamageError, ClusterError)):
            SnapshotExchange(memory.storage.snapshots, replica, CLUSTER).deserialize()
        assert "the snapshot is" in replica.halted
        disk.lose("snapshot")


# ---- between peers


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> SnapshotExchange:
    """A peer far ahead, whose snapshots take several parts."""
    monkeypatch.setattr(exchange_file, "CHUNK_BYTES_MAX", 100)
    disk = SimDisk()
    memory = Memory(disk, alone=True)
    for entry in history(40)[1:]:
        memory.journal.add(*entry)
    memory.commit(40)
    memory.compact()
    return memory.exchange


def parts(sender: SnapshotExchange, to: str = "b") -> list[exchange_file.Chunk]:
    """All parts of one transmission."""
    found: list[exchange_file.Chunk] = []
    while not found or not found[-1][2]:
        part = sender.getTransmissionData(to)
        assert part is not None
        found.append(part)
    return found


def take(memory: Memory, found: list[exchange_file.Chunk]) -> list[bool]:
    """Hand the parts to a peer; what it says to each."""
    return [memory.exchange.setTransmissionData(part) for part in found]


def test_a_snapshot_travels_in_parts(sender: SnapshotExchange) -> None:
    """The first and the last are marked; what arrives is on the disk before it counts."""
    found = parts(sender)
    assert [part[1] for part in found] == [True] + [False] * (len(found) - 1)
    assert len(found) > 2
    memory = Memory(SimDisk())
    assert take(memory, found) == [False] * (len(found) - 1) + [True]
    assert memory.disk.content("snapshot") == zlib.decompress(b"".join(part[0] for part in found))
    _, last, before, _ = memory.exchange.deserialize()
    assert (before, last) == (history(40)[-2], history(40)[-1])
    assert memory.replica.state == state_after(history(40))


def test_two_peers_are_sent_to_at_once_and_a_new_snapshot_begins_anew(sender: SnapshotExchange) -> None:
    """After a newer one the log has a gap behind the older one."""
    first = sender.getTransmissionData("b")
    assert sender.getTransmissionData("c") == first
    sender.getTransmissionData("b")
    sender.cancelTransmisstion("b")
    assert sender.getTransmissionData("b") == first
    sender.serialize((None, history(40)[-1], history(40)[-2], None), 39)
    assert sender.getTransmissionData("c") == first


def test_a_peer_without_snapshot_sends_none() -> None:
    """And one whose disk cannot be read neither."""
    memory = Memory(SimDisk())
    assert memory.exchange.getTransmissionData("b") is None
    disk, _ = used_disk()
    memory = Memory(disk)
    disk.spoil("snapshot")
    assert memory.exchange.getTransmissionData("b") is None


def test_a_damaged_lost_or_strange_part_is_refused_and_the_next_try_works(sender: SnapshotExchange) -> None:
    """A snapshot that does not check out leaves everything as it was."""
    disk, entries = used_disk()
    memory = Memory(disk)
    before = {name: disk.content(name) for name in disk.names()}
    found = parts(sender)
    broken = [found[0], (found[1][0][:-1] + b"!", False, False), *found[2:]]
    assert not any(take(memory, broken))
    assert not any(take(memory, found[:1] + found[2:]))
    assert not any(take(memory, found[1:]))
    assert memory.exchange.setTransmissionData(None) is False
    foreign = snapshot_of(history(40), cluster="staging")
    assert memory.exchange.setTransmissionData((foreign, True, True)) is False
    assert {name: disk.content(name) for name in disk.names()} == before
    assert memory.replay() == state_after(entries)
    assert take(memory, found)[-1]


def test_an_endless_snapshot_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded, whatever a peer sends."""
    monkeypatch.setattr(exchange_file, "SNAPSHOT_BYTES_MAX", 10_000)
    memory = Memory(SimDisk())
    for number in range(100):
        assert memory.exchange.setTransmissionData((b"x" * 1000, number == 0, False)) is False
    assert memory.exchange._incoming is None


def test_a_snapshot_of_what_the_log_holds_already_throws_nothing_away() -> None:
    """It was under way when the entries came: they are acknowledged and must stay."""
    memory = Memory(SimDisk())
    for entry in history(20)[1:]:
        memory.journal.add(*entry)
    memory.journal.flush()
    assert not memory.install(snapshot_of(history(12)))
    assert memory.journal[:] == history(20)
    assert "snapshot" not in memory.disk.names()
    other = [*history(11), (b"\0another", 12, 3)]
    assert memory.install(snapshot_of(other)), "of another term: the log went another way"
    assert memory.journal[:] == other[-2:]


def test_a_snapshot_that_the_disk_does_not_take_is_refused(sender: SnapshotExchange) -> None:
    """The leader sends it again."""
    memory = Memory(SimDisk())
    memory.journal.flush()
    memory.disk.full = True
    found = parts(sender)
    assert not any(take(memory, found))
    memory.disk.full = False
    assert take(memory, found)[-1]
    assert rolled(memory.replica.state, history(2)[1]) != memory.replica.state


def test_what_would_unpack_to_more_than_any_snapshot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small message must not become gigabytes."""
    monkeypatch.setattr(exchange_file, "SNAPSHOT_BYTES_MAX", 100_000)
    memory = Memory(SimDisk())
    bomb = zlib.compress(bytes(10_000_000))
    assert len(bomb) < 100_000
    assert not memory.exchange.setTransmissionData((bomb, True, True))
    assert not memory.exchange.setTransmissionData((b"not packed", True, True))


def test_after_a_snapshot_that_failed_the_next_one_waits() -> None:
    """A disk with room for the journal alone is no reason to write the state at every tick."""
    memory = Memory(SimDisk())
    memory.disk.full = True
    last, before = history(5)[-1], history(5)[-2]
    memory.exchange.serialize((None, last, before, None), 4)
    assert memory.exchange.checkSerializing() == (SERIALIZER_STATE.FAILED, 4)
    assert memory.exchange.checkSerializing() == (SERIALIZER_STATE.SERIALIZING, None)
