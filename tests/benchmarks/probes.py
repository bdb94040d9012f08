"""What a look costs: a watchtower peer beside blackbox_exporter + Prometheus, same targets, same rate.

One side after the other, the order alternating, the warm-up left out. Looks are counted at the target, CPU is
the kernel's count over all processes of a side, fresh connections on both. `--ceiling` raises the rate until
looks fail to come; `--overload` checks what happens at twice that (exit code 1 when a check fails). Needs the
Debian packages prometheus, prometheus-blackbox-exporter, nginx-light and openssl.

    python -m tests.benchmarks probes [--kind http --rate 100 --seconds 40] [--ceiling] [--overload]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import machine
from benchmarks.probe_limits import ceilings, overloads
from benchmarks.probe_sides import SIDES, Load, Ours, measure
from benchmarks.probe_targets import KINDS, Targets, is_known
from benchmarks.prometheus import BLACKBOX, PROMETHEUS, require

COLUMNS = (
    "kind, looks/s", "side", "came, /s", "CPU ms per look", "CPU, % of a core", "RSS before and after, MB",
    "up", "lag p99, ms", "API p99, ms",
)  # fmt: skip
HEAD = ("| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS))
REFUSED = "| {kind} | | not measured: this watchtower's configuration refuses the kind | | | | | | |"


def measure_all(targets: Targets, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each kind, rate and side."""
    rows: list[dict[str, Any]] = []
    turns = itertools.cycle((SIDES, SIDES[::-1]))
    for kind in options.kind:
        if not is_known(kind):
            rows.append({"kind": kind, "skipped": True})
            continue
        for rate in options.rate:
            for side in next(turns):
                rows.append(measure(side, Load(kind, rate, options.interval), targets, options))
                sys.stderr.write(row(rows[-1]) + "\n")
    return rows


def report(figures: dict[str, Any]) -> str:
    """The table with a line of ratios under each pair."""
    rows = figures["rows"]
    lines = list(HEAD)
    lines += [REFUSED.format(kind=one["kind"]) for one in rows if one.get("skipped")]
    measured = [one for one in rows if not one.get("skipped")]
    for first, second in zip(measured[::2], measured[1::2], strict=True):
        ours, theirs = (first, second) if first["side"] == Ours.name else (second, first)
        lines += [row(ours), row(theirs), _ratio(ours, theirs)]
    others = ", ".join(f"{one['others_percent']:.0f}" for one in measured)
    fresh = min((one["connections_per_look"] for one in measured), default=1.0)
    sentences = (
        f"{figures['seconds']:g} s each, every target looked at every {figures['interval_s']:g} s;",
        f"at least {fresh:.2f} connections per look.",
        f"All else on the machine, targets included, used {others} % of a core. {figures['machine']}.",
    )
    return "\n".join([*lines, "", " ".join(sentences)])


def row(one: dict[str, Any]) -> str:
    """One side under one load."""
    lags = [f"{one[key]:.1f}" if key in one else "" for key in ("lag_p99_ms", "api_p99_ms")]
    cells = (
        f"{one['kind']}, {one['rate']:g}",
        one["side"],
        f"{one['looks_per_s']:.1f}",
        f"{one['cpu_ms_per_look']:.2f}",
        f"{one['cpu_percent']:.1f}",
        f"{one['rss_before_mb']:.0f}, {one['rss_mb']:.0f}",
        f"{one['up']} of {one['services']}",
        *lags,
    )
    return "| " + " | ".join(cells) + " |"


def _ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> str:
    parts = {key: ours[key] / theirs[key] if theirs[key] else 0.0 for key in ("cpu_ms_per_look", "rss_mb")}
    cpu, rss = parts["cpu_ms_per_look"], parts["rss_mb"]
    return f"| {ours['kind']}, {ours['rate']:g} | **ours / theirs** | | **{cpu:.2f}** | | {rss:.2f} | | | |"


def main(arguments: list[str]) -> int:
    """Measure, print, write; 1 when a check of --overload failed."""
    options = _options(arguments)
    require(PROMETHEUS, BLACKBOX, "nginx", "openssl")
    figures: dict[str, Any] = {"seconds": options.seconds, "interval_s": options.interval}
    checks: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        targets = Targets(Path(folder))
        os.environ["SSL_CERT_FILE"] = str(targets.certificate)
        with targets.serving():
            if options.rate:
                figures["rows"] = measure_all(targets, options)
                figures["machine"] = machine()
                sys.stdout.write(report(figures) + "\n")
            if options.ceiling:
                figures["ceilings"], text = ceilings(targets, options)
                sys.stdout.write(text + "\n")
            if options.overload:
                checks, text = overloads(targets, options)
                figures["checks"] = checks
                sys.stdout.write(text + "\n")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return int(any(not one["ok"] for one in checks))


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks probes")
    parser.add_argument("--kind", action="append", choices=KINDS, help="may be repeated; by default all")
    parser.add_argument(
        "--rate", action="append", type=float, help="looks a second; may be repeated; 0: none"
    )
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between looks at one target")
    parser.add_argument("--witnesses", type=int, default=0, choices=(0, 2), help="make it a cluster of three")
    parser.add_argument("--ceiling", action="store_true", help="also raise the rate until looks fail to come")
    parser.add_argument(
        "--overload", action="store_true", help="also check what happens at twice the ceiling"
    )
    parser.add_argument("--known-ceiling", type=float, default=0.0, help="ours, not to be looked for again")
    parser.add_argument("--json", type=Path, default=None)
    options = parser.parse_args(arguments)
    options.kind = options.kind or list(KINDS)
    options.rate = [rate for rate in options.rate or [100.0, 500.0] if rate]
    return options
