"""Runs every test of the project, stage by stage: `python -m tests [STAGE ...]`.

Decides which stages there are, in which order they run, what they may cost and which programs they
need. All stages run, also after a failure; the exit code is 1 when anything failed. Nothing is left
out in silence: a missing program, a stage that collected no test and a skipped test are failures; only
a test that the kernel forbids may be skipped, with a reason that says "kernel", and the end names it.
It never installs anything.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
HANGS_AFTER = 4
"""A stage is ended when it takes this many times its budget: slow machines pass, hung tests do not."""

NO_TESTS_COLLECTED = 5
CHROMIUM = "chromium|chromium-browser|google-chrome"
SSHD = "sshd|/usr/sbin/sshd"
NGINX = "nginx|/usr/sbin/nginx"
KNOTD = "knotd|/usr/sbin/knotd"
DOVECOT = "dovecot|/usr/sbin/dovecot"
MARIADB = "mariadbd|/usr/sbin/mariadbd"
RABBITMQ = "rabbitmq-server|/usr/lib/rabbitmq/bin/rabbitmq-server"
POSTGRES = "postgres|/usr/lib/postgresql/15/bin/postgres"
PACKAGE_OF = {
    "ip": "iproute2",
    "mount": "mount",
    "setpriv": "util-linux",
    CHROMIUM: "chromium",
    SSHD: "openssh-server",
    NGINX: "nginx-light",
    KNOTD: "knot",
    DOVECOT: "dovecot-imapd",
    POSTGRES: "postgresql",
    "redis-server": "redis-server",
    MARIADB: "mariadb-server",
    RABBITMQ: "rabbitmq-server",
}
"""Program -> the Debian package that brings it; `a|b` means that either name will do."""


@dataclass(frozen=True)
class Stage:
    """One group of tests: its folders below tests/, other commands, budget in seconds, programs needed."""

    name: str
    budget_s: int
    folders: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...] = ()
    pytest_options: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What one stage did. `problems` are failures that no test reports itself, in plain words."""

    passed: int = 0
    failed: int = 0
    took_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    def fail(self, why: str) -> None:
        """Count one failure and keep its reason for the summary."""
        self.failed += 1
        self.problems.append(why)


STAGES = (
    Stage(
        "lint",
        60,
        ("house",),
        commands=(("ruff", "check"), ("ruff", "format", "--check"), ("mypy",), ("lint-imports",)),
    ),
    Stage("unit", 180, ("unit", "property", "scenarios"), pytest_options=("-n", "2")),
    Stage("simulation", 120, ("simulation",), pytest_options=("-n", "2")),
    # They wait more than they work. A file stays in one process: its tests share servers and namespaces.
    Stage(
        "contract",
        240,
        ("contract",),
        pytest_options=("-n", "2", "--dist", "loadfile"),
        programs=(
            "ip",
            "setpriv",
            SSHD,
            NGINX,
            KNOTD,
            DOVECOT,
            POSTGRES,
            "redis-server",
            MARIADB,
            RABBITMQ,
        ),
    ),
    # Its tests wait most of the time, so three at once fit on two cores.
    Stage(
        "cluster",
        240,
        ("cluster",),
        pytest_options=("-n", "3", "--dist", "worksteal"),
        programs=("ip", "mount"),
    ),
    Stage("e2e", 120, ("e2e",), programs=(CHROMIUM,)),
    Stage("readme", 120, ("readme",)),
)


def main() -> int:
    """Run the stages named on the command line, else all; 0 when nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests", description="Run the tests of watchtower.")
    names = [stage.name for stage in STAGES]
    parser.add_argument("stage", nargs="*", help=f"one or more of: {', '.join(names)} (default: all)")
    wanted = parser.parse_args().stage or names
    if unknown := sorted(set(wanted) - set(names)):
        parser.error(f"no such stage: {', '.join(unknown)}; there are: {', '.join(names)}")
    outcomes: dict[str, Outcome] = {}
    for stage in STAGES:
        if stage.name in wanted:
            outcomes[stage.name] = run_stage(stage)
    return report(outcomes, homeless_folders())


def run_stage(stage: Stage) -> Outcome:
    """Run the commands of a stage, then pytest over those of its folders that hold code."""
    print(f"\n=== {stage.name} (budget {stage.budget_s} s)", flush=True)
    outcome = Outcome()
    began = time.monotonic()
    for program in stage.programs:
        if not any(shutil.which(name) for name in program.split("|")):
            outcome.fail(f"{program} is not installed: apt-get install {PACKAGE_OF[program]}")
    for command in stage.commands:
        run_command(command, stage, began, outcome)
    if folders := [f"tests/{name}" for name in stage.folders if any((ROOT / "tests" / name).rglob("*.py"))]:
        run_pytest(folders, stage, began, outcome)
    outcome.took_s = time.monotonic() - began
    return outcome


def run_command(command: tuple[str, ...], stage: Stage, began: float, outcome: Outcome) -> None:
    """Run one tool of this environment; it counts as one test."""
    code = in_time((str(BIN / command[0]), *command[1:]), stage, began)
    if code == 0:
        outcome.passed += 1
    else:
        outcome.fail(f"{' '.join(command)}: {ended_how(code)}")


def run_pytest(folders: list[str], stage: Stage, began: float, outcome: Outcome) -> None:
    """Run pytest and count its tests one by one from the report it writes."""
    with tempfile.TemporaryDirectory() as scratch:
        record = Path(scratch) / "junit.xml"
        # Of the two families only xunit1 keeps what a test measured.
        options = (*stage.pytest_options, "-o", "junit_family=xunit1", f"--junitxml={record}")
        code = in_time((sys.executable, "-m", "pytest", *options, *folders), stage, began)
        failed_before = outcome.failed
        if record.exists():
            count_tests(ET.parse(record).getroot(), outcome)  # noqa: S314 - pytest wrote this file just now
    if code == NO_TESTS_COLLECTED:
        outcome.fail(f"{' '.join(folders)}: no test was collected")
    elif code != 0 and outcome.failed == failed_before:
        outcome.fail(f"pytest {' '.join(folders)}: {ended_how(code)}")


def count_tests(record: ET.Element, outcome: Outcome) -> None:
    """Add the tests of a JUnit record; a skipped test fails unless its reason names the kernel."""
    for case in record.iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        skipped = case.find("skipped")
        outcome.measured.extend(f"{p.get('name')}: {p.get('value')}" for p in case.iter("property"))
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.fail(name)
        elif skipped is None:
            outcome.passed += 1
        elif re.search(r"\bkernel\b", reason := skipped.get("message") or ""):
            outcome.forbidden.append(f"{name}: {reason}")
        else:
            outcome.fail(f"{name} was skipped: {reason}")


def in_time(command: tuple[str, ...], stage: Stage, began: float) -> int | None:
    """Exit code of a command run at the root; None when it outlived the stage's limit and was ended."""
    left_s = began + stage.budget_s * HANGS_AFTER - time.monotonic()
    print(f"--- {' '.join((Path(command[0]).name, *command[1:]))}", flush=True)
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(timeout=max(left_s, 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        with_children(process)


def with_children(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a command: the process itself and everything it started and forgot."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def ended_how(code: int | None) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code is not None else f"ended after {HANGS_AFTER} times its budget"


def homeless_folders() -> Iterator[str]:
    """Folders below tests/ that hold tests and belong to no stage: they would never run."""
    known = {name for stage in STAGES for name in stage.folders}
    for folder in sorted((ROOT / "tests").iterdir()):
        if folder.is_dir() and folder.name not in known and any(folder.rglob("test_*.py")):
            yield folder.name


def report(outcomes: dict[str, Outcome], homeless: Iterator[str]) -> int:
    """Print every figure and failure, the time of every stage, what the kernel forbade, and the total."""
    nowhere = Outcome()
    for folder in homeless:
        nowhere.fail(f"tests/{folder} belongs to no stage of tests/__main__.py")
    everything = [*outcomes.items(), ("folders", nowhere)]
    print("\n=== summary")
    for name, outcome in everything:
        for figure in outcome.measured:
            print(f"measured in {name}: {figure}")
        for problem in outcome.problems:
            print(f"FAILED {name}: {problem}")
    for stage in STAGES:
        if stage.name in outcomes:
            print(line_of(stage, outcomes[stage.name]))
    forbidden = [reason for _, outcome in everything for reason in outcome.forbidden]
    print(f"forbidden by the kernel: {'; '.join(forbidden) or 'nothing'}")
    failed = sum(outcome.failed for _, outcome in everything)
    passed = sum(outcome.passed for _, outcome in everything)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def line_of(stage: Stage, outcome: Outcome) -> str:
    """One line of the summary: what ran, what came of it, and what it cost."""
    if not outcome.passed and not outcome.failed and not outcome.forbidden:
        return f"{stage.name:<11} no folder {' or '.join(f'tests/{name}' for name in stage.folders)} yet"
    over = "  OVER BUDGET" if outcome.took_s > stage.budget_s else ""
    spent = f"{outcome.took_s:6.1f} s of {stage.budget_s:3d} s"
    return f"{stage.name:<11} {outcome.passed:5d} passed {outcome.failed:4d} failed  {spent}{over}"


if __name__ == "__main__":
    sys.exit(main())
