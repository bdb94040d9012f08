"""How soon people know: from the moment a target fails, or is well again, to the message at the sink."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.cluster_support import Cluster, Target, running, wait_for
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(1800)

WAYS: dict[str, Callable[[Target], None]] = {
    "refused": Target.close,
    "error": lambda target: setattr(target, "status", 503),
    "hanging": Target.hang,
}
"""How a target may fail."""
APART_S = 1.3
"""Between two targets, so that each meets another moment of its interval."""
WORST_S = 12.0


def test_detection_is_fast(tmp_path: Path, full: bool, measured: Callable[[str], None]) -> None:
    """At an interval of 10 s what fails at once is told in 4 s by median, in 12 s at worst; its end likewise.

    What hangs is told within the time that `watchtower check` has printed for it.
    """
    rounds, each = (10, 5) if full else (1, 3)
    targets = {f"{way}-{n}": Target() for n in range(each) for way in WAYS}
    lines = "\n".join(f"{n}: {{url: {t.url}, interval: 10s, timeout: 2s}}" for n, t in targets.items())
    failures: dict[str, list[float]] = {name: [] for name in targets}
    recoveries: dict[str, list[float]] = {name: [] for name in targets}
    with HttpSink() as sink:
        cluster = Cluster(tmp_path, services=lines, notify=f"hook: json://127.0.0.1:{sink.port}/")
        bound_s = _printed_bounds(cluster)
        with running(cluster):
            for name in targets:
                cluster.wait_verdict(name, "up")
            for turn in range(1, rounds + 1):
                _take_turns(targets, _fail, failures, partial(_told, sink, "firing", turn))
                _take_turns(targets, _mend, recoveries, partial(_told, sink, "resolved", turn))
    for target in targets.values():
        target.close()
    for what, found in (("failure", failures), ("recovery", recoveries)):
        for way in WAYS:
            measured(f"{way}, {what} to message: {_shown(_of(found, way))}")
    for found in (failures, recoveries):
        fast = _of(found, "refused") + _of(found, "error")
        # Few samples of a wait that is spread evenly over 3.3 s have a median that is spread as well.
        assert statistics.median(fast) < (4.0 if full else 5.0), _shown(fast)
        assert max(fast) < WORST_S, _shown(fast)
    late = {n: max(s) for n, s in failures.items() if n.startswith("hanging") and max(s) > bound_s[n]}
    assert not late, f"later than the bound of {bound_s['hanging-0']} s: {late}"


def _printed_bounds(cluster: Cluster) -> dict[str, float]:
    """Service -> seconds to its detection at worst, as `watchtower check` prints them."""
    command = [sys.executable, "-m", "watchtower", "check", "--config", str(cluster.file("a")), "--json"]
    environ = {**os.environ, "WT_HTTP": "127.0.0.1:1", "WT_DISK": str(cluster.disk("a"))}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    return {one["name"]: one["detection_s"] for one in json.loads(done.stdout)["services"]}


def _fail(name: str, target: Target) -> None:
    WAYS[name.partition("-")[0]](target)


def _mend(_name: str, target: Target) -> None:
    target.status = 200
    target.close()
    target.open()


def _take_turns(
    targets: dict[str, Target],
    change: Callable[[str, Target], None],
    delays: dict[str, list[float]],
    told: Callable[[], dict[str, float]],
) -> None:
    """Change all targets, one after another, and add how long each took to be told."""
    changed = {}
    for name, target in targets.items():
        change(name, target)
        changed[name] = time.time()
        time.sleep(APART_S)  # a pace, not a wait for something
    wait_for(lambda: not set(targets) - set(told()), 60, "all are told")
    arrived = told()
    for name, at_wall in changed.items():
        delays[name].append(arrived[name] - at_wall)


def _told(sink: HttpSink, kind: str, turn: int) -> dict[str, float]:
    """Service -> when its message of this kind and turn arrived, as far as it has."""
    times: dict[str, list[float]] = {}
    for item in sink.received:
        if item.json["kind"] == kind:
            times.setdefault(item.json["incident"]["service"], []).append(item.at_wall)
    return {name: arrived[turn - 1] for name, arrived in times.items() if len(arrived) >= turn}


def _of(found: dict[str, list[float]], way: str) -> list[float]:
    return [delay for name, delays in found.items() if name.startswith(way) for delay in delays]


def _shown(found: list[float]) -> str:
    return f"median {statistics.median(found):.2f} s, worst {max(found):.2f} s over {len(found)}"
