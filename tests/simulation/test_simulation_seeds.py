"""A rotating set of seeds on both levels, and every plan that once failed: no checker may object.

The first seed is the day's, or that of WATCHTOWER_SEED; it stands in the name of what fails and in the
figures at the end. What a run is, README.md beside this tells.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from simulation import faults, ideal, levels, outcome
from simulation.outcome import Outcome

PLACES = 12
SEEDS = Path(__file__).parent / "seeds"


@pytest.fixture(scope="module")
def base() -> int:
    """The first seed of today."""
    return int(os.environ.get("WATCHTOWER_SEED") or 1_000 * datetime.now(UTC).date().toordinal())


def must_be_good(results: list[Outcome], measured: Callable[[str], None]) -> None:
    """No checker objects to any of them; what the run cost is told."""
    cpu_s = sum(one.cpu_s for one in results)
    measured(f"seeds {results[0].plan.seed} to {results[-1].plan.seed}, CPU {cpu_s:.1f} s")
    bad = [one for one in results if not one.is_good]
    shown = "\n".join(
        f"seed {one.plan.seed}, {one.plan.peers} peers, {one.level}: {objection.checker}: {objection.text}"
        for one in bad
        for objection in one.objections
    )
    assert not bad, f"{shown}\nsee tests/simulation/README.md: python -m tests.simulation --seed N --trace"


@pytest.mark.parametrize("place", range(PLACES))
def test_three_peers_on_real_raft(place: int, base: int, measured: Callable[[str], None]) -> None:
    """Whatever befalls three peers for a minute, nothing is lost, repeated, told wrongly or left unsaid."""
    seeds = range(base + place * 2, base + place * 2 + 2)
    must_be_good([outcome.run(faults.draw_plan(seed, 3)) for seed in seeds], measured)


@pytest.mark.parametrize("place", range(PLACES // 3))
def test_five_peers_on_real_raft(place: int, base: int, measured: Callable[[str], None]) -> None:
    """The same of five."""
    must_be_good([outcome.run(faults.draw_plan(base + place, 5))], measured)


@pytest.mark.parametrize("place", range(PLACES))
def test_three_peers_on_an_ideal_log(place: int, base: int, measured: Callable[[str], None]) -> None:
    """The same on a log that is never wrong, where what is proposed may be late, lost or doubled."""
    seeds = range(base + place * 8, base + place * 8 + 8)
    must_be_good([ideal.run_seed(seed) for seed in seeds], measured)


@pytest.mark.parametrize("path", sorted(SEEDS.glob("*.txt")), ids=lambda path: path.stem)
def test_plans_that_once_failed(path: Path) -> None:
    """Every plan in seeds/ is good now; one that leaves a rule out still fails the checker it names."""
    plan = faults.load(path)
    if plan.without:
        assert any(plan.expects in levels.run(one).checkers for one in faults.tries(plan)), path.name
    else:
        result = levels.run(plan)
        assert result.is_good, f"{path.name}: {result.objections}"
