"""Real processes in network namespaces under real faults and a steady stream of incidents: nothing is lost.

Without `--full` one fault of each kind; with it 50 kills, 50 stops, 20 cuts and five of everything else in
a random order, about an hour. Both print a table with a row per kind of fault.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.faults import SHORT, Break, long_plan
from support.judging import Judgement, percentile, table
from support.rig import Rig

pytestmark = pytest.mark.timeout(3 * 3600)

log = logging.getLogger(__name__)

SEED = 20261124
QUIET_S = (1.0, 4.0)
"""Between the end of one fault and the next."""


@pytest.fixture
def rig(tmp_path: Path, full: bool) -> Iterator[Rig]:
    """A cluster under a stream of incidents."""
    with Rig(tmp_path, seed=SEED, is_long=full) as running:
        yield running


def test_nothing_is_lost_or_told_twice_whatever_breaks(
    rig: Rig, full: bool, measured: Callable[[str], None]
) -> None:
    """Every incident is told and told as over, once and in order, or marked as a possible repeat."""
    plan = long_plan(rig) if full else list(SHORT)
    judgement = _carry_out(rig, plan)
    measured(f"{len(plan)} faults\n{table(judgement.rows)}")
    assert not judgement.violations, "\n".join(judgement.violations)
    assert all(row.repeats["hook"] == [0, 0] for row in judgement.rows), "a searchable channel had a repeat"
    kills = [row for row in judgement.rows if row.kind.startswith("kill -9 ") and row.kind != ALL_KILLED]
    _at_most([late_s for row in kills for late_s in row.late_s], 99, 5.0, "others after a kill")
    _at_most([late_s for row in kills for late_s in row.in_flight_s], 100, 20.0, "in flight at a kill")
    _at_most(judgement.row("planned restart in turn").late_s, 99, 1.0, "during a planned restart")


ALL_KILLED = "kill -9 of all at once"


def _at_most(values: list[float], percent: int, limit_s: float, what: str) -> None:
    assert not values or percentile(values, percent) <= limit_s, f"{what}: {sorted(values)[-5:]}"


def _carry_out(rig: Rig, plan: list[Break]) -> Judgement:
    """All faults one after the other, each mended before the next; the last words when one is not."""
    rig.outages.go()
    rig.elapse(8.0)
    try:
        for number, fault in enumerate(plan, start=1):
            log.info("fault %d of %d: %s", number, len(plan), fault.__name__)
            fault(rig)
            rig.heal()
            rig.elapse(1.0, QUIET_S)
        return rig.settle()
    finally:
        rig.write_down()
