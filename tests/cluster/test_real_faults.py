"""Real processes in network namespaces under real faults and a steady stream of incidents: nothing is lost.

Without `--full` one fault of each kind; with it 50 kills, 50 stops, 20 cuts and five of everything else in
a random order, about an hour. Both print a table with a row per kind of fault.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from support.faults import (
    SHORT,
    Break,
    cut_sites,
    kill_alerter,
    kill_minority,
    long_plan,
    lose_majority,
)
from support.judging import Judgement, percentile, table
from support.rig import Rig

pytestmark = pytest.mark.timeout(3 * 3600)

log = logging.getLogger(__name__)

SEED = 20261124
KILLS = ("kill -9 of the alerter", "kill -9 while sending", "kill -9 of any peer")
QUIET_S = (1.0, 4.0)
"""Between the end of one fault and the next."""


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.full)])
def test_nothing_is_lost_or_told_twice_whatever_breaks(
    tmp_path: Path, full: bool, half: int, measured: Callable[[str], None]
) -> None:
    """Every incident is told and told as over, once and in order, or marked as a possible repeat.

    The long plan is cut in two, for two clusters that may run side by side (`-n 2`).
    """
    with Rig(tmp_path, seed=SEED, is_long=full) as rig:
        judgement = carry_out(rig, long_plan(rig)[half::2] if full else SHORT)
    measured(f"{len(rig.faults)} faults\n{table(judgement.rows)}")
    demand(judgement)
    kills = [row for row in judgement.rows if row.kind in KILLS]
    others = [late_s for row in kills for late_s in row.late_s]
    in_flight = [delay_s for row in kills for delay_s in row.in_flight_s]
    planned = judgement.row("planned stop").late_s
    # Figures over too few incidents would show nothing.
    at_least = 5 if full else 1
    assert len(others) >= at_least
    assert len(planned) >= at_least
    assert percentile(others, 99) <= 5.0, f"others after a kill: {sorted(others)}"
    assert max(in_flight, default=0.0) <= 20.0, f"in flight at a kill: {sorted(in_flight)}"
    assert percentile(planned, 99) <= 1.0, f"others after a planned stop: {sorted(planned)}"
    assert sum(row.incidents for row in judgement.rows) >= (150 if full else 20)
    assert len(rig.hook.searches.items) >= (2 if full else 1), "no repeat was ever in doubt"


@pytest.mark.parametrize(
    ("names", "witness", "plan"),
    [
        (("a", "b", "c", "d", "e"), "", (kill_minority, lose_majority)),
        (("a", "b", "w"), "w", (cut_sites, kill_alerter)),
    ],
    ids=["five peers", "two sites and a witness"],
)
def test_other_sizes_of_cluster(
    tmp_path: Path, full: bool, names: tuple[str, ...], witness: str, plan: tuple[Break, ...]
) -> None:
    """Five peers spare two; a witness keeps two sites going, and neither judges nor alerts meanwhile."""
    extra = {witness: ", witness: true"}
    with Rig(tmp_path, names=names, peer_extra=extra, services=4, seed=SEED, is_long=full) as rig:
        judgement = carry_out(rig, plan * 5 if full else plan[:1])
        voters = {vote["peer"] for vote in rig.cluster.get("a", "/api/v1/services/s1")["votes"]}
        senders = {arrival.peer for arrival in rig.arrivals()}
    demand(judgement)
    assert voters == {name for name in names if name != witness}
    assert witness not in senders


def test_busy_cores_change_no_leader_and_alarm_nobody(
    tmp_path: Path, full: bool, measured: Callable[[str], None]
) -> None:
    """Two programs that never rest on the two cores of all peers: at most one leader change, nothing down."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    with Rig(tmp_path) as rig, contextlib.ExitStack() as stack:
        for process in rig.cluster.processes.values():
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), cores)
        before = rig.term()
        for _ in range(2):
            hog = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(hog.kill)
            os.sched_setaffinity(hog.pid, cores)
        rig.elapse(60.0 if full else 10.0)
        changes, arrivals = rig.term() - before, rig.arrivals()
        incidents = rig.cluster.get(rig.cluster.alerter(), "/api/v1/incidents")["incidents"]
    measured(f"two busy cores: {changes} leader changes, {len(incidents)} incidents")
    assert changes <= 1
    assert [one for one in incidents if one["level"] == "down"] == []
    assert [one.service for one in arrivals if one.service.startswith("s")] == []


def carry_out(rig: Rig, plan: Sequence[Break]) -> Judgement:
    """All faults one after the other, each mended before the next, then the judgement."""
    rig.outages.go()
    rig.elapse(4.0)
    try:
        for number, fault in enumerate(plan, start=1):
            log.info("fault %d of %d: %s", number, len(plan), fault.__name__)
            fault(rig)
            rig.heal()
            rig.elapse(1.0, QUIET_S)
        return rig.settle()
    finally:
        rig.write_down()


def demand(judgement: Judgement) -> None:
    """Nothing is wrong, and the channel that can be searched had no repeat at all."""
    assert not judgement.violations, "\n".join(judgement.violations)
    assert all(row.repeats["hook"] == [0, 0] for row in judgement.rows), table(judgement.rows)
