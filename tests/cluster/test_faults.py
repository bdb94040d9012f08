"""Three real processes that hang, lose their egress or their majority, or restart: what people are told."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.cluster_support import FAULTY, PEERS, Cluster, Target, free_ports, running, wait_for
from support.networks import Networks
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(1500)


def firings(sink: HttpSink) -> list[dict[str, Any]]:
    """Every firing that arrived, with its time under `arrived`."""
    return [_timed(item) for item in sink.received if item.json["kind"] == "firing"]


def _timed(item: Any) -> dict[str, Any]:
    return {**item.json, "arrived": item.at_wall}


def told_of(sink: HttpSink, service: str, since: float) -> list[dict[str, Any]]:
    """Firings about one service since a moment."""
    return [b for b in firings(sink) if b["incident"]["service"] == service and b["arrived"] >= since]


@pytest.mark.parametrize("fault", ["stopped", "blocked"])
def test_a_hanging_peer_stops_counting_and_is_told(tmp_path: Path, fault: str) -> None:
    """A peer that is stopped, or whose app loop is blocked with Raft alive, does not count after 15 s."""
    target = Target()
    with HttpSink() as sink:
        cluster = Cluster(
            tmp_path,
            services=f"web: {{url: {target.url}, interval: 2s}}",
            notify=f"hook: json://127.0.0.1:{sink.port}/",
        )
        cluster.program = FAULTY
        with running(cluster):
            cluster.wait_verdict("web", "up")
            victim = cluster.alerter()
            others = [peer for peer in PEERS if peer != victim]
            if fault == "stopped":
                cluster.signal(victim, signal.SIGSTOP)
            else:
                cluster.hurt(victim, "block 45")
            hung = time.time()
            wait_for(lambda: told_of(sink, f"peer/{victim}", hung), 25, "the hanging peer is told")
            wait_for(lambda: not _is_eligible(cluster, others[0], victim), 25, "it does not count")
            ineligible_s = time.time() - hung
            target.close()
            wait_for(lambda: told_of(sink, "web", hung), 20, "a failure is still told")
            if fault == "stopped":
                cluster.signal(victim, signal.SIGCONT)
                cluster.wait_verdict(f"peer/{victim}", "up", timeout_s=40)
            assert len(told_of(sink, "web", hung)) == 1
            assert ineligible_s < 17, f"ineligible after {ineligible_s:.1f} s"
    target.close()


def _is_eligible(cluster: Cluster, asked: str, peer: str) -> bool:
    rows = cluster.get(asked, "/api/v1/peers")["peers"]
    return bool(next(row for row in rows if row["name"] == peer)["eligible"])


def test_a_peer_with_its_egress_cut_is_told_and_nothing_else_is(tmp_path: Path) -> None:
    """One peer reaches neither targets nor references: no service alert, one alert about that peer."""
    with Networks(PEERS) as networks, HttpSink() as sink:
        outside = networks.outside(tmp_path)
        try:
            names = ("one", "two", "three", "four")
            lines = "\n".join(
                f"{n}: {{url: http://{networks.gateway}:{outside.port}/{n}, interval: 2s, timeout: 1s}}"
                for n in names
            )
            cluster = networks.cluster(
                tmp_path,
                services=lines,
                notify=f"hook: json://{networks.gateway}:{networks.forward(sink.port)}/",
                reference=f"tcp://{networks.gateway}:{outside.port}",
            )
            with running(cluster):
                for name in names:
                    cluster.wait_verdict(name, "up")
                victim = next(peer for peer in PEERS if peer != cluster.alerter())
                networks.cut_egress(victim)
                wait_for(lambda: told_of(sink, f"peer/{victim}", 0), 40, "the sick peer is told")
                # Long enough for every other service to have failed its confirmations many times.
                quiet_until = time.time() + 10
                wait_for(lambda: time.time() > quiet_until, 20, "quiet")
                told = [body["incident"]["service"] for body in firings(sink)]
                assert told == [f"peer/{victim}"]
                assert "reference" in json.dumps(firings(sink)[0])
        finally:
            outside.close()


def test_a_restarted_peer_is_ready_soon_and_an_idle_one_is_light(
    tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """A restart is ready in under 3 s (median of 5); 100 services cost under 110 MB and 4 % of a core."""
    target = Target()
    lines = "\n".join(f"s{n:03}: {{url: {target.url}?{n}, interval: 30s}}" for n in range(100))
    with HttpSink() as sink:
        notify = (
            f"chat: slack://T00000000/B00000000/{'x' * 24}/?server={sink.url}\n"
            "post: mailto://127.0.0.1:2525?from=watchtower@example.test&to=ops@example.test"
        )
        cluster = Cluster(tmp_path, services=lines, notify=notify)
        with running(cluster):
            cluster.wait_verdict("s099", "up", timeout_s=40)
            times = [_restart_s(cluster, "c") for _ in range(5)]
            cluster.wait_verdict("s099", "up", timeout_s=40)
            pid = cluster.processes["a"].pid
            began, cpu = time.time(), _cpu_s(pid)
            wait_for(lambda: time.time() - began > 15, 30, "15 s of idling")
            share = (_cpu_s(pid) - cpu) / (time.time() - began)
            rss_mb = _rss_mb(pid)
    target.close()
    measured(f"ready in {sorted(times)[2]:.2f} s, RSS {rss_mb:.0f} MB, {share * 100:.1f} % of a core")
    assert statistics.median(times) < 3
    assert rss_mb < 110
    assert share <= 0.04


def _restart_s(cluster: Cluster, peer: str) -> float:
    cluster.stop(peer)
    began = time.monotonic()
    cluster.start(peer)
    cluster.wait_ready(peer)
    return time.monotonic() - began


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_without_a_majority_a_peer_answers_and_says_once_that_it_is_blind(tmp_path: Path) -> None:
    """The last peer still answers with the truth, says once that monitoring is blind, then the all-clear."""
    target = Target()
    with HttpSink() as sink:
        cluster = Cluster(
            tmp_path,
            services=f"web: {{url: {target.url}, interval: 2s}}",
            notify=f"hook: json://127.0.0.1:{sink.port}/",
            cluster_extra="without_quorum: {after: 5s}",
        )
        with running(cluster):
            cluster.wait_verdict("web", "up")
            cluster.kill("b", "c")
            wait_for(lambda: "BLIND" in _titles(sink), 25, "the blind notice")
            status = cluster.status("a")
            assert status["quorum"] is False
            assert not cluster.is_true("a", "/quorum")
            cluster.start("b", "c")
            cluster.wait_ready(timeout_s=40)
            wait_for(lambda: "sees again" in _titles(sink), 25, "the all-clear")
            assert _titles(sink).count("BLIND") == 1
    target.close()


def _titles(sink: HttpSink) -> str:
    return "\n".join(str(item.json.get("title", "")) for item in sink.received)


def test_a_heartbeat_survives_restarts(tmp_path: Path) -> None:
    """A beat to any peer counts; a missing one is told; the last beat is remembered over a restart of all."""
    with HttpSink() as sink:
        cluster = Cluster(
            tmp_path,
            services="job: {heartbeat: 10s, grace: 2s}",
            notify=f"hook: json://127.0.0.1:{sink.port}/",
        )
        with running(cluster):
            assert cluster.is_true("b", "/ping/ping-me-0123456789abcdef/job")
            cluster.wait_verdict("job", "up")
            cluster.kill()
            cluster.start()
            cluster.wait_ready()
            wait_for(lambda: told_of(sink, "job", 0), 30, "the missing beat is told")
            assert cluster.is_true("c", "/ping/ping-me-0123456789abcdef/job")
            wait_for(lambda: any(item.json["kind"] == "resolved" for item in sink.received), 20, "resolved")
            assert not cluster.is_true("c", "/ping/wrong-key-0123456789abcdef/job")


def test_a_single_peer_needs_no_cluster(tmp_path: Path) -> None:
    """A file without `cluster:` runs as one peer with the same alerts."""
    target, port = Target(), free_ports(1)[0]
    with HttpSink() as sink:
        path = tmp_path / "single.yaml"
        path.write_text(
            f"services:\n  web: {{url: {target.url}, interval: 1s}}\n"
            f"notify:\n  hook: json://127.0.0.1:{sink.port}/\n"
            f"http: {{listen: '127.0.0.1:{port}'}}\nstorage: {{path: {tmp_path}/data}}\n"
        )
        command = [sys.executable, "-m", "watchtower", "run", "--config", str(path)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(lambda: target.hits > 1, 20, "it probes")
                target.close()
                sink.log.wait_for(1, 20)
                target.open()
                items = sink.log.wait_for(2, 20)
            finally:
                process.terminate()
                assert process.wait(15) == 0
    assert [item.json["kind"] for item in items] == ["firing", "resolved"]
    target.close()
