"""Ten thousand services fail at once: how soon all is known, how large it gets, whether the cluster bears it.

Three real peers on loopback; only their looks at the services are made up (flooded_peer.py). Prints how long
it took until every incident was open, the size of the state, the longest stall by a snapshot, memory, CPU,
and how often a leader was elected meanwhile. It judges nothing.

    python -m tests.benchmarks flood [--services 10000] [--interval 30] [--folder DIR]
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import cpu_s, rss_mb
from support.cluster_support import Cluster, running, wait_for
from support.sinks import HttpSink

FLOODED = ["-m", "benchmarks.flooded_peer"]


def measure(folder: Path, services: int, interval_s: int) -> dict[str, Any]:
    """From all well to all told open."""
    lines = "\n".join(
        f"service{n:05}: {{url: 'https://host{n:05}.example.test/healthz', interval: {interval_s}s}}"
        for n in range(services)
    )
    with HttpSink() as sink:
        cluster = Cluster(folder, services=lines, notify=f"hook: json://127.0.0.1:{sink.port}/")
        cluster.program = FLOODED
        with running(cluster, timeout_s=120.0):
            wait_for(lambda: _count(cluster, "up") == services, 10 * interval_s, "all up", every_s=1.0)
            before = _look(cluster)
            began = time.monotonic()
            for peer in cluster.names:
                cluster.signal(peer, signal.SIGUSR1)
            down_s = _until(lambda: _count(cluster, "down") >= services, began, interval_s)
            open_s = _until(lambda: _count(cluster, "incidents_open") >= services, began, interval_s)
            after = _look(cluster)
            told = len(sink.received)
    return {
        "services": services, "interval_s": interval_s, "down_s": down_s, "open_s": open_s, "told": told,
        "before": before, "after": after,
    }  # fmt: skip


def _count(cluster: Cluster, what: str) -> int:
    status = cluster.get("a", "/api/v1/status?match=none=none", timeout_s=10.0)
    return int(status["summary"][what]) if isinstance(status, dict) and "summary" in status else -1


def _until(is_done: Any, began: float, interval_s: int) -> float:
    wait_for(is_done, 600.0 + 10 * interval_s, "everything to be known", every_s=1.0)
    return time.monotonic() - began


def _look(cluster: Cluster) -> dict[str, dict[str, float]]:
    """Each peer's own figures and what the kernel says of it."""
    figures = {}
    for peer, process in cluster.processes.items():
        document = cluster.get(peer, "/api/v1/cluster", timeout_s=10.0)
        figures[peer] = {
            "term": document["term"],
            "log_mb": document["log_bytes"] / 2**20,
            "state_mb": document["state_bytes"] / 2**20,
            "snapshot_s": document["snapshot_s"],
            "cpu_s": cpu_s(process.pid),
            "rss_mb": rss_mb(process.pid),
            "peak_mb": rss_mb(process.pid, peak=True),
        }
    return figures


def report(figures: dict[str, Any]) -> str:
    """The table."""
    before, after = figures["before"], figures["after"]
    about = (
        f"{figures['services']} services, every {figures['interval_s']} s; all down for everybody after "
        f"{figures['down_s']:.0f} s, every incident open after {figures['open_s']:.0f} s, "
        f"{figures['told']} messages told by then"
    )
    columns = "elections|last snapshot, MB|its stall, s|log, MB|CPU, s|RSS before, MB|after|peak"
    lines = [about, "", f"|peer|{columns}|", "|---|---|---|---|---|---|---|---|---|"]
    for peer, one in after.items():
        was = before[peer]
        lines.append(
            f"| {peer} | {one['term'] - was['term']} | {one['state_mb']:.1f} | {one['snapshot_s']:.2f} "
            f"| {one['log_mb']:.1f} | {one['cpu_s'] - was['cpu_s']:.0f} | {was['rss_mb']:.0f} "
            f"| {one['rss_mb']:.0f} | {one['peak_mb']:.0f} |"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks flood")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--interval", type=int, default=30)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.services, options.interval)
    sys.stdout.write(report(figures) + "\n")
    return 0
