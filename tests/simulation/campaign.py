"""Many runs at once: seeds over the cores of the machine, and a table of what they came to.

Each seed is a run of its own in a worker process; nothing is shared but the outcomes, which arrive in the
order of the seeds. What a failing run leaves for people is shrink.py's.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from msgspec import Struct
from simulation import outcome as raft_level
from simulation.faults import draw_plan
from simulation.outcome import Outcome

CHUNK = 4
SHARES = (0.5, 0.9, 0.99)


class Campaign(Struct, kw_only=True):
    """A set of seeds at one level, and their outcomes."""

    name: str
    outcomes: list[Outcome]
    took_s: float

    @property
    def bad(self) -> list[Outcome]:
        """Those that some checker objects to."""
        return [one for one in self.outcomes if not one.is_good]

    def lines(self) -> Iterator[str]:
        """What it came to, for people."""
        runs = len(self.outcomes)
        cpu_s = sum(one.cpu_s for one in self.outcomes)
        yield (
            f"{self.name}: {runs} seeds, {len(self.bad)} with violations; CPU {cpu_s:.0f} s "
            f"({cpu_s / max(1, runs):.2f} s a seed), {self.took_s:.0f} s on the clock"
        )
        yield (
            f"  {sum(one.entries for one in self.outcomes)} entries, "
            f"{sum(one.incidents for one in self.outcomes)} incidents, "
            f"{sum(one.messages for one in self.outcomes)} messages accepted, "
            f"{sum(one.repeats for one in self.outcomes)} of them repeats in the named window, "
            f"{sum(one.moved for one in self.outcomes)} changes of the alerter"
        )
        gaps = sorted(gap for one in self.outcomes for gap in one.gaps_s)
        if gaps:
            shares = ", ".join(f"{share:.0%} {gaps[int(share * (len(gaps) - 1))]:.1f} s" for share in SHARES)
            yield f"  without an alerter between two, whatever the fault: {shares}"
        counts = Counter(checker for one in self.bad for checker in one.checkers)
        for checker, count in counts.most_common():
            yield f"  VIOLATED {checker}: {count} seeds"
        for one in self.bad[:10]:
            first = one.objections[0]
            yield f"  seed {one.plan.seed}: {first.checker}: {first.text}"


def run_seed(peers: int, seed: int) -> Outcome:
    """One seed on the real Raft. Called in a worker process."""
    return raft_level.run(draw_plan(seed, peers))


def run_raft(seeds: Sequence[int], peers: int, jobs: int) -> Campaign:
    """So many seeds on the real Raft."""
    return run(f"real Raft, {peers} peers", partial(run_seed, peers), seeds, jobs)


def run(name: str, work: Callable[[int], Outcome], seeds: Sequence[int], jobs: int) -> Campaign:
    """Run `work` for every seed, on `jobs` cores."""
    began = time.monotonic()
    if jobs == 1:
        outcomes = [work(seed) for seed in seeds]
    else:
        with ProcessPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(work, seeds, chunksize=CHUNK))
    return Campaign(name=name, outcomes=outcomes, took_s=time.monotonic() - began)


def cores() -> int:
    """How many processes can run at once here."""
    return len(os.sched_getaffinity(0))
