"""Ten thousand services fail at once: how soon all is known, how large it gets, whether the cluster bears it.

Three real peers on loopback; only their looks at the services are made up (flooded_peer.py). All are well,
then all are down for everybody, then all are well again. Every second each peer is asked how it is, as a
dashboard would, and what arrived at the webhook is counted. Prints what each phase took and cost. It judges
nothing.

    python -m tests.benchmarks flood [--services 10000] [--interval 30] [--stay 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figures import Meter, machine, rss_mb
from support.cluster_support import Cluster, running, wait_for
from support.sinks import HttpSink

FLOODED = ["-m", "benchmarks.flooded_peer"]
PHASE_S_MAX = 1800.0
ANSWER_S = 10.0
SUM_OF = re.compile(r"^(watchtower_[a-z_]+)(?:\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)


class Flood:
    """One run. `phases` holds what each phase took and cost, `samples` a row per second and peer."""

    def __init__(self, cluster: Cluster, sink: HttpSink, services: int) -> None:
        self._cluster = cluster
        self._sink = sink
        self._services = services
        self._began = time.monotonic()
        self.samples: list[dict[str, Any]] = []
        self.phases: list[dict[str, Any]] = []

    def phase(self, name: str, is_over: Callable[[], bool], at_most_s: float = PHASE_S_MAX) -> bool:
        """Sample until `is_over`, at most so long; False when it was not over by then."""
        meter = Meter({peer: process.pid for peer, process in self._cluster.processes.items()})
        told, first = len(self._sink.log.items), len(self.samples)
        is_done = False
        while not (is_done or meter.took_s > at_most_s):
            self._sample()
            is_done = is_over()
        seen = self.samples[first:]
        self.phases.append(
            {
                "phase": name,
                "took_s": meter.took_s,
                "is_done": is_done,
                "cpu_percent": meter.percent(),
                "others_percent": meter.others_percent(),
                "told": len(self._sink.log.items) - told,
                "answer_s": max(row["answer_s"] for row in seen),
                "no_answer": sum(row["term"] is None for row in seen),
                "elections": _growth(seen, "term"),
                "alerters": _growth(seen, "epoch"),
                "not_ready": sum(row["ready"] is False for row in seen),
                "snapshot_s": _largest(seen, "snapshot_s"),
                "state_mb": _largest(seen, "state_bytes") / 2**20,
                "log_mb": _largest(seen, "log_bytes") / 2**20,
                "tick_gap_s": _largest(seen, "tick_gap_s"),
                "rss_mb": {peer: rss_mb(process.pid) for peer, process in self._cluster.processes.items()},
                "peak_mb": {
                    peer: rss_mb(process.pid, peak=True) for peer, process in self._cluster.processes.items()
                },
            }
        )
        return is_done

    def _sample(self) -> None:
        """Ask every peer once; a row takes at least a second in all."""
        due = time.monotonic() + 1.0
        for peer in self._cluster.names:
            began = time.monotonic()
            document = self._cluster.get(peer, "/api/v1/cluster", timeout_s=ANSWER_S) or {}
            answer_s = time.monotonic() - began
            # The lease's epoch and the pause of the Raft thread stand in the documents below only.
            lease = self._cluster.get(peer, "/api/v1/peers", timeout_s=ANSWER_S) or {"peers": []}
            health = self._cluster.get(peer, "/livez", timeout_s=ANSWER_S) or {}
            self.samples.append(
                {
                    "at_s": began - self._began,
                    "peer": peer,
                    "answer_s": answer_s,
                    "told": len(self._sink.log.items),
                    "term": document.get("term"),
                    "role": document.get("role"),
                    "ready": document.get("ready"),
                    "snapshot_s": document.get("snapshot_s", 0.0),
                    "state_bytes": document.get("state_bytes", 0),
                    "log_bytes": document.get("log_bytes", 0),
                    "epoch": max((_epoch(row) for row in lease["peers"]), default=None),
                    "doubts": {row["name"]: row["doubt"] for row in lease["peers"] if row.get("doubt")},
                    "tick_gap_s": _tick_gap_s(health),
                    "rss_mb": rss_mb(self._cluster.processes[peer].pid),
                }
            )
        wait_for(lambda: time.monotonic() >= due, 5.0, "the next second")

    # ---- what is asked for

    def are_all_open(self) -> bool:
        """True when every service has an open incident, by the word of the first peer."""
        newest = self._incidents("limit=1")
        # Counting is dear, so it is done only when there have been enough.
        is_likely = newest is not None and any(one["number"] >= self._services for one in newest)
        return is_likely and self.metric("watchtower_incidents_open") >= self._services

    def are_all_closed(self) -> bool:
        """True when no incident is open, by the word of the first peer."""
        return self._incidents("limit=1&state=open") == []

    def _incidents(self, query: str) -> list[dict[str, Any]] | None:
        answer = self._cluster.get(self._cluster.names[0], f"/api/v1/incidents?{query}", timeout_s=ANSWER_S)
        return answer.get("incidents") if isinstance(answer, dict) else None

    def are(self, level: str) -> Callable[[], bool]:
        """True when every service has that verdict at the first peer."""
        return lambda: self._summary().get(level) == self._services

    def _summary(self) -> dict[str, int]:
        status = self._cluster.get(self._cluster.names[0], "/api/v1/status?match=no=such", timeout_s=ANSWER_S)
        return dict(status["summary"]) if isinstance(status, dict) and "summary" in status else {}

    def metric(self, name: str) -> float:
        """The sum of one metric over its labels at the first peer; -1 when it does not answer."""
        url = f"http://127.0.0.1:{self._cluster.http[self._cluster.names[0]]}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
                text = answer.read().decode()
        except OSError:
            return -1.0
        return sum(float(value) for found, value in SUM_OF.findall(text) if found == name)


def _epoch(row: dict[str, Any]) -> int:
    lease = row.get("lease")
    return int(lease["epoch"]) if lease else 0


def _tick_gap_s(health: dict[str, Any]) -> float:
    told = json.loads(health["body"]) if "body" in health else health
    checks = told.get("checks", {}).get("raft:tick_gap", [{}])
    return float(checks[0].get("observedValue", 0.0))


def _growth(rows: list[dict[str, Any]], key: str) -> int:
    known = [row[key] for row in rows if row[key] is not None]
    return max(known) - min(known) if known else 0


def _largest(rows: list[dict[str, Any]], key: str) -> float:
    return float(max(row[key] for row in rows))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All well, all down, all well again."""
    services, interval_s = options.services, options.interval
    lines = "\n".join(
        f"service{n:05}: {{url: 'https://host{n:05}.example.test/healthz', interval: {interval_s}s}}"
        for n in range(services)
    )
    with HttpSink() as sink:
        cluster = Cluster(folder, services=lines, notify=f"hook: json://127.0.0.1:{sink.port}/")
        cluster.program = FLOODED
        with running(cluster, timeout_s=120.0):
            flood = Flood(cluster, sink, services)
            flood.phase("begin, until all are known to be up", flood.are("up"))
            _pass_time(flood, "all well", options.stay)
            _signal(cluster, signal.SIGUSR1)
            flood.phase("all fail, until every incident is open", flood.are_all_open)
            _pass_time(flood, "all down", options.stay)
            shed = flood.metric("watchtower_notifications_shed_total")
            pending = flood.metric("watchtower_outbox_pending")
            _signal(cluster, signal.SIGUSR2)
            flood.phase("all recover, until every incident is closed", flood.are_all_closed)
            _pass_time(flood, "all well again", options.stay)
    kinds = [item.json["kind"] for item in sink.received]
    return {
        "services": services, "interval_s": interval_s, "machine": machine(), "phases": flood.phases,
        "shed_while_down": shed, "pending_while_down": pending,
        "told": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
        "about_peers": sum(not _is_about_service(item.json) for item in sink.received),
        "samples": flood.samples,
    }  # fmt: skip


def _is_about_service(body: dict[str, Any]) -> bool:
    return str(body["incident"]["service"]).startswith("service")


def _signal(cluster: Cluster, number: signal.Signals) -> None:
    for peer in cluster.names:
        cluster.signal(peer, number)


def _pass_time(flood: Flood, name: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    flood.phase(f"{name}, {seconds:.0f} s", lambda: time.monotonic() >= until)


def report(figures: dict[str, Any]) -> str:
    """The table, a row per phase."""
    columns = (
        "phase|took, s|messages|CPU a/b/c, % of a core|elections|alerters|longest answer, s|log, MB"
        "|snapshot, MB|its stall, s|Raft pause, s|RSS a/b/c, MB|peak"
    )
    lines = [f"|{columns}|", "|---" * (columns.count("|") + 1) + "|"]
    for one in figures["phases"]:
        took = f"{one['took_s']:.0f}" if one["is_done"] else f"not within {one['took_s']:.0f}"
        cells = (
            one["phase"], took, one["told"], _each(one["cpu_percent"]), one["elections"], one["alerters"],
            f"{one['answer_s']:.2f}", f"{one['log_mb']:.1f}", f"{one['state_mb']:.1f}",
            f"{one['snapshot_s']:.2f}", f"{one['tick_gap_s']:.2f}", _each(one["rss_mb"]),
            _each(one["peak_mb"]),
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    told = ", ".join(f"{count} {kind}" for kind, count in figures["told"].items()) or "nothing"
    sentences = (
        f"{figures['services']} services every {figures['interval_s']} s.",
        f"Told: {told}; of them about peers or the cluster: {figures['about_peers']}.",
        f"At the end of the outage {figures['pending_while_down']:.0f} messages waited",
        f"and {figures['shed_while_down']:.0f} had been shed. {figures['machine']}.",
    )
    return "\n".join([*lines, "", " ".join(sentences)])


def _each(values: dict[str, float]) -> str:
    return "/".join(f"{value:.0f}" for value in values.values())


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks flood")
    parser.add_argument("--services", type=int, default=10_000)
    parser.add_argument("--interval", type=int, default=30)
    parser.add_argument("--stay", type=float, default=60.0, help="seconds to look on between the phases")
    parser.add_argument("--folder", type=Path, default=None, help="where the data lies; fsync costs there")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options)
    sys.stdout.write(report(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0
