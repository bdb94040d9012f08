"""The harness notices: without the guard known seeds fail, and planted mutants are killed by some checker.

Here each mutant gets a few seeds, so only those that die young are tried; with --full all of them run as
long as it takes. The plans in seeds/ that leave a rule out are tried by test_simulation_seeds.py.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from simulation import outcome, score
from simulation.breaking import Broken
from simulation.faults import draw_plan
from simulation.guard_off import GUARD
from simulation.mutants import MUTANTS

YOUNG = ("claim-by-epoch", "settles-first", "resolved-forgotten", "ineligible-counted", "old-timers")


def test_pysyncobj_by_itself_fails() -> None:
    """Plans that the guarded product passes make plain pysyncobj lose, disagree or do what it warns of."""
    plans = [draw_plan(seed, 3) for seed in (25, 3, 5, 6, 7, 8)]
    bare = (outcome.run(replace(plan, without=("no-guard",))) for plan in plans)
    assert any(result.objections for result in bare), "the guard is off and nobody noticed"


def killed(broken: Broken) -> None:
    """Some checker objects to some plan that is good with the rule in place."""
    kinds = ("raft",) if broken in GUARD else ("ideal", "raft")
    assert score.score_of(broken, kinds).checker, f"{broken.name} survives: {broken.says}"


@pytest.mark.parametrize("broken", [one for one in MUTANTS if one.name in YOUNG], ids=lambda one: one.name)
def test_mutants_that_die_young(broken: Broken) -> None:
    """A few seeds are enough for these."""
    killed(broken)


@pytest.mark.full
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize(
    "broken",
    [one for one in (*MUTANTS, *GUARD) if one.name not in (*YOUNG, *score.NO_PLAN_KNOWN)],
    ids=lambda one: one.name,
)
def test_every_mutant_is_killed(broken: Broken) -> None:
    """However many seeds it takes."""
    killed(broken)
