"""How many looks a second a side can do, and what a peer does when it is asked for twice as many.

The ceiling is the highest rate of a ramp at which nearly all looks came. At 75 % of it the peer's loop and
its answers are timed. Twice the ceiling must be overload and no more: looks left out are counted, nothing
is down, nobody is told anything, memory stays flat, and it is over soon after the load is. Those are checks.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from benchmarks.figures import tree_rss_mb
from benchmarks.probe_sides import SIDES, Load, Ours, Theirs, Window, measure, rest, warm_up
from benchmarks.probe_targets import Targets, is_known
from support.cluster_support import wait_for

GOOD_SHARE = 0.95
FIRST_RATE = 400.0
STEP = 1.4
RATE_MAX = 5_000.0
"""A file holds at most ten thousand services."""

INTERVAL_S = 2.0
WINDOW_S = 10.0
IDLE_RATE = 2.0
LOADED_SHARE = 0.75
OVERLOADED_S = 45.0
CALM_WITHIN_S = 10.0
CALM_FOR_S = 3.0
GROWTH_MB_MAX = 20.0


def ceilings(targets: Targets, options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """Both sides' ceilings, then ours idle and at three quarters of its ceiling; and the table."""
    found = []
    lines = ["| kind | side | ceiling, looks/s |", "|---|---|---|"]
    for kind in filter(is_known, options.kind):
        most = options.known_ceiling
        known = {"kind": kind, "side": Ours.name, "ceiling": most}
        sides = [known] if most else [ceiling(side, kind, targets) for side in SIDES]
        found += sides
        lines += [f"| {kind} | {one['side']} | {one['ceiling']:.0f} |" for one in sides]
        mine = sides[0]
        for word, rate in (("idle", IDLE_RATE), ("75 %", LOADED_SHARE * mine["ceiling"])):
            load = Load(kind, rate, options.interval)
            lags = measure(Ours, load, targets, options)
            mine[word] = lags
            lines.append(_timed(lags, f"{kind} | ours, {word}"))
    return found, "\n".join(lines)


def _timed(one: dict[str, Any], what: str) -> str:
    came = f"{one['looks_per_s']:.0f} of {one['rate']:.0f} looks/s came, {one['down']} down"
    return f"| {what}: {came} | lag p99 {one['lag_p99_ms']:.1f} ms, API p99 {one['api_p99_ms']:.1f} ms |"


def ceiling(side: type[Ours | Theirs], kind: str, targets: Targets) -> dict[str, Any]:
    """Raise the rate until looks fail to come; the steps, and the most that came in one that was good."""
    rate, steps = FIRST_RATE, []
    while rate <= RATE_MAX:
        try:
            steps.append(_step(side, Load(kind, rate, INTERVAL_S), targets))
        except AssertionError as error:  # it did not even begin in time
            steps.append({"rate": rate, "looks_per_s": 0.0, "is_good": False, "why": str(error)[:200]})
        came, is_good = steps[-1]["looks_per_s"], steps[-1]["is_good"]
        sys.stderr.write(f"{kind} {side.name}: {came:.0f} of {rate:.0f} looks/s\n")
        if not is_good:
            break
        rate *= STEP
    most = max((one["looks_per_s"] for one in steps if one["is_good"]), default=0.0)
    return {"kind": kind, "side": side.name, "ceiling": most, "steps": steps}


def _step(side: type[Ours | Theirs], load: Load, targets: Targets) -> dict[str, Any]:
    """One rate; good when nearly all looks came and nearly all services are up. AssertionError: no start."""
    begun = targets.count(load.kind)
    with side.started(load, targets) as run:
        warm_up(targets, load, begun)
        window = Window(run.roots, targets, load)
        rest(WINDOW_S)
        figures = {"rate": load.rate, **window.close(), **run.about()}
    is_good = figures["looks_per_s"] >= GOOD_SHARE * load.rate and figures["up"] >= GOOD_SHARE * load.services
    return {**figures, "is_good": is_good}


def overloads(targets: Targets, options: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The checks of every kind that was asked for, and the table."""
    checks = []
    for kind in filter(is_known, options.kind):
        most = options.known_ceiling or ceiling(Ours, kind, targets)["ceiling"]
        checks += overload(kind, most, targets, options)
    lines = ["| kind | check | seen | |", "|---|---|---|---|"]
    lines += [
        f"| {one['kind']} | {one['what']} | {one['seen']} | {'good' if one['ok'] else 'BAD'} |"
        for one in checks
    ]
    return checks, "\n".join(lines)


def overload(kind: str, most: float, targets: Targets, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Twice `most` for a while, then half of it."""
    heavy, light = Load(kind, 2 * most, options.interval), Load(kind, most / 2, options.interval)
    samples: list[dict[str, float]] = []
    begun = targets.count(kind)
    with Ours.started(heavy, targets, options.witnesses) as run:
        wait_for(lambda: targets.count(kind) - begun >= most, 120, "the load", every_s=0.5)
        until = time.monotonic() + OVERLOADED_S
        while time.monotonic() < until:
            samples.append(_sample(run))
            rest(1.0)
        run.reload(light)
        calm_s = _calm_after_s(run)
        after = _sample(run)
    left_out = samples[-1]["left_out"] - samples[0]["left_out"]
    half = len(samples) // 2
    growth_mb = max(one["rss_mb"] for one in samples[half:]) - max(one["rss_mb"] for one in samples[:half])
    down, told = max(one["down"] for one in [*samples, after]), after["told"]
    found = [
        ("looks left out are counted", f"{left_out:.0f} in {OVERLOADED_S:g} s", left_out > 0),
        ("services down at worst", f"{down:.0f}", down == 0),
        ("messages", f"{told:.0f}", told == 0),
        (f"memory grows by at most {GROWTH_MB_MAX:g} MB", f"{growth_mb:.1f} MB", growth_mb <= GROWTH_MB_MAX),
        (f"calm within {CALM_WITHIN_S:g} s", f"{calm_s:.1f} s", calm_s <= CALM_WITHIN_S),
    ]
    return [
        {"kind": kind, "what": f"{heavy.rate:.0f}/s: {what}", "seen": seen, "ok": ok}
        for what, seen, ok in found
    ]


def _sample(run: Ours) -> dict[str, float]:
    counts, summary = run.counts(), run.summary()
    return {
        "rss_mb": sum(tree_rss_mb(pid) for pid in run.roots.values()),
        "left_out": counts["skipped"] + counts["stale"],
        "down": summary.get("down", 0) + summary.get("partial", 0) + summary.get("degraded", 0),
        "told": run.told(),
    }


def _calm_after_s(run: Ours) -> float:
    """Seconds until nothing has been left out for CALM_FOR_S, without those."""
    began = last_change = time.monotonic()
    left_out = _sample(run)["left_out"]
    while time.monotonic() - last_change < CALM_FOR_S and time.monotonic() - began < 6 * CALM_WITHIN_S:
        rest(0.5)
        now = _sample(run)["left_out"]
        if now != left_out:
            left_out, last_change = now, time.monotonic()
    return last_change - began
