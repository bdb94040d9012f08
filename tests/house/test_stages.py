"""The runner `python -m tests` itself: what it counts, what it refuses to leave out, what it ends.

Decides that a green end means that every test ran. It runs no stage of the project.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
from support.house_source import ROOT


@pytest.fixture(scope="module")
def runner() -> ModuleType:
    """The module tests/__main__.py under a name of its own."""
    spec = importlib.util.spec_from_file_location("stages", ROOT / "tests" / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


RECORD = """
<testsuites><testsuite>
  <testcase classname="t" name="good">
    <properties><property name="failure to message" value="3.1 s"/></properties>
  </testcase>
  <testcase classname="t" name="bad"><failure message="no"/></testcase>
  <testcase classname="t" name="broken"><error message="no"/></testcase>
  <testcase classname="t" name="netns"><skipped message="the kernel forbids network namespaces"/></testcase>
  <testcase classname="t" name="lazy"><skipped message="needs chromium"/></testcase>
</testsuite></testsuites>
"""


def test_only_what_the_kernel_forbids_may_be_skipped(runner: ModuleType) -> None:
    """A skip that names the kernel is listed; any other skip is a failure, like a failed or broken test."""
    outcome = runner.Outcome()
    runner.count_tests(ET.fromstring(RECORD), outcome)  # noqa: S314 - the text above
    assert (outcome.passed, outcome.failed) == (1, 3)
    assert outcome.measured == ["failure to message: 3.1 s"]
    assert outcome.forbidden == ["t::netns: the kernel forbids network namespaces"]


def test_every_test_folder_has_a_stage(runner: ModuleType) -> None:
    """No folder of tests is forgotten by the runner."""
    assert list(runner.homeless_folders()) == []


def test_a_missing_program_is_a_failure(runner: ModuleType) -> None:
    """A stage whose program is not installed fails and names the package."""
    runner.PACKAGE_OF["no-such-program"] = "some-package"
    outcome = runner.run_stage(runner.Stage("x", 1, (), programs=("no-such-program",)))
    assert outcome.problems == ["no-such-program is not installed: apt-get install some-package"]


def test_a_stage_without_tests_is_a_failure(runner: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest's exit code for an empty collection counts as one failure."""
    monkeypatch.setattr(runner, "in_time", lambda *_: 5)
    outcome = runner.run_stage(runner.Stage("x", 1, ("house",)))
    assert outcome.problems == ["tests/house: no test was collected"]


def test_a_hung_command_is_ended_with_its_children(runner: ModuleType, tmp_path: Path) -> None:
    """A command that outlives its stage's limit is killed, and so is what it started in the background."""
    started = tmp_path / "started"
    script = f"sleep 987654 & echo $! > {started}; wait"
    spent_s = runner.HANGS_AFTER - 1
    code = runner.in_time(("sh", "-c", script), runner.Stage("x", 1, ()), time.monotonic() - spent_s)
    assert code is None
    deadline = time.monotonic() + 5
    while is_running(pid := int(started.read_text())):
        assert time.monotonic() < deadline, f"process {pid} outlived its stage"


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie that nobody collected yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_an_end_without_any_test_is_no_success(
    runner: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing passed is exit code 1, whatever else is true; the last line is the total."""
    assert runner.report({"lint": runner.Outcome()}, iter(())) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed"
    assert runner.report({"lint": runner.Outcome(passed=2)}, iter(())) == 0
    assert runner.report({"lint": runner.Outcome(passed=2)}, iter(("lost",))) == 1
