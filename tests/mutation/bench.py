"""Runs mutmut over the four files of the ledger in a copy of the tree, and reads what became of each mutant.

Decides which files are mutated and which tests may kill. Never touches the tree it copies, and judges no
survivor: survivors.py does.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

ROOT: Final = Path(__file__).resolve().parent.parent.parent
MUTMUT: Final = Path(sys.executable).with_name("mutmut")
FILES: Final = ("ledger", "applying/outbox", "judging/quorum", "applying/incidents")
TESTS: Final = (
    "tests/unit/core",
    "tests/scenarios",
    *(f"tests/property/test_{name}_property.py" for name in ("quorum", "ledger", "decide")),
)
"""Not among them: the walks of the protocol. They score themselves, by the rules that they must miss."""

CONFIG: Final = f"""
[tool.mutmut]
source_paths = ["watchtower"]
only_mutate = {[f"watchtower/core/{name}.py" for name in FILES]}
pytest_add_cli_args = ["-p", "no:cacheprovider", "-p", "no:xdist", "-p", "mutation.lean"]
pytest_add_cli_args_test_selection = {list(TESTS)}
use_git_change_detection = false
"""
KILLED: Final = ("killed", "timeout")
NOTES: Final = "notes.tsv"
NOTES_VARIABLE: Final = "MUTATION_NOTES"
"""The environment names the file of notes to lean.py: one line for each failed test, `mutant<tab>test`."""


class Mutant(Struct, frozen=True, kw_only=True):
    """One change of one function. `killer` is the test that noticed, "" for a survivor or a timeout."""

    name: str
    status: str
    killer: str

    @property
    def is_killed(self) -> bool:
        """Whether some test failed under it, or never ended."""
        return self.status in KILLED

    @property
    def place(self) -> str:
        """The function that was changed, as `file.function`."""
        module, _, mangled = self.name.partition("__mutmut_")[0].rpartition(".")
        return f"{module.rpartition('.')[2]}.{mangled.removeprefix('x_')}"


class Ran(Struct, frozen=True, kw_only=True):
    """All mutants of a run, and what it cost."""

    mutants: tuple[Mutant, ...]
    cpu_s: float


class MutmutError(Exception):
    """mutmut did not come to an end that could be read."""


def run(folder: Path, jobs: int) -> Ran:
    """Mutate and test everything in a fresh copy below `folder`."""
    _copy(folder)
    before = children_cpu_s()
    _mutmut(folder, "run", "--max-children", str(jobs))
    cpu_s = children_cpu_s() - before
    killers = dict(_noted(folder))
    results = re.findall(r"^ +(\S+): (.+)$", _mutmut(folder, "results", "--all", "true"), re.MULTILINE)
    return Ran(
        mutants=tuple(
            Mutant(name=name, status=status, killer=killers.get(name, "")) for name, status in results
        ),
        cpu_s=cpu_s,
    )


def change(folder: Path, mutant: Mutant) -> tuple[str, str]:
    """The line or lines that a mutant takes out, and what stands there instead, each on one line."""
    diff = _mutmut(folder, "show", mutant.name).splitlines()
    was = [line[1:].strip() for line in diff if line.startswith("-") and not line.startswith("---")]
    now = [line[1:].strip() for line in diff if line.startswith("+") and not line.startswith("+++")]
    return " ".join(was), " ".join(now)


def children_cpu_s() -> float:
    """CPU time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _copy(folder: Path) -> None:
    for name in ("watchtower", "tests"):
        shutil.rmtree(folder / name, ignore_errors=True)
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(folder / "mutants", ignore_errors=True)
    (folder / NOTES).write_text("")
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text() + CONFIG)


def _mutmut(folder: Path, *arguments: str) -> str:
    """What mutmut says."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder / "tests"),
        "PYTHONHASHSEED": "0",
        NOTES_VARIABLE: str(folder / NOTES),
    }
    done = subprocess.run(
        (str(MUTMUT), *arguments),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MutmutError(f"mutmut {' '.join(arguments)} ended with {done.returncode}: {done.stdout[-4000:]}")
    return done.stdout


def _noted(folder: Path) -> Iterator[tuple[str, str]]:
    """Which test failed under which mutant."""
    for line in (folder / NOTES).read_text().splitlines():
        mutant, _, test = line.partition("\t")
        yield mutant, test
