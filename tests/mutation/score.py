"""The score of the tests: what is broken on purpose, in three ways, and what notices.

`planted` breaks rules of the product in the simulation, `rules` those of the protocol's model in random
walks; mutmut breaks whatever stands in the ledger's four files. Says who killed what, and judges nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from msgspec import Struct
from mutation.bench import FILES, Ran
from simulation import score
from support.policy_mutants import EVERY


class Fate(Struct, frozen=True, kw_only=True):
    """What became of one mutant, or of the mutants of one file. `by`: what killed it, or why nothing does."""

    suite: str
    mutant: str
    killed: int
    of: int = 1
    by: str
    is_explained: bool = False

    def line(self) -> str:
        """One line of the table."""
        alone = "killed" if self.killed else "explained" if self.is_explained else "SURVIVED"
        count = f"{self.killed}/{self.of}" if self.of > 1 else alone
        return f"{self.suite:8} {self.mutant:40} {count:9} {self.by}"


def planted(jobs: int) -> Iterator[Fate]:
    """Every planted mutant and every rule of the guard, by the checker that objected first."""
    names, levels = zip(*score.JOBS, strict=True)
    with ProcessPoolExecutor(jobs) as pool:
        for one in pool.map(score.score_of, [score.ALL[name] for name in names], levels):
            reason = score.NO_PLAN_KNOWN.get(one.name, "")
            by = f"{one.checker}: {one.where}" if one.checker else reason or f"{one.runs} runs"
            yield Fate(
                suite="planted", mutant=one.name, killed=bool(one.checker), by=by, is_explained=bool(reason)
            )


def rules(jobs: int) -> Iterator[Fate]:
    """Every rule of the protocol's model, by what its walks ran into."""
    with ProcessPoolExecutor(jobs) as pool:
        for rule, found in zip(EVERY, pool.map(hunted, range(len(EVERY))), strict=True):
            yield Fate(suite="rules", mutant=rule.name, killed=found is not None, by=found or "all walks")


def hunted(index: int) -> str | None:
    """What the walks find without the rule; a rule is no mutant when they find it with the rule, too."""
    rule = EVERY[index]
    with pytest.MonkeyPatch.context() as patch:
        rule.apply(patch)
        found = rule.hunt()
    return found if found is None or rule.hunt() is None else None


def generated(ran: Ran) -> Iterator[Fate]:
    """What mutmut made, file by file, by the folders of the tests that killed them."""
    for name in (path.rpartition("/")[2] for path in FILES):
        mutants = [mutant for mutant in ran.mutants if mutant.place.startswith(f"{name}.")]
        killers = Counter(_folder(mutant.killer) for mutant in mutants if mutant.is_killed)
        by = ", ".join(f"{folder} {count}" for folder, count in killers.most_common())
        yield Fate(suite="mutmut", mutant=f"{name}.py", killed=killers.total(), of=len(mutants), by=by)


def _folder(test: str) -> str:
    return test.removeprefix("tests/").rpartition("/")[0] or "no end within the limit"


def total(fates: Iterable[Fate]) -> str:
    """The sums, suite by suite."""
    killed: Counter[str] = Counter()
    of: Counter[str] = Counter()
    for fate in fates:
        killed[fate.suite] += fate.killed
        of[fate.suite] += fate.of
    return ", ".join(f"{suite} {killed[suite]}/{of[suite]}" for suite in of)
