"""Ten thousand services on three peers: is anything ever said to be down that is not?

Every target is well all the time (nginx, answering.py), each peer looks at each of them every 30 s. After all
are up the minutes are counted in which nothing may change: no verdict but up, no incident, no message. Beside
that: looks that were left out, CPU and memory of each peer with all its processes, lateness of its loop.

    python -m tests.benchmarks many [--services 10000 --interval 30 --minutes 10] [--kind http] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import busy_s, machine, tree_cpu_s, tree_rss_mb
from benchmarks.probe_sides import ANSWER_S, counts, lag_s, rest, summary
from benchmarks.probe_targets import Targets
from benchmarks.prometheus import require
from support.cluster_support import Cluster, running, wait_for
from support.judging import percentile
from support.sinks import HttpSink

KINDS = ("http", "tcp", "dns")
START_S = 300.0
LOOK_EVERY_S = 1.0


def measure(targets: Targets, options: argparse.Namespace) -> dict[str, Any]:
    """All the minutes of one run."""
    kinds = options.kind or list(KINDS)
    lines = "\n".join(
        targets.line(kinds[number % len(kinds)], number, options.interval)
        for number in range(options.services)
    )
    with tempfile.TemporaryDirectory() as folder, HttpSink() as sink:
        cluster = Cluster(Path(folder), services=lines, notify=f"hook: json://127.0.0.1:{sink.port}/")
        with running(cluster, timeout_s=START_S):
            began = time.monotonic()
            wait_for(lambda: _are_all_up(cluster, options.services), START_S, "all are up", every_s=1.0)
            figures = {
                "all_up_s": time.monotonic() - began,
                **_watch(cluster, options.services, options.minutes * 60),
            }
        return {"services": options.services, "kinds": kinds, "told": len(sink.log.items), **figures}


def _are_all_up(cluster: Cluster, count: int) -> bool:
    return all(summary(cluster, peer).get("up", 0) == count for peer in cluster.names)


def _watch(cluster: Cluster, services: int, for_s: float) -> dict[str, Any]:
    """Ask all the peers all the time what is not up; then what it cost."""
    pids = {peer: process.pid for peer, process in cluster.processes.items()}
    began, machine_s = time.monotonic(), busy_s()
    cpu_s = {peer: tree_cpu_s(pid) for peer, pid in pids.items()}
    before = {peer: counts(cluster, peer) for peer in pids}
    lags_ms: dict[str, list[float]] = {peer: [] for peer in pids}
    rss_mb: dict[str, list[float]] = {peer: [] for peer in pids}
    not_up = unanswered = 0
    while time.monotonic() - began < for_s:
        for peer, pid in pids.items():
            if verdicts := summary(cluster, peer):
                not_up = max(not_up, services - verdicts["up"])
            unanswered += not verdicts
            lags_ms[peer].append(1000 * lag_s(cluster.get(peer, "/livez", timeout_s=ANSWER_S)))
            rss_mb[peer].append(tree_rss_mb(pid))
        rest(LOOK_EVERY_S)
    took_s = time.monotonic() - began
    cpu_s = {peer: tree_cpu_s(pid) - cpu_s[peer] for peer, pid in pids.items()}
    after = {peer: counts(cluster, peer) for peer in pids}
    incidents = cluster.get("a", "/api/v1/incidents?limit=100", timeout_s=ANSWER_S)["incidents"]
    return {
        "took_s": took_s,
        "not_up": not_up,
        "unanswered": unanswered,
        "incidents": len(incidents),
        "others_percent": 100 * (busy_s() - machine_s - sum(cpu_s.values())) / took_s,
        "peers": {
            peer: {
                "looks_per_s": (after[peer]["started"] - before[peer]["started"]) / took_s,
                "left_out": sum(after[peer][key] - before[peer][key] for key in ("skipped", "stale")),
                "cpu_percent": 100 * cpu_s[peer] / took_s,
                "rss_mb": [rss_mb[peer][0], max(rss_mb[peer]), rss_mb[peer][-1]],
                "lag_p99_ms": percentile(lags_ms[peer], 99),
            }
            for peer in pids
        },
    }


def report(figures: dict[str, Any]) -> str:
    """The table and the sentence that matters."""
    lines = [
        "| peer | looks/s | left out | CPU, % of a core | RSS first / highest / last, MB | lag p99, ms |",
        "|---|---|---|---|---|---|",
    ]
    for peer, one in figures["peers"].items():
        rss = " / ".join(f"{mb:.0f}" for mb in one["rss_mb"])
        lines.append(
            f"| {peer} | {one['looks_per_s']:.0f} | {one['left_out']} | {one['cpu_percent']:.0f} "
            f"| {rss} | {one['lag_p99_ms']:.0f} |"
        )
    sentences = (
        f"{figures['services']} services ({', '.join(figures['kinds'])}), all up after",
        f"{figures['all_up_s']:.0f} s; then for {figures['took_s'] / 60:.1f} minutes at worst",
        f"{figures['not_up']} not up, {figures['incidents']} incidents, {figures['told']} messages,",
        f"{figures['unanswered']} questions to the API without an answer.",
        f"All else on the machine used {figures['others_percent']:.0f} % of a core. {figures['machine']}.",
    )
    return "\n".join([*lines, "", " ".join(sentences)])


def main(arguments: list[str]) -> int:
    """Measure, print, write; 1 when anything was said to be down."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks many")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--interval", type=float, default=30.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kind", action="append", choices=("http", "https", "tcp", "dns", "icmp"))
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    require("nginx", "openssl")
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(targets.certificate)
        with targets.serving():
            figures = {**measure(targets, options), "machine": machine()}
    sys.stdout.write(report(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(bool(figures["not_up"] or figures["incidents"] or figures["told"]))
