"""Which level a plan runs on: the real Raft or the ideal log, as the plan itself says."""

from __future__ import annotations

from simulation import ideal, outcome
from simulation.faults import Plan
from simulation.outcome import Outcome


def run(plan: Plan, *, keeps_trace: bool = False) -> Outcome:
    """Run a plan on its level and judge it."""
    run_on = ideal.run if plan.level == "ideal" else outcome.run
    return run_on(plan, keeps_trace=keeps_trace)
