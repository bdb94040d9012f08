"""What idling costs: three watchtower peers beside Prometheus, Alertmanager and blackbox_exporter.

Both watch the same hundred HTTP targets every 30 s in the same minutes, on loopback; nothing fails. CPU is
the kernel's count over all processes of each side, memory its resident set at the end. Prints a table and
ratios, and writes JSON. Needs the Debian packages prometheus, prometheus-alertmanager and
prometheus-blackbox-exporter (their services need not run). It judges nothing.

    python -m tests.benchmarks idle [--minutes 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import cpu_s, rss_mb
from support.cluster_support import Cluster, free_ports, running, wait_for
from support.outages import Server
from support.sinks import HttpSink

SERVICES = 100
INTERVAL_S = 30
SETTLE_S = INTERVAL_S * 1.5
PROGRAMS = ("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter")

PROMETHEUS = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: [{folder}/rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}
scrape_configs:
- job_name: blackbox
  metrics_path: /probe
  params: {{module: [http]}}
  static_configs: [{{targets: [{targets}]}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: '127.0.0.1:{blackbox}'}}
"""
RULES = """\
groups:
- name: down
  rules:
  - {alert: Down, expr: probe_success == 0, for: 30s}
"""
BLACKBOX = "modules: {http: {prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}}\n"
ALERTMANAGER = """\
route: {{receiver: hook}}
receivers: [{{name: hook, webhook_configs: [{{url: '{hook}'}}]}}]
"""


@contextlib.contextmanager
def prometheus_stack(folder: Path, targets: list[str], hook: str) -> Iterator[dict[str, int]]:
    """The three programs with a small configuration each; their process ids by name."""
    web, alertmanager, blackbox = free_ports(3)
    (folder / "rules.yml").write_text(RULES)
    (folder / "blackbox.yml").write_text(BLACKBOX)
    (folder / "alertmanager.yml").write_text(ALERTMANAGER.format(hook=hook))
    listed = ", ".join(f"'{target}'" for target in targets)
    (folder / "prometheus.yml").write_text(
        PROMETHEUS.format(
            interval=INTERVAL_S, folder=folder, alertmanager=alertmanager, blackbox=blackbox, targets=listed
        )
    )
    commands = {
        "prometheus": [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{web}",
        ],
        "prometheus-alertmanager": [
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ],
        "prometheus-blackbox-exporter": [
            f"--config.file={folder}/blackbox.yml",
            f"--web.listen-address=127.0.0.1:{blackbox}",
        ],
    }
    with contextlib.ExitStack() as stack:
        pids = {}
        for name, options in commands.items():
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = stack.enter_context(subprocess.Popen([name, *options], stdout=log, stderr=log))
            stack.callback(process.terminate)
            pids[name] = process.pid
        yield pids


def measure(minutes: float, folder: Path) -> dict[str, Any]:
    """Both sides idling through the same minutes."""
    server = Server("127.0.0.1")
    targets = [f"http://127.0.0.1:{server.port}/s{n:03}" for n in range(SERVICES)]
    services = "\n".join(
        f"s{n:03}: {{url: '{target}', interval: {INTERVAL_S}s}}" for n, target in enumerate(targets)
    )
    with contextlib.ExitStack() as stack:
        stack.callback(server.close)
        sink = stack.enter_context(HttpSink())
        cluster = Cluster(folder, services=services, notify=f"hook: json://127.0.0.1:{sink.port}/")
        stack.enter_context(running(cluster))
        theirs = stack.enter_context(prometheus_stack(folder, targets, f"{sink.url}/"))
        ours = {f"peer {name}": process.pid for name, process in cluster.processes.items()}
        until = time.monotonic() + SETTLE_S
        wait_for(lambda: time.monotonic() >= until, SETTLE_S + 5, "everything probed once")
        figures = _idle({**ours, **theirs}, minutes * 60)
        assert not sink.received, f"something was told while idling: {sink.received[0].body}"
    return {"services": SERVICES, "interval_s": INTERVAL_S, "minutes": minutes, "processes": figures}


def _idle(pids: dict[str, int], seconds: float) -> dict[str, dict[str, float]]:
    before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    wait_for(lambda: time.monotonic() - began >= seconds, seconds + 5, "idling", every_s=0.5)
    took_s = time.monotonic() - began
    return {
        name: {"cpu_percent": 100 * (cpu_s(pid) - before[name]) / took_s, "rss_mb": rss_mb(pid)}
        for name, pid in pids.items()
    }


def report(figures: dict[str, Any]) -> str:
    """The table, and how one peer compares with the three programs together."""
    processes = figures["processes"]
    lines = ["| process | CPU, % of a core | RSS, MB |", "|---|---|---|"]
    lines += [
        f"| {name} | {one['cpu_percent']:.2f} | {one['rss_mb']:.0f} |" for name, one in processes.items()
    ]
    peers = [one for name, one in processes.items() if name.startswith("peer ")]
    stack = [one for name, one in processes.items() if not name.startswith("peer ")]
    ours = {key: sum(one[key] for one in peers) / len(peers) for key in ("cpu_percent", "rss_mb")}
    theirs = {key: sum(one[key] for one in stack) for key in ("cpu_percent", "rss_mb")}
    figures["one_peer"], figures["three_programs"] = ours, theirs
    lines.append(f"| one peer, mean | {ours['cpu_percent']:.2f} | {ours['rss_mb']:.0f} |")
    lines.append(f"| the three programs together | {theirs['cpu_percent']:.2f} | {theirs['rss_mb']:.0f} |")
    ratios = {key: ours[key] / theirs[key] for key in ours}
    lines.append(f"| ratio | {ratios['cpu_percent']:.2f} | {ratios['rss_mb']:.2f} |")
    about = f"{figures['services']} services every {figures['interval_s']} s, {figures['minutes']} minutes"
    return "\n".join([about, "", *lines])


def main(arguments: list[str]) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks idle")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        sys.exit(f"not installed: apt-get install --no-install-recommends {' '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.minutes, Path(folder))
    sys.stdout.write(report(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0
