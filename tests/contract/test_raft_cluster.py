"""Real peers on loopback: they elect, agree, survive restarts, and say when they cannot go on."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from pathlib import Path

import msgspec
import pytest
from support.raft_support import OTHER_SECRET, Peer, Trio, free_ports, settings_of, until

from watchtower.cluster import raft
from watchtower.cluster.thread import TICK_S
from watchtower.core.commands import Answer, BeatSeen, Entry, Found, Leaving, encode
from watchtower.core.model import COMMAND_VERSION
from watchtower.errors import ClusterError


def beat(at_wall: float, service: str = "job") -> BeatSeen:
    """A command that every member may propose."""
    return BeatSeen(service=service, at_wall=at_wall)


def test_three_peers_commit_from_leader_and_follower_and_hold_equal_states(tmp_path: Path) -> None:
    """An answer comes once the entry is applied here: it is visible in the proposer's own state at once."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            for number, peer in enumerate([trio.leader, *trio.followers], start=1):
                answer = await peer.cluster.submit(beat(float(number)))
                assert answer == Answer(ok=True)
                assert peer.cluster.state.beats["job"].at_wall == number
                assert peer.applied[-1][0] is peer.cluster.state, "told before it was answered"
            await until(trio.equal)
            statuses = [peer.cluster.status() for peer in trio.peers.values()]
            assert sorted(status.role for status in statuses) == ["follower", "follower", "leader"]
            assert all(status.has_quorum and status.had_quorum for status in statuses)
            assert all(status.tick_errors == status.rejected_connections == 0 for status in statuses)

    asyncio.run(scenario())


def test_entries_carry_the_session_of_this_very_boot(tmp_path: Path) -> None:
    """Before its join a process has session 0 and may do little; after it, its own."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            peer = trio.followers[0]
            refused = await peer.cluster.submit(Leaving(for_s=1.0, at_wall=1.0))
            assert refused is not None
            assert "session 0" in refused.reason
            await peer.join()
            assert peer.cluster.session == 1
            assert await peer.cluster.submit(Leaving(for_s=1.0, at_wall=1.0)) == Answer(ok=True)

    asyncio.run(scenario())


def test_the_state_outlives_a_restart_of_all_peers(tmp_path: Path) -> None:
    """What was answered before all stopped is there when all are back."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            for number in range(30):
                await trio.leader.cluster.submit(beat(1.0, f"job{number}"))
            before = trio.leader.cluster.state
            ports = trio.ports
        again = Trio(tmp_path)
        again.ports = ports
        async with again:
            await until(again.equal)
            after = again.leader.cluster.state
            assert (after.beats, after.founded_wall) == (before.beats, before.founded_wall)

    asyncio.run(scenario())


def test_a_restarted_peer_is_back_within_three_seconds(tmp_path: Path) -> None:
    """With the other two up it needs no election: it catches up from the leader."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            for follower in trio.followers:
                term = trio.leader.cluster.status().term
                await follower.cluster.stop()
                await trio.leader.cluster.submit(beat(time.time()))
                peer = trio.make(follower.name, "boot2")
                await peer.cluster.start()
                await until(lambda peer=peer: peer.knows_leader and trio.equal(), within_s=3.0)  # type: ignore[misc] # the default binds the name
                assert trio.leader.cluster.status().term == term, "its return must not cost an election"

    asyncio.run(scenario())


def test_a_peer_that_fell_far_behind_gets_a_snapshot(tmp_path: Path) -> None:
    """When the log it lacks is compacted away, the leader sends the state; a restart then keeps it."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            behind = trio.followers[0]
            await behind.cluster.stop()
            for number in range(50):
                assert await trio.leader.cluster.submit(beat(1.0, f"job{number}"))
            for peer in (trio.leader, next(each for each in trio.followers if each is not behind)):
                peer.raft._engine.compact()
                log = peer.raft._engine._consensus.inside.log
                await until(lambda log=log: len(log) < 10, what="compaction")  # type: ignore[misc] # the default binds the name
            for boot in ("boot2", "boot3"):
                peer = trio.make(behind.name, boot)
                await peer.cluster.start()
                await until(trio.equal, what="the state by snapshot")
                assert len(peer.cluster.state.beats) == 50
                assert (tmp_path / peer.name / "snapshot").exists()
                await peer.cluster.stop()
            trio.peers.pop(behind.name)

    asyncio.run(scenario())


def test_a_leader_that_stops_hands_over_at_once(tmp_path: Path) -> None:
    """A planned stop costs no election timeout: another leader is there within a second."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            leader = trio.leader
            await leader.cluster.stop()
            del trio.peers[leader.name]
            await until(trio.agreed, within_s=1.0)
            await trio.leader.commit(
                lambda: trio.leader.cluster.submit(beat(5.0), timeout_s=0.5), within_s=1.0
            )

    asyncio.run(scenario())


def test_without_a_majority_submit_answers_none_in_time(tmp_path: Path) -> None:
    """The peer that is left alone neither blocks nor claims success, as leader or as follower."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            alone = trio.leader
            for peer in trio.followers:
                await peer.cluster.stop()
                del trio.peers[peer.name]
            began = time.monotonic()
            assert await alone.cluster.submit(beat(9.0), timeout_s=0.3) is None
            assert time.monotonic() - began < 0.8
            await until(lambda: not alone.cluster.status().has_quorum, within_s=3.0)
            assert await alone.cluster.submit(beat(9.0), timeout_s=0.3) is None
            assert alone.cluster.status().had_quorum

    asyncio.run(scenario())


def test_one_peer_alone_is_ready_at_once(tmp_path: Path) -> None:
    """A single peer is the same code without partners: it elects itself, opens no port, keeps its state."""

    async def scenario() -> None:
        for boot in ("boot1", "boot2"):
            peer = Peer(settings_of("a", {"a": 1}, tmp_path, secrets=()), boot)
            began = time.monotonic()
            await peer.cluster.start()
            if boot == "boot1":
                await peer.found()
            await peer.join()
            assert time.monotonic() - began < 1.0
            assert peer.cluster.state.row("a").boot_id == boot
            assert peer.cluster.status().has_quorum
            began = time.monotonic()
            for number in range(100):
                assert await peer.cluster.submit(beat(float(number)))
            assert time.monotonic() - began < 100 * TICK_S / 2, "each commit waited for the timer"
            await peer.cluster.stop()
        assert peer.cluster.state.row("a").session == 2

    asyncio.run(scenario())


def test_an_oversized_command_is_its_callers_error(tmp_path: Path) -> None:
    """A command over the limit raises, because it could never be committed."""

    async def scenario() -> None:
        peer = Peer(settings_of("a", {"a": 1}, tmp_path))
        await peer.cluster.start()
        with pytest.raises(ValueError, match="over the limit"):
            await peer.cluster.submit(Found(cluster="x" * 70_000, members=("a",), at_wall=0.0))
        await peer.cluster.stop()
        assert await peer.cluster.submit(beat(1.0), timeout_s=5.0) is None, "stopped: answered at once"

    asyncio.run(scenario())


def test_an_entry_of_a_newer_version_stops_whoever_would_apply_it(tmp_path: Path) -> None:
    """A peer that cannot read a committed entry stops and says so; it never skips one."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            before = trio.leader.cluster.state
            future = Entry(v=COMMAND_VERSION + 1, by="a", boot="x", seq=1, session=0, command=beat(1.0))
            trio.leader.raft.propose(encode(future), lambda answer: None)
            # The last follower may never hear that it is committed, once the leader has stopped.
            peers = trio.peers.values()
            await until(lambda: sum(bool(peer.fatal) for peer in peers) >= 2, what="a majority stopped")
            stopped = [peer for peer in peers if peer.fatal]
            assert all("upgrade this peer" in peer.fatal[0] and len(peer.fatal) == 1 for peer in stopped)
            assert all(peer.cluster.state == before for peer in peers)

    asyncio.run(scenario())


def test_a_raft_thread_without_progress_ends_the_peer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog notices a thread that does not tick any more."""
    monkeypatch.setattr(raft, "_STUCK_LOOKS", 2)

    async def scenario() -> None:
        peer = Peer(settings_of("a", {"a": 1}, tmp_path))
        await peer.cluster.start()
        peer.raft._loop.call_soon_threadsafe(time.sleep, 2.5)
        await until(lambda: peer.fatal, what="the watchdog")
        assert "no progress" in peer.fatal[0]
        assert peer.cluster.status().tick_gap_s > 0.9
        await peer.cluster.stop()

    asyncio.run(scenario())


def test_a_tick_that_fails_is_counted_and_does_not_end_the_thread(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception inside pysyncobj costs one tick."""

    async def scenario() -> None:
        peer = Peer(settings_of("a", {"a": 1}, tmp_path))
        await peer.cluster.start()
        consensus, left = peer.raft._engine._consensus, [1, 2, 3]
        good = consensus.tick

        def bad() -> None:
            if left:
                raise RuntimeError(f"planned {left.pop()}")
            good()

        consensus.tick = bad  # type: ignore[method-assign] # a hook is put in on purpose
        await until(lambda: peer.cluster.status().tick_errors == 3)
        await peer.found()
        await peer.cluster.stop()
        assert not peer.fatal

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())
    assert caplog.text.count("A Raft tick failed") == 1, "logged once, counted always"


def test_who_counts_stands_in_the_ledger_not_in_the_file(tmp_path: Path) -> None:
    """A file that names another peer makes no other majority: the one member leads alone as before."""

    async def scenario() -> None:
        peer = Peer(settings_of("a", {"a": 1}, tmp_path))
        await peer.cluster.start()
        await peer.found()
        await peer.cluster.stop()
        ports = dict(zip("ab", free_ports(2), strict=True))
        changed = Peer(settings_of("a", ports, tmp_path), "boot2")
        await changed.cluster.start()
        await changed.join()
        assert changed.cluster.status().members == ("a",)
        await changed.cluster.stop()

    asyncio.run(scenario())


def test_a_folder_of_another_cluster_is_refused(tmp_path: Path) -> None:
    """Peers of different clusters must never count each other."""

    async def scenario() -> None:
        peer = Peer(settings_of("a", {"a": 1}, tmp_path))
        await peer.cluster.start()
        await peer.found()
        await peer.cluster.stop()
        other = Peer(settings_of("a", {"a": 1}, tmp_path, cluster="staging"))
        with pytest.raises(ClusterError, match="staging"):
            await other.cluster.start()

    asyncio.run(scenario())


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """Start fails with the address and what to do, and leaves the folder free."""

    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = int(taken.getsockname()[1])
            ports = {"a": port, "b": free_ports(1)[0]}
            peer = Peer(settings_of("a", ports, tmp_path))
            with pytest.raises(ClusterError, match=rf"cannot listen .* 127\.0\.0\.1:{port}.*raft:"):
                await peer.cluster.start()
        again = Peer(settings_of("a", ports, tmp_path))
        await again.cluster.start()
        await again.cluster.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("cluster", "secret"), [("test", OTHER_SECRET), ("staging", "")], ids=["secret", "cluster name"]
)
def test_a_peer_of_another_secret_or_cluster_never_joins(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cluster: str, secret: str
) -> None:
    """Two peers of a cluster go on without the third, which is counted and logged on both sides."""

    async def scenario() -> None:
        async with Trio(tmp_path) as trio:
            gone = trio.peers.pop("c")
            await gone.cluster.stop()
            await until(trio.agreed)
            other = settings_of("c", trio.ports, tmp_path / "other", cluster=cluster)
            if secret:
                trusted = msgspec.structs.replace(
                    other.cluster, secrets=(type(other.cluster.secrets[0])(secret),)
                )
                other = msgspec.structs.replace(other, cluster=trusted)
            c = Peer(other)
            await c.cluster.start()
            peers = (c, *trio.peers.values())
            await until(lambda: all(peer.cluster.status().rejected_connections for peer in peers))
            assert not c.knows_leader
            assert c.cluster.status().links == {"a": False, "b": False}
            assert trio.agreed()
            await c.cluster.stop()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "another cluster secret or cluster name" in caplog.text
    assert "does not come from our cluster secret" in caplog.text
