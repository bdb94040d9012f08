"""The score of the harness: every planted mutant and every guard rule, and which seed and checker kill it.

A mutant is run on the ideal log or the real Raft, plan after plan, until some checker objects; those that
live through all their seeds have survived. The table is what `--score` prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from simulation import faults, guard_off, ideal, mutants, outcome
from simulation.breaking import Broken
from simulation.faults import Plan, draw_plan

IDEAL_SEEDS: Final = 150
RAFT_SEEDS: Final = 60


class Score(Struct, frozen=True, kw_only=True):
    """What became of one mutant. `checker` "" means that it survived."""

    name: str
    says: str
    level: str
    seeds: int
    seed: int
    checker: str
    text: str


def score_of(broken: Broken, levels: Iterable[str]) -> Score:
    """Run it until something objects."""
    tried = 0
    for level, seed, peers in _runs(levels):
        tried += 1
        faults_s = ideal.FAULTS_S if level == "ideal" else faults.FAULTS_S
        plan = replace(draw_plan(seed, peers, faults_s), without=(broken.name,))
        result = ideal.run(plan) if level == "ideal" else outcome.run(plan)
        # A kill counts only when the same plan is good with the rule in place.
        if result.objections and _honest(plan, level):
            first = result.objections[0]
            return Score(
                name=broken.name, says=broken.says, level=f"{level}, {peers} peers", seeds=tried, seed=seed,
                checker=first.checker, text=first.text,
            )  # fmt: skip
    return Score(
        name=broken.name, says=broken.says, level="", seeds=tried, seed=-1, checker="", text="survived"
    )


def _honest(plan: Plan, level: str) -> bool:
    whole = replace(plan, without=())
    return (ideal.run(whole) if level == "ideal" else outcome.run(whole)).is_good


def _runs(levels: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    for level in levels:
        if level == "ideal":
            yield from (("ideal", seed, 3) for seed in range(IDEAL_SEEDS))
        else:
            yield from (("raft", seed, 3) for seed in range(RAFT_SEEDS))
            yield from (("raft", seed, 5) for seed in range(RAFT_SEEDS // 2))


def _work(job: tuple[str, tuple[str, ...]]) -> Score:
    name, levels = job
    return score_of(ALL[name], levels)


ALL: Final = {one.name: one for one in (*mutants.MUTANTS, *guard_off.GUARD)}
JOBS: Final = (
    *((one.name, ("ideal", "raft")) for one in mutants.MUTANTS),
    *((one.name, ("raft",)) for one in guard_off.GUARD),
)


def report(jobs: int) -> int:
    """Print the table; 0 when every mutant was killed."""
    with ProcessPoolExecutor(jobs) as pool:
        scores = []
        for one in pool.map(_work, JOBS):
            scores.append(one)
            fate = f"killed by {one.checker}, seed {one.seed} ({one.level})" if one.checker else "SURVIVED"
            sys.stdout.write(f"{one.name:22} {fate} after {one.seeds} runs: {one.text[:110]}\n")
            sys.stdout.flush()
    killed = sum(bool(one.checker) for one in scores)
    sys.stdout.write(f"killed {killed} of {len(scores)}\n")
    return 0 if killed == len(scores) else 1
