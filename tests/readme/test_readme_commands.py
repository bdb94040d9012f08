"""The README's first command, run as a stranger would: in a fresh copy, a fresh venv, without extras.

Decides that what the README promises happens: the wheel installs, holds every file of the package, and
plays the whole tour to a good end. The live screen of the demo is not started here; the tour is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.house_source import ROOT

DEMO = ".venv/bin/watchtower demo"
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "tests")
FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "WATCHTOWER_PEER", "WATCHTOWER_CONFIG")

pytestmark = pytest.mark.timeout(240)


def first_command() -> str:
    """The line of the README that installs watchtower and starts the demo."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line for line in lines if line.endswith(f"&& {DEMO}")]
    assert len(found) == 1, f"README.md needs one line that ends with `&& {DEMO}`, found {len(found)}"
    return found[0]


def run(command: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end with nothing of this environment's Python in its way."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The venv that the installing part of the README's command makes in a copy of the tree."""
    clone = tmp_path_factory.mktemp("stranger") / "watchtower"
    shutil.copytree(ROOT, clone, ignore=NOT_COPIED)
    done = run(["bash", "-c", first_command().removesuffix(f"&& {DEMO}").strip()], clone)
    assert done.returncode == 0, done.stdout + done.stderr
    shutil.rmtree(clone / "watchtower")
    return clone / ".venv"


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    """The installed `watchtower --version` names the version of this tree."""
    source = (ROOT / "watchtower" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', source)
    assert version is not None
    done = run([str(installed / "bin" / "watchtower"), "--version"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert version[1] in done.stdout


def test_the_wheel_holds_every_file_of_the_package(installed: Path) -> None:
    """Templates, styles and the typing marker are installed, not only Python files."""
    (site,) = installed.glob("lib/python3*/site-packages")
    wanted = {path.relative_to(ROOT) for path in (ROOT / "watchtower").rglob("*") if path.is_file()}
    wanted = {path for path in wanted if "__pycache__" not in path.parts}
    assert sorted(path for path in wanted if not (site / path).is_file()) == []


def test_the_tour_ends_well(installed: Path, tmp_path: Path) -> None:
    """The demo's tour, started from the installed wheel in an empty folder, ends with exit code 0."""
    demo = [str(installed / "bin" / "watchtower"), "demo", "--tour", "--no-live", "--json"]
    done = run(demo, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip(), "the tour printed nothing"
