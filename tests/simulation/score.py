"""The score of the harness: every planted mutant and every guard rule, and which seed and checker kill it.

A mutant is run plan after plan until some checker objects: the plans in seeds/ made for it, then seeds on
the ideal log or the real Raft. What lives through all of them has survived. `--score` prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from simulation import faults, guard_off, levels, mutants
from simulation.breaking import Broken
from simulation.faults import Plan, draw_plan
from simulation.shrink import SEEDS

IDEAL_SEEDS: Final = 250
RAFT_SEEDS: Final = 30


class Score(Struct, frozen=True, kw_only=True):
    """What became of one mutant. `checker` "" means that it survived."""

    name: str
    says: str
    where: str
    runs: int
    checker: str
    text: str


def score_of(broken: Broken, kinds: Iterable[str]) -> Score:
    """Run it until something objects, on these levels in this order."""
    tried = 0
    for plan, where in chain(_made_for(broken), _drawn(broken, kinds)):
        tried += 1
        result = levels.run(plan)
        # A kill counts only when the same plan is good with the rule in place.
        if result.objections and levels.run(replace(plan, without=())).is_good:
            first = result.objections[0]
            return Score(
                name=broken.name, says=broken.says, where=where, runs=tried, checker=first.checker,
                text=first.text,
            )  # fmt: skip
    return Score(name=broken.name, says=broken.says, where="", runs=tried, checker="", text="survived")


def _made_for(broken: Broken) -> Iterator[tuple[Plan, str]]:
    """The plans in seeds/ that were kept because they kill it."""
    for path in sorted(SEEDS.glob("*.txt")):
        plan = faults.load(path)
        if plan.without == (broken.name,):
            yield from ((one, path.name) for one in faults.tries(plan))


def _drawn(broken: Broken, kinds: Iterable[str]) -> Iterator[tuple[Plan, str]]:
    runs = {
        "ideal": [(seed, 3) for seed in range(IDEAL_SEEDS)],
        "raft": [(seed, 3) for seed in range(RAFT_SEEDS)] + [(seed, 5) for seed in range(RAFT_SEEDS // 2)],
    }
    for level in kinds:
        for seed, peers in runs[level]:
            plan = replace(draw_plan(seed, peers, level), without=(broken.name,))
            yield plan, f"seed {seed}, {peers} peers, {level}"


def _work(job: tuple[str, tuple[str, ...]]) -> Score:
    name, kinds = job
    return score_of(ALL[name], kinds)


NO_PLAN_KNOWN: Final = {
    "claim-is-no-fence": "no plan known: the lease's fence covers for it, except at a sender without office",
    "no-term-tag": "no plan known: an answer would outlive two elections on a link given up after 2 s",
    "no-nudge": "no plan known: with PreVote nobody gets ahead of a living leader",
}
"""See docs/decisions/0024-scored-harness.md."""
ALL: Final = {one.name: one for one in (*mutants.MUTANTS, *guard_off.GUARD)}
JOBS: Final = (
    *((one.name, ("ideal", "raft")) for one in mutants.MUTANTS),
    *((one.name, ("raft",)) for one in guard_off.GUARD),
)


def report(jobs: int) -> int:
    """Print the table; 0 when every mutant was killed but those for which no plan is known."""
    with ProcessPoolExecutor(jobs) as pool:
        scores = []
        for one in pool.map(_work, JOBS):
            scores.append(one)
            fate = f"killed by {one.checker} ({one.where})" if one.checker else "SURVIVED"
            fate = NO_PLAN_KNOWN.get(one.name, fate) if not one.checker else fate
            sys.stdout.write(f"{one.name:20} {fate}, {one.runs} runs: {one.text[:100]}\n")
            sys.stdout.flush()
    killed = sum(bool(one.checker) for one in scores)
    sys.stdout.write(f"killed {killed} of {len(scores)}\n")
    return 0 if all(one.checker or one.name in NO_PLAN_KNOWN for one in scores) else 1
