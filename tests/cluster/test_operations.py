"""What operators do, as the runbooks in docs/how-to say it, to real processes on loopback.

Each test takes the cluster from three members to three members, so that they may run in any order.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster_support import Target, running, wait_for
from support.operating import Operated, Watched, new_secret
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(120)

THREE = ("a", "b", "c")
FIVE = ("a", "b", "c", "d", "e")
ELECTION_S = 3.0
"""Longer than any one election takes, shorter than two."""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """What is watched."""
    made = Target()
    yield made
    made.close()


@pytest.fixture(scope="module")
def sink() -> Iterator[HttpSink]:
    """Who is told."""
    with HttpSink() as made:
        yield made


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, target: Target, sink: HttpSink) -> Iterator[Operated]:
    """Peers a, b and c at work; d and e have hosts, and are in no file."""
    folder = tmp_path_factory.mktemp("operations")
    cluster = Operated(folder, url=target.url, sink_port=sink.port, names=FIVE)
    cluster.write(*THREE)
    cluster.names = THREE
    with running(cluster):
        cluster.names = FIVE
        cluster.wait_verdict("web", "up")
        yield cluster


@pytest.fixture
def well(shared: Operated) -> Iterator[Operated]:
    """The shared cluster; afterwards it is as it was, and people were told of nothing but peers."""
    assert shared.members() == list(THREE)
    yield shared
    shared.wait_ready(*THREE)
    assert shared.members() == list(THREE)


def told(sink: HttpSink) -> list[str]:
    """Subject and state of everything that people were told."""
    return [f"{item.json['incident']['service']} {item.json['state']}" for item in sink.received]


def test_leadership_goes_where_it_is_told(well: Operated) -> None:
    """And stays away from who is none; the verb says who leads."""
    for peer in ("b", "c"):
        well.must("cluster", "transfer", peer)
        assert well.must("cluster", "leader").startswith(f"{peer} (term ")
    refused = well.verb("cluster", "transfer", "z")
    assert (refused.returncode, "z is no other member" in refused.stderr) == (1, True)


def test_a_drained_peer_hands_over_and_comes_back(well: Operated, sink: HttpSink) -> None:
    """Office and leadership go to others at once; stopping and starting it then pages nobody."""
    before = len(told(sink))
    chosen = well.alerter()
    well.must("cluster", "transfer", chosen)
    doc = json.loads(well.must("drain", "--for", "10m", "--json", peer=chosen, name=True))
    assert doc["draining"]
    wait_for(lambda: well.alerter() != chosen, 5, "another alerter")
    assert not well.must("cluster", "leader").startswith(chosen)
    assert '"output":"draining"' in well.why_not_ready(chosen)
    well.stop(chosen)
    well.start(chosen)
    well.wait_ready(chosen)
    wait_for(lambda: len(well.fit(chosen)) > 1, 30, f"another peer that {chosen} has heard of")
    well.must("drain", "--for", "10m", peer=chosen, name=True)
    well.must("drain", "--undo", peer=chosen, name=True)
    well.wait_ready(chosen)
    assert told(sink)[before:] == []


def test_a_replaced_host_is_refilled(well: Operated) -> None:
    """The same name on an empty disk: it waits, is filled by the others, and votes again."""
    well.stop("c")
    well.wipe("c")
    well.start("c")
    well.wait_ready("c")
    assert "This peer votes: it holds everything that is committed." in well.log("c")


def test_a_damaged_disk_is_refilled(well: Operated) -> None:
    """A flipped byte is found at the start, said, and the files are set aside."""
    well.stop("b")
    journal = well.disk("b") / "b" / "journal"
    raw = bytearray(journal.read_bytes())
    raw[len(raw) // 2] ^= 0x40
    journal.write_bytes(raw)
    well.start("b")
    well.wait_ready("b")
    findings = well.get("b", "/api/v1/cluster")["findings"]
    assert any("journal is damaged" in text for text in findings), findings
    assert journal.with_name("journal.damaged").exists()


def test_a_peer_that_moves_is_found_by_its_name(well: Operated) -> None:
    """New addresses in the file, a reload of the others, a start of the one that moved: nothing else."""
    well.stop("a")
    well.move("a")
    well.write(*THREE)
    well.reload("b", "c")
    well.start("a")
    well.wait_ready("a")
    assert well.get("b", "/api/v1/cluster")["waits_for_start"] == []


def test_three_become_five_and_three_again(well: Operated, sink: HttpSink) -> None:
    """One at a time, each caught up before the next; nobody is paged for it."""
    before = len(told(sink))
    well.write(*FIVE)
    refused = well.verb("cluster", "resize", "--yes")
    assert "runs a file with other peers" in refused.stderr
    well.reload(*THREE)
    assert well.verb("cluster", "resize").returncode == 2
    well.start("d", "e")
    shown = json.loads(well.must("cluster", "resize", "--yes", "--json"))
    assert [step["change"] for step in shown["steps"]] == ["add d", "add e"]
    well.wait_ready(*FIVE)
    assert well.members("e") == list(FIVE)
    well.wait_verdict("web", "up")
    well.write(*THREE)
    well.reload(*THREE)
    well.must("cluster", "resize", "--yes")
    assert "the cluster does without this peer" in well.why_not_ready("e")
    well.kill("d", "e")
    well.wipe("d", "e")
    assert [line for line in told(sink)[before:] if not line.startswith(("peer/d", "peer/e"))] == []
    assert told(sink)[before:] == []


def test_a_secret_is_rotated_without_a_gap(well: Operated) -> None:
    """Old and new, new and old, new: one peer after the other, and no gap but a change of leader."""
    old, new = (well.folder / "secret").read_text(), new_secret()
    with Watched(well, *THREE) as watch:
        for step in ((old, new), (new, old), (new,)):
            well.keep_secrets(*step)
            for peer in THREE:
                well.stop(peer)
                well.start(peer)
                well.wait_ready(peer)
    (well.folder / "secret").write_text(new)
    well.write(*THREE)
    assert watch.looks > 50
    assert watch.longest_gap_s < ELECTION_S


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[Operated, Target, HttpSink]]:
    """A cluster to be lost: peers a, b and c with hosts, d and e to replace them. None runs yet."""
    target = Target()
    with HttpSink() as sink:
        cluster = Operated(tmp_path, url=target.url, sink_port=sink.port, names=FIVE)
        cluster.write(*THREE)
        yield cluster, target, sink
        cluster.kill()
    target.close()


def test_one_survivor_is_rescued_and_a_backup_restored(apart: tuple[Operated, Target, HttpSink]) -> None:
    """It alerts alone, takes new peers in one by one, and all of it comes back from a backup."""
    lost, target, sink = apart
    lost.start(*THREE)
    lost.wait_ready(*THREE)
    lost.alerter()
    lost.kill(*THREE)
    lost.write("a", "d", "e")
    assert "--yes" in lost.verb("cluster", "rescue", name=True).stderr
    lost.must("cluster", "rescue", "--yes", name=True)
    lost.start("a")
    lost.wait_verdict("web", "up")
    target.status = 500
    wait_for(lambda: told(sink) == ["web DOWN"], 15, "one alert of a lone peer")
    lost.start("d", "e")
    lost.must("cluster", "resize", "--yes")
    lost.wait_ready("a", "d", "e")
    target.status = 200
    lost.wait_verdict("web", "up")
    wait_for(lambda: told(sink) == ["web DOWN", "web RECOVERED"], 15, "both told once")
    kept = lost.folder / "kept.backup"
    lost.must("cluster", "backup", str(kept))
    assert kept.stat().st_mode & 0o777 == 0o600
    lost.kill("a", "d", "e")
    lost.wipe("a", "d", "e")
    lost.must("cluster", "restore", str(kept), "--yes", name=True)
    lost.start("a")
    lost.wait_ready("a")
    incidents = lost.get("a", "/api/v1/incidents")["incidents"]
    assert [item["service"] for item in incidents if not item["service"].startswith("peer/")] == ["web"]
    assert told(sink) == ["web DOWN", "web RECOVERED"]


def test_a_cluster_begins_with_a_host_missing(apart: tuple[Operated, Target, HttpSink]) -> None:
    """Two of three say that they may begin; the third joins when it comes, and none may say so later."""
    begun, _, _ = apart
    begun.start("a", "b")
    wait_for(lambda: "waits for word of c" in begun.why_not_ready("a"), 10, "a waits for c")
    begun.stop("a", "b")
    for peer in ("a", "b"):
        begun.must("cluster", "bootstrap", "--yes", peer=peer, name=True)
    begun.start("a", "b")
    begun.wait_ready("a", "b")
    assert begun.members() == list(THREE)
    begun.start("c")
    begun.wait_ready("c")
    begun.signal("c", signal.SIGTERM)
    assert begun.processes.pop("c").wait(15) == 0
    refused = begun.verb("cluster", "bootstrap", "--yes", peer="c", name=True)
    assert (refused.returncode, "is not blank" in refused.stderr) == (1, True)


def gates(cluster: Operated) -> dict[str, int]:
    """The command version in force as each running peer has it."""
    docs = {peer: cluster.get(peer, "/api/v1/cluster") for peer in cluster.processes}
    return {peer: doc["gate"] for peer, doc in docs.items() if doc is not None}


def test_an_upgrade_changes_the_log_when_all_are_through(apart: tuple[Operated, Target, HttpSink]) -> None:
    """Before the last one the old version reads everything; after it an old peer stops and says why."""
    mixed, _, sink = apart
    mixed.start(*THREE)
    mixed.wait_ready(*THREE)
    old, mixed.program = mixed.program, ["-m", "support.newer_peer"]
    for peer in THREE:
        assert set(gates(mixed).values()) == {1}
        mixed.stop(peer)
        mixed.start(peer)
        mixed.wait_ready(peer)
    wait_for(lambda: gates(mixed) == dict.fromkeys(THREE, 2), 10, "the gate moved everywhere")
    mixed.program = old
    mixed.stop("b")
    mixed.start("b")
    assert mixed.processes.pop("b").wait(20) == 1
    assert "entry of command version 2, this peer knows 1: upgrade this peer" in mixed.log("b")
    assert told(sink) == []
