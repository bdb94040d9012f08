"""Makes the fault plan of a failing run small, and writes it as a scenario file ready to commit.

Faults are dropped while the same checker still objects: first halves, then single ones; then the durations
of what is left are cut. The result names the checker it fails, and lies in seeds/ once a person has copied
it there; every file in seeds/ is run by a test.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from simulation import levels
from simulation.faults import Fault, Plan
from simulation.outcome import Outcome

SEEDS: Final = Path(__file__).parent / "seeds"
RUNS_MAX: Final = 120
WRITTEN_MAX: Final = 3

Fails = Callable[[Plan], bool]


def smallest(plan: Plan, checker: str, run: Callable[[Plan], Outcome] = levels.run) -> Plan:
    """The plan with as few and as short faults as still fail the checker."""
    budget = [RUNS_MAX]

    def fails(candidate: Plan) -> bool:
        if budget[0] <= 0:
            return False
        budget[0] -= 1
        return checker in run(candidate).checkers

    plan = _fewer(plan, fails)
    return replace(_shorter(plan, fails), expects=checker)


def _fewer(plan: Plan, fails: Fails) -> Plan:
    size = len(plan.faults) // 2
    while size >= 1:
        for candidate in _without_parts(plan, size):
            if fails(candidate):
                plan = candidate
                break
        else:
            size //= 2
    return plan


def _without_parts(plan: Plan, size: int) -> Iterator[Plan]:
    for begin in range(0, len(plan.faults), size):
        yield replace(plan, faults=plan.faults[:begin] + plan.faults[begin + size :])


def _shorter(plan: Plan, fails: Fails) -> Plan:
    for place, fault in enumerate(plan.faults):
        for for_s in (fault.for_s / 4, fault.for_s / 2):
            candidate = _with(plan, place, replace(fault, for_s=round(for_s, 2)))
            if fault.for_s > 1.0 and fails(candidate):
                plan = candidate
                break
    return plan


def _with(plan: Plan, place: int, fault: Fault) -> Plan:
    return replace(plan, faults=(*plan.faults[:place], fault, *plan.faults[place + 1 :]))


def report(bad: Outcome) -> str:
    """What a person needs of a failing run: the shrunken plan, in a file and as text."""
    plan = smallest(bad.plan, bad.checkers[0])
    name = f"{bad.checkers[0]}-{plan.level}-{plan.peers}-{plan.seed}.txt"
    path = Path(tempfile.mkdtemp(prefix="simulation-")) / name
    path.write_text(plan.text())
    return (
        f"seed {plan.seed} with {plan.peers} peers ({plan.level}) fails {bad.checkers[0]}: "
        f"{bad.objections[0].text}\n"
        f"smallest plan, in {path} (copy it to {SEEDS.name}/ to keep it):\n{plan.text()}"
        f"again: python -m tests.simulation --plan {path} --trace"
    )
