"""What watchtower is measured against: Debian's Prometheus and blackbox_exporter, and Alertmanager.

Starts the programs with a small configuration each; their services need not run. It judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support.cluster_support import free_ports

PROMETHEUS, ALERTMANAGER, BLACKBOX = PROGRAMS = (
    "prometheus",
    "prometheus-alertmanager",
    "prometheus-blackbox-exporter",
)
SCRAPE = """\
global: {{scrape_interval: {interval}s, evaluation_interval: {interval}s}}
rule_files: [{folder}/rules.yml]
scrape_configs:
- job_name: blackbox
  metrics_path: /probe
  params: {{module: [look]}}
  static_configs: [{{targets: [{targets}]}}]
  relabel_configs:
  - {{source_labels: [__address__], target_label: __param_target}}
  - {{source_labels: [__param_target], target_label: instance}}
  - {{target_label: __address__, replacement: '127.0.0.1:{blackbox}'}}
"""
ALERTING = "alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n"
RULES = """\
groups:
- name: down
  rules:
  - {alert: Down, expr: probe_success == 0, for: 30s}
"""
ROUTE = """\
route: {{receiver: hook}}
receivers: [{{name: hook, webhook_configs: [{{url: '{hook}'}}]}}]
"""


@dataclass(frozen=True)
class Stack:
    """The programs that run: process ids by name, and the port of Prometheus."""

    pids: Mapping[str, int]
    port: int

    def up(self) -> int:
        """How many targets Prometheus holds to be up just now."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query=sum(probe_success)"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return int(found[0]["value"][1]) if found else 0


@contextlib.contextmanager
def prometheus_stack(
    folder: Path, targets: list[str], module: str, *, interval_s: float, hook: str = ""
) -> Iterator[Stack]:
    """Prometheus looks at `targets` through blackbox_exporter's `module`; with `hook` Alertmanager tells it.

    Raises AssertionError when a program has ended by itself.
    """
    web, alertmanager, blackbox = free_ports(3)
    listed = ", ".join(f"'{target}'" for target in targets)
    text = SCRAPE.format(interval=f"{interval_s:g}", folder=folder, blackbox=blackbox, targets=listed)
    (folder / "rules.yml").write_text(RULES)
    (folder / "blackbox.yml").write_text(f"modules: {{look: {module}}}\n")
    (folder / "prometheus.yml").write_text(
        text + (ALERTING.format(alertmanager=alertmanager) if hook else "")
    )
    commands = {
        PROMETHEUS: [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{web}",
        ]
    }
    if hook:
        (folder / "alertmanager.yml").write_text(ROUTE.format(hook=hook))
        commands[ALERTMANAGER] = [
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ]
    commands[BLACKBOX] = [
        f"--config.file={folder}/blackbox.yml",
        f"--web.listen-address=127.0.0.1:{blackbox}",
    ]
    with contextlib.ExitStack() as stack:
        processes = {name: _started(name, commands[name], folder, stack) for name in commands}
        yield Stack({name: process.pid for name, process in processes.items()}, web)
        for name, process in processes.items():
            assert process.poll() is None, f"{name} ended: {(folder / f'{name}.log').read_text()[-1000:]}"


def _started(
    name: str, options: list[str], folder: Path, stack: contextlib.ExitStack
) -> subprocess.Popen[bytes]:
    log = stack.enter_context((folder / f"{name}.log").open("wb"))
    process = stack.enter_context(subprocess.Popen([name, *options], stdout=log, stderr=log))
    stack.callback(process.terminate)
    return process


def require(*programs: str) -> None:
    """Exit with the command to install when one of `programs` is missing."""
    if missing := [name for name in programs if shutil.which(name) is None]:
        sys.exit(f"not installed: apt-get install --no-install-recommends {' '.join(missing)}")
