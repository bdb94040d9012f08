"""The same seed gives the same trace in every process: else no failure could be looked at twice."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.house_source import ROOT


def trace_of(seed: int, hash_seed: str, *more: str) -> str:
    """The last line of a run in a process of its own: hash of the trace and objections."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), *more]
    environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("trace ")]
    assert lines, ended.stderr
    return lines[-1].split(", CPU")[0]


@pytest.mark.parametrize(("seed", "more"), [(3, ()), (4, ("--peers", "5")), (5, ("--ideal", "1"))])
def test_a_seed_repeats_itself_in_any_process(seed: int, more: tuple[str, ...]) -> None:
    """Two processes with different hash seeds tell the same story to the last byte."""
    assert trace_of(seed, "1", *more) == trace_of(seed, "424242", *more)
