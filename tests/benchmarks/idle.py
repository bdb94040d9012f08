"""What idling costs: three watchtower peers beside Prometheus, Alertmanager and blackbox_exporter.

Both watch the same HTTP targets every 30 s in the same minutes, on loopback; nothing fails. First a hundred
targets, then none. CPU is the kernel's count over all threads of each process, memory its resident set at
the end. Prints a table with ratios, and writes JSON. Needs the Debian packages prometheus,
prometheus-alertmanager and prometheus-blackbox-exporter (their services need not run). It judges nothing.

    python -m tests.benchmarks idle [--minutes 3] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import Meter, machine, rss_mb
from benchmarks.prometheus import PROGRAMS, prometheus_stack, require
from support.cluster_support import Cluster, running, wait_for
from support.outages import Server
from support.sinks import HttpSink

SERVICES = (100, 0)
INTERVAL_S = 30
SETTLE_S = INTERVAL_S * 1.5
KEYS = ("cpu_percent", "rss_mb")
MODULE = "{prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}"


def measure(services: int, minutes: float, folder: Path) -> dict[str, Any]:
    """Both sides idling through the same minutes."""
    server = Server("127.0.0.1")
    targets = [f"http://127.0.0.1:{server.port}/s{n:03}" for n in range(services)]
    lines = [f"s{n:03}: {{url: '{target}', interval: {INTERVAL_S}s}}" for n, target in enumerate(targets)]
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        sink = stack.enter_context(HttpSink())
        cluster = Cluster(
            folder, services="\n".join(lines) or "{}", notify=f"hook: json://127.0.0.1:{sink.port}/"
        )
        stack.enter_context(running(cluster))
        theirs = stack.enter_context(
            prometheus_stack(folder, targets, MODULE, interval_s=INTERVAL_S, hook=f"{sink.url}/")
        )
        ours = {f"peer {name}": process.pid for name, process in cluster.processes.items()}
        _pass_time(SETTLE_S)
        meter = Meter({**ours, **theirs.pids})
        _pass_time(minutes * 60)
        percent, others_percent = meter.percent(), meter.others_percent()
        assert not sink.received, f"something was told while idling: {sink.received[0].body}"
        processes = {
            name: {"cpu_percent": percent[name], "rss_mb": rss_mb(pid)}
            for name, pid in {**ours, **theirs.pids}.items()
        }
    return {
        "services": services,
        "processes": processes,
        "others_percent": others_percent,
        **_sums(processes),
    }


def _pass_time(seconds: float) -> None:
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until, seconds + 5, "time to pass", every_s=0.5)


def _sums(processes: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """One peer, the mean of three, beside the three programs together."""
    peers = [one for name, one in processes.items() if name.startswith("peer ")]
    programs = [one for name, one in processes.items() if not name.startswith("peer ")]
    one_peer = {key: sum(one[key] for one in peers) / len(peers) for key in KEYS}
    together = {key: sum(one[key] for one in programs) for key in KEYS}
    ratio = {key: one_peer[key] / together[key] if together[key] else math.inf for key in KEYS}
    return {"one_peer": one_peer, "three_programs": together, "ratio": ratio}


def report(figures: dict[str, Any]) -> str:
    """The table: CPU and memory of each process, for each number of services."""
    rounds = figures["rounds"]
    head = "".join(f" CPU with {one['services']} services, % of a core | RSS, MB |" for one in rounds)
    lines = [f"| process |{head}", "|---|" + "---|---|" * len(rounds)]
    lines += [
        f"| {name} |" + "".join(_cells(one["processes"][name]) for one in rounds)
        for name in rounds[0]["processes"]
    ]
    for name, key in (
        ("one peer, mean", "one_peer"),
        ("the three programs together", "three_programs"),
        ("one peer / the three programs", "ratio"),
    ):
        lines.append(f"| {name} |" + "".join(_cells(one[key]) for one in rounds))
    others = ", ".join(f"{one['others_percent']:.0f}" for one in rounds)
    sentences = (
        f"{figures['minutes']:g} minutes each, every target looked at every {INTERVAL_S} s.",
        f"All else on the machine, targets included, used {others} % of a core. {figures['machine']}.",
    )
    return "\n".join([*lines, "", " ".join(sentences)])


def _cells(one: dict[str, float]) -> str:
    return f" {one['cpu_percent']:.2f} | {one['rss_mb']:.{0 if one['rss_mb'] >= 10 else 2}f} |"


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks idle")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    require(*PROGRAMS)
    rounds = []
    for services in SERVICES:
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(measure(services, options.minutes, Path(folder)))
    figures = {"minutes": options.minutes, "machine": machine(), "rounds": rounds}
    sys.stdout.write(report(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0
