"""The promise of the project, played by the demo's tour with three real peers.

Kill the alerter: still one alert, and people are told that the peer died. What each step expects stands
in the tour itself; this test holds that it plays to a good end, in time, and leaves nothing running.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOUR = [sys.executable, "-m", "watchtower", "demo", "--tour", "--no-live", "--json", "--keep"]
TIMEOUT_S = 180


@pytest.mark.timeout(TIMEOUT_S + 20)
def test_the_tour_ends_well(tmp_path: Path) -> None:
    """Every step as expected, exit code 0, and no peer of it lives on."""
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        TOUR, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [step["problem"] for step in steps] == [""] * 7
    assert sum(len(step["received"]) for step in steps) == 6
    assert any("peer" in step["step"] and "SIGKILL" in step["step"] for step in steps)
    assert running_below(tmp_path) == []


def running_below(folder: Path) -> list[str]:
    """Command lines of live processes that name this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = process.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found
