"""What one run comes to: the objections of the checkers, and the counts that a whole campaign adds up.

Small and plain, so that it crosses from one process to another. `run` is the one way to run a plan: it
switches the plan's rules off, drives the world, replays the log and asks every checker.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise

from msgspec import Struct
from simulation import guard_off, mutants
from simulation.faults import Plan
from simulation.history import History, Office
from simulation.replay import Replay
from simulation.scene import WAYS
from simulation.verdict import Objection, objections
from simulation.world import World

RULES = {one.name: one for one in (*guard_off.GUARD, *mutants.MUTANTS)}
"""Everything that a plan can be without."""


class Outcome(Struct, kw_only=True):
    """One run."""

    plan: Plan
    level: str
    objections: list[Objection]
    trace_hash: str
    cpu_s: float
    faults: dict[str, int] = {}
    refused: dict[str, int] = {}
    cells: dict[str, int] = {}
    moved: int = 0
    moved_with_news: int = 0
    entries: int = 0
    incidents: int = 0
    messages: int = 0
    repeats: int = 0
    gaps_s: list[float] = []
    """For each change of the alerter, how long there was none."""
    trace: list[str] = []

    @property
    def is_good(self) -> bool:
        """True when no checker objects."""
        return not self.objections

    @property
    def checkers(self) -> list[str]:
        """Who objects, each once, in order."""
        return list(dict.fromkeys(objection.checker for objection in self.objections))


def run(plan: Plan, *, keeps_trace: bool = False) -> Outcome:
    """Run a plan on the real Raft and judge it."""
    began = time.process_time()
    with ExitStack() as switched_off:
        for name in plan.without:
            switched_off.enter_context(RULES[name].applied())
        history = World(plan, keeps_trace=keeps_trace).run()
        # Replayed by the same code that ran: a broken ledger must be noticed by what it does.
        outcome = told(plan, "raft", history, Replay(history))
    outcome.cpu_s = time.process_time() - began
    gc.collect()
    return outcome


def _gaps(offices: list[Office]) -> list[float]:
    turns = sorted(offices, key=lambda one: one.since)
    return [max(0.0, later.since - one.until) for one, later in pairwise(turns) if one.life != later.life]


def told(plan: Plan, level: str, history: History, replay: Replay) -> Outcome:
    """The outcome of a history."""
    heard = Counter(
        (one.channel, one.delivery_id)
        for one in history.receipts
        if one.delivery_id in replay.items and WAYS[one.channel] != "merging"
    )
    return Outcome(
        plan=plan,
        level=level,
        objections=objections(history, replay),
        trace_hash=history.trace_hash,
        cpu_s=0.0,
        faults=dict(history.faults),
        refused=dict(history.refused_faults),
        cells=dict(history.cells),
        moved=replay.moved,
        moved_with_news=replay.moved_with_news,
        entries=len(history.log),
        incidents=len(replay.opened),
        messages=len(history.receipts),
        repeats=sum(count - 1 for count in heard.values()),
        gaps_s=_gaps(history.offices),
        trace=history.trace or [],
    )
