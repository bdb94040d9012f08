"""The two sides of `probes`: a watchtower peer with all its processes, or Prometheus with blackbox_exporter.

Each is started on the same targets at the same rate and can then be metered: CPU and memory of the process
trees, and what it says of itself. Looks are counted at the target. It judges nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import busy_s, tree_cpu_s, tree_rss_mb
from benchmarks.probe_targets import MODULES, Targets
from benchmarks.prometheus import Stack, prometheus_stack
from support.cluster_support import Cluster, running, wait_for
from support.judging import percentile
from support.sinks import HttpSink

PEER = "a"
LAG_EVERY_S = 0.1
ANSWER_S = 10.0
COUNTER = re.compile(r"^watchtower_probes_(started|skipped|stale)_total ([0-9.e+]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Load:
    """What is looked at, and how often: `rate` looks a second, each target every `interval_s`."""

    kind: str
    rate: float
    interval_s: float

    @property
    def services(self) -> int:
        """How many services make the rate."""
        return max(1, round(self.rate * self.interval_s))


class Ours:
    """A peer under load. `witnesses` are two more peers that look at nothing; their cost is not counted."""

    name = "watchtower"

    def __init__(self, cluster: Cluster, sink: HttpSink, targets: Targets) -> None:
        self._cluster, self._sink, self._targets = cluster, sink, targets
        self.roots = {"peer": cluster.processes[PEER].pid}

    @classmethod
    @contextlib.contextmanager
    def started(cls, load: Load, targets: Targets, witnesses: int = 0) -> Iterator[Ours]:
        """A fresh cluster."""
        witness_names = "bc"[:witnesses]
        with tempfile.TemporaryDirectory() as folder, HttpSink() as sink:
            cluster = Cluster(
                Path(folder),
                services=_lines(load, targets),
                notify=f"hook: json://127.0.0.1:{sink.port}/",
                names=(PEER, *witness_names),
                peer_extra=dict.fromkeys(witness_names, ", witness: true"),
            )
            with running(cluster, timeout_s=60):
                yield cls(cluster, sink, targets)

    def reload(self, load: Load) -> None:
        """Other services from now on, without a restart."""
        self._cluster.configure(
            PEER, services=_lines(load, self._targets), notify=f"hook: json://127.0.0.1:{self._sink.port}/"
        )
        self._cluster.signal(PEER, signal.SIGHUP)

    def counts(self) -> dict[str, int]:
        """Its own counters of looks: started, skipped, stale."""
        return counts(self._cluster, PEER)

    def summary(self) -> dict[str, int]:
        """How many services have which verdict; empty when there is no answer."""
        return summary(self._cluster, PEER)

    def told(self) -> int:
        """Messages that went out."""
        return len(self._sink.log.items)

    def about(self) -> dict[str, Any]:
        """What it says of itself after the window."""
        found = self.summary()
        return {
            "up": found.get("up", 0),
            "down": found.get("down", 0) + found.get("partial", 0) + found.get("degraded", 0),
            "told": self.told(),
            **{key: self.counts()[key] for key in ("skipped", "stale")},
        }

    def lags(self, for_s: float) -> dict[str, float]:
        """Lateness of the peer's loop, and how long it takes to answer, as percentiles in milliseconds."""
        lags_ms, answers_ms = [], []
        until = time.monotonic() + for_s
        while time.monotonic() < until:
            began = time.perf_counter()
            health = self._cluster.get(PEER, "/livez", timeout_s=ANSWER_S)
            lags_ms.append(1000 * lag_s(health))
            self._cluster.get(PEER, "/api/v1/services/s00000", timeout_s=ANSWER_S)
            answers_ms.append(500 * (time.perf_counter() - began))
            rest(LAG_EVERY_S)
        return {
            "lag_p50_ms": percentile(lags_ms, 50),
            "lag_p99_ms": percentile(lags_ms, 99),
            "api_p50_ms": percentile(answers_ms, 50),
            "api_p99_ms": percentile(answers_ms, 99),
        }


class Theirs:
    """Prometheus and blackbox_exporter under load."""

    name = "blackbox + Prometheus"

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.roots = dict(stack.pids)

    @classmethod
    @contextlib.contextmanager
    def started(cls, load: Load, targets: Targets, witnesses: int = 0) -> Iterator[Theirs]:
        """A fresh pair; it has no witnesses."""
        del witnesses
        urls = [targets.url(load.kind, number) for number in range(load.services)]
        with (
            tempfile.TemporaryDirectory() as folder,
            prometheus_stack(Path(folder), urls, MODULES[load.kind], interval_s=load.interval_s) as stack,
        ):
            yield cls(stack)

    def about(self) -> dict[str, Any]:
        """How many targets are up after the window."""
        return {"up": self._stack.up()}

    def lags(self, for_s: float) -> dict[str, float]:
        """It has no loop."""
        del for_s
        return {}


SIDES = (Ours, Theirs)


def measure(side: type[Ours | Theirs], load: Load, targets: Targets, options: Any) -> dict[str, Any]:
    """One side under one load: after a warm-up the window of `options.seconds`, then its lags."""
    begun = targets.count(load.kind)
    with side.started(load, targets, options.witnesses) as run:
        warm_up(targets, load, begun)
        window = Window(run.roots, targets, load)
        rest(options.seconds)
        figures = window.close()
        return {
            "side": side.name,
            "kind": load.kind,
            "rate": load.rate,
            "services": load.services,
            **figures,
            **run.about(),
            **run.lags(max(5.0, options.seconds / 4)),
        }


class Window:
    """CPU and looks from here to `close`."""

    def __init__(self, roots: dict[str, int], targets: Targets, load: Load) -> None:
        self._roots, self._targets, self._kind = roots, targets, load.kind
        self._began = time.monotonic()
        self._looks, self._connections = targets.count(load.kind), targets.connections()
        self._machine = busy_s()
        self._cpu_s = {name: tree_cpu_s(pid) for name, pid in roots.items()}
        self._rss_mb = self._all_rss_mb()

    def close(self) -> dict[str, Any]:
        """What happened since."""
        took_s = time.monotonic() - self._began
        cpu_s = {name: tree_cpu_s(pid) - self._cpu_s[name] for name, pid in self._roots.items()}
        looks = self._targets.count(self._kind) - self._looks
        total_s = sum(cpu_s.values())
        is_counted = self._kind in ("http", "https")
        connections = self._targets.connections() - self._connections if is_counted else looks
        return {
            "took_s": took_s,
            "looks_per_s": looks / took_s,
            "connections_per_look": connections / max(looks, 1),
            "cpu_ms_per_look": 1000 * total_s / max(looks, 1),
            "cpu_percent": 100 * total_s / took_s,
            "cpu_percent_of": {name: 100 * one / took_s for name, one in cpu_s.items()},
            "rss_before_mb": self._rss_mb,
            "rss_mb": self._all_rss_mb(),
            "others_percent": 100 * (busy_s() - self._machine - total_s) / took_s,
        }

    def _all_rss_mb(self) -> float:
        return sum(tree_rss_mb(pid) for pid in self._roots.values())


def warm_up(targets: Targets, load: Load, begun: int) -> None:
    """Until as many looks have come as there are services, then one interval more."""
    wait_for(
        lambda: targets.count(load.kind) - begun >= 0.8 * load.services,
        60 + 4 * load.interval_s,
        f"{load.services} looks",
        every_s=0.5,
    )
    rest(load.interval_s)


def rest(seconds: float) -> None:
    """Let time pass."""
    until = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= until, seconds + 60, "time to pass", every_s=min(0.5, seconds))


def counts(cluster: Cluster, peer: str) -> dict[str, int]:
    """The peer's own counters of looks: started, skipped, stale."""
    url = f"http://127.0.0.1:{cluster.http[peer]}/metrics"
    with urllib.request.urlopen(url, timeout=ANSWER_S) as answer:
        text = answer.read().decode()
    return {name: int(float(value)) for name, value in COUNTER.findall(text)}


def summary(cluster: Cluster, peer: str) -> dict[str, int]:
    """How many services have which verdict there; empty when there is no answer."""
    status = cluster.get(peer, "/api/v1/status", timeout_s=ANSWER_S)
    found: dict[str, int] = status["summary"] if isinstance(status, dict) else {}
    return found


def lag_s(health: Any) -> float:
    """The lateness in an answer of /livez; json is RFC-shaped, one check of that name."""
    if not isinstance(health, dict) or "checks" not in health:
        raise AssertionError(f"/livez says {json.dumps(health)[:200]}")
    return float(health["checks"]["app:loop_lag"][0]["observedValue"])


def _lines(load: Load, targets: Targets) -> str:
    return "\n".join(targets.line(load.kind, number, load.interval_s) for number in range(load.services))
