"""The command line of the simulation: what can be asked for, and how the answers are printed.

Decides no verdict: whether a run is good the checkers say, whether a campaign has seen enough coverage.py.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace
from simulation import campaign, faults, ideal, levels, score, shrink
from simulation.campaign import Campaign
from simulation.coverage import Coverage
from simulation.faults import Plan

FULL = {"three": 1_000, "five": 200, "ideal": 10_000}


def main(parser: argparse.ArgumentParser) -> int:
    """Do what the arguments ask for; 0 when all is well."""
    parser.add_argument("--seeds", type=int, default=0, help="so many seeds on the real Raft")
    parser.add_argument("--peers", type=int, default=3, choices=(3, 5))
    parser.add_argument("--ideal", type=int, default=0, help="so many seeds on an ideal log")
    parser.add_argument("--base", type=int, default=0, help="the first seed")
    parser.add_argument("--full", action="store_true", help="all of it, with the coverage floors")
    parser.add_argument("--seed", type=int, help="one seed")
    parser.add_argument("--trace", action="store_true", help="with --seed or --plan: every line of it")
    parser.add_argument("--plan", type=Path, help="a fault plan in a file")
    parser.add_argument("--without", action="append", default=[], help="switch a rule of the product off")
    parser.add_argument("--score", action="store_true", help="which planted mutants are killed, and by what")
    parser.add_argument("--jobs", type=int, default=campaign.cores())
    arguments = parser.parse_args()
    if arguments.score:
        return score.report(arguments.jobs)
    if arguments.plan is not None or arguments.seed is not None:
        return _one(_plan(arguments), with_trace=arguments.trace)
    return _many(arguments)


def _plan(arguments: argparse.Namespace) -> Plan:
    if arguments.plan is not None:
        return faults.load(arguments.plan)
    plan = faults.draw_plan(arguments.seed, arguments.peers, "ideal" if arguments.ideal else "raft")
    return replace(plan, without=tuple(arguments.without))


def _one(plan: Plan, *, with_trace: bool) -> int:
    result = levels.run(plan, keeps_trace=with_trace)
    _say(result.trace)
    _say([plan.text()])
    _say(f"{one.checker}: {one.text}" for one in result.objections)
    _say([f"trace {result.trace_hash}, {len(result.objections)} objections, CPU {result.cpu_s:.2f} s"])
    return 0 if result.is_good else 1


def _many(arguments: argparse.Namespace) -> int:
    campaigns = list(_campaigns(arguments))
    problems: list[str] = []
    for one in campaigns:
        for bad in one.bad[: shrink.WRITTEN_MAX]:
            _say([shrink.report(bad)])
    raft = [result for one in campaigns for result in one.outcomes if result.level == "raft"]
    if raft:
        coverage = Coverage(raft)
        _say(coverage.lines())
        problems += coverage.shortfalls() if arguments.full else ()
    _say(f"FLOOR MISSED: {problem}" for problem in problems)
    is_good = not problems and not any(one.bad for one in campaigns)
    _say(["0 violations" if is_good else "NOT GOOD"])
    return 0 if is_good else 1


def _campaigns(arguments: argparse.Namespace) -> Iterator[Campaign]:
    """Each as soon as it is over, said at once."""
    base, jobs = arguments.base, arguments.jobs
    if arguments.full or (arguments.seeds and arguments.peers == 3):
        count = FULL["three"] if arguments.full else arguments.seeds
        yield _told(campaign.run_raft(range(base, base + count), 3, jobs))
    if arguments.full or (arguments.seeds and arguments.peers == 5):
        count = FULL["five"] if arguments.full else arguments.seeds
        yield _told(campaign.run_raft(range(base, base + count), 5, jobs))
    if arguments.full or arguments.ideal:
        count = FULL["ideal"] if arguments.full else arguments.ideal
        yield _told(campaign.run("ideal log, 3 peers", ideal.run_seed, range(base, base + count), jobs))


def _told(one: Campaign) -> Campaign:
    _say(one.lines())
    return one


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
