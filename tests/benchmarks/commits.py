"""How long a commit takes, on loopback with fsync, and how 200 reports a second are borne for a minute.

Three processes, each with a real Cluster: real links, real journal on a real disk. Every submit is timed from
the call to its answer, when it is applied and visible; the disk's own flush is timed beside it. Prints
tables. It judges nothing.

    python -m tests.benchmarks commits [--seconds 60] [--folder DIR] [--json FILE]

`--folder` is where the data lies: a folder on the disk that is meant, since fsync is what costs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from benchmarks.figures import Meter, machine, rss_mb
from support.cluster_support import TESTS, free_ports
from support.judging import percentile

NAMES = ("a", "b", "c")
REPORTS_PER_S = 200
COUNT = 1000


class Member:
    """A process of benchmarks/member.py."""

    def __init__(self, name: str, ports: dict[str, int], folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.member", name, json.dumps(ports), str(folder)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=TESTS
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(15)
        finally:
            self._process.kill()

    def order(self, order: dict[str, Any]) -> None:
        """Have something done; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """An order and its answer."""
        self.order(order)
        return self.answer()


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    """Latency of one after the other at leader and follower, then the steady load from all three."""
    ports = dict(zip(NAMES, free_ports(len(NAMES)), strict=True))
    with contextlib.ExitStack() as stack:
        members = {name: stack.enter_context(Member(name, ports, folder)) for name in NAMES}
        for member in members.values():
            member.answer()
        leader, term = _leader(members)
        follower = next(name for name in NAMES if name != leader)
        flushes_ms = _flushes_ms(folder)
        alone = {
            "at the leader": members[leader].ask({"do": "submit", "count": COUNT}),
            "at a follower": members[follower].ask({"do": "submit", "count": COUNT}),
        }
        before = {name: member.ask({"do": "status"})["report_seq"] for name, member in members.items()}
        meter = Meter({name: member.pid for name, member in members.items()})
        for member in members.values():
            member.order({"do": "report", "per_s": REPORTS_PER_S / len(NAMES), "for_s": seconds})
        loaded = {name: member.answer() for name, member in members.items()}
        took_s, cost, others = meter.took_s, meter.percent(), meter.others_percent()
        memory = {name: rss_mb(member.pid) for name, member in members.items()}
        after = {name: member.ask({"do": "status"})["report_seq"] for name, member in members.items()}
        lost = sum(len(loaded[name]["times_ms"]) - (after[name] - before[name]) for name in NAMES)
        elections = _leader(members)[1] - term
    return {
        "flushes_ms": flushes_ms, "alone": alone, "loaded": loaded, "took_s": took_s, "cpu_percent": cost,
        "others_percent": others, "rss_mb": memory, "leader": leader, "elections": elections, "lost": lost,
        "machine": machine(),
    }  # fmt: skip


def _leader(members: dict[str, Member]) -> tuple[str, int]:
    """Who leads, and in which term."""
    statuses = {name: member.ask({"do": "status"}) for name, member in members.items()}
    leader = next(name for name, status in statuses.items() if status["role"] == "leader")
    return leader, int(statuses[leader]["term"])


def _flushes_ms(folder: Path) -> list[float]:
    """How long this disk takes to keep 300 bytes more of a file."""
    times_ms = []
    with (folder / "flushes").open("ab", buffering=0) as file:
        for _ in range(COUNT):
            began = time.perf_counter()
            file.write(b"x" * 300)
            os.fdatasync(file.fileno())
            times_ms.append(1000 * (time.perf_counter() - began))
    return times_ms


def report(figures: dict[str, Any]) -> str:
    """Both tables."""
    lines = ["| what | p50, ms | p99, ms | worst, ms | fate unknown |", "|---|---|---|---|---|"]
    lines.append(f"| the disk alone: append and fdatasync | {_spread(figures['flushes_ms'])} | |")
    for name, one in figures["alone"].items():
        lines.append(
            f"| commit, one after the other, {name} | {_spread(one['times_ms'])} | {one['unknown']} |"
        )
    times_ms = [time_ms for one in figures["loaded"].values() for time_ms in one["times_ms"]]
    unknown = sum(one["unknown"] for one in figures["loaded"].values())
    refused = sum(one["refused"] for one in figures["loaded"].values())
    rate, took_s = len(times_ms) / figures["took_s"], figures["took_s"]
    lines.append(
        f"| commit, under {rate:.0f} reports/s for {took_s:.0f} s | {_spread(times_ms)} | {unknown} |"
    )
    lines += ["", "| process | CPU, % of a core | RSS, MB |", "|---|---|---|"]
    for name, cost in figures["cpu_percent"].items():
        role = "leader" if name == figures["leader"] else "follower"
        lines.append(f"| {name} ({role}) under load | {cost:.0f} | {figures['rss_mb'][name]:.0f} |")
    sentences = (
        f"Of {len(times_ms)} reports {figures['lost']} were lost and {refused} refused;",
        f"elections meanwhile: {figures['elections']}.",
        f"All else on the machine used {figures['others_percent']:.0f} % of a core; {figures['machine']}.",
    )
    return "\n".join([*lines, "", " ".join(sentences)])


def _spread(times_ms: list[float]) -> str:
    return " | ".join(f"{percentile(times_ms, part):.1f}" for part in (50, 99, 100))


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks commits")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure(Path(folder), options.seconds)
    sys.stdout.write(report(figures) + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0
