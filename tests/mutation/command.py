"""The command line of the mutation tests: mutmut alone, or the whole score in one table.

Decides what fails a run: a survivor without a reason, a reason without its survivor, a planted mutant or a
rule that nothing noticed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from mutation import bench, score, survivors
from mutation.bench import Ran
from mutation.score import Fate


def main(parser: argparse.ArgumentParser) -> int:
    """Do what the arguments ask for; 0 when all is well."""
    parser.add_argument("--score", action="store_true", help="planted mutants and rules of the protocol, too")
    parser.add_argument("--jobs", type=int, default=1, help="so many processes (default: 1)")
    parser.add_argument("--keep", type=Path, help="mutate in this folder and leave it, for `mutmut show`")
    arguments = parser.parse_args()
    if not bench.MUTMUT.exists():
        parser.error("mutmut is not installed: pip install -e '.[test,mutation]'")
    fates = list(_scored(arguments.jobs)) if arguments.score else []
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        ran = bench.run(folder.resolve(), arguments.jobs)
        problems = list(_problems(folder.resolve(), ran))
    fates += _told(score.generated(ran))
    if arguments.score:
        _say([score.total(fates)])
    _say(problems)
    _say([_verdict(ran, explained=not problems)])
    _say([f"CPU {bench.children_cpu_s():.0f} s, of which mutmut's run {ran.cpu_s:.0f} s"])
    lived = [fate for fate in fates if fate.suite != "mutmut" and not (fate.killed or fate.is_explained)]
    return 1 if problems or lived else 0


def _scored(jobs: int) -> Iterator[Fate]:
    yield from _told(score.planted(jobs))
    yield from _told(score.rules(jobs))


def _told(fates: Iterable[Fate]) -> Iterator[Fate]:
    """Each as soon as it is known, said at once."""
    for fate in fates:
        _say([fate.line()])
        yield fate


def _problems(folder: Path, ran: Ran) -> Iterator[str]:
    alive = [mutant for mutant in ran.mutants if not mutant.is_killed]
    changes = {mutant.name: (mutant.place, *bench.change(folder, mutant)) for mutant in alive}
    yield from survivors.objections(changes, survivors.read(survivors.LIST.read_text()))


def _verdict(ran: Ran, *, explained: bool) -> str:
    killed = sum(mutant.is_killed for mutant in ran.mutants)
    alive = len(ran.mutants) - killed
    end = "all explained" if explained else "NOT ALL EXPLAINED"
    return f"mutmut: {len(ran.mutants)} mutants, {killed} killed, {alive} survivors, {end}"


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
