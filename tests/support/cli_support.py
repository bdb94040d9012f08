"""Runs the command line as people do: as a process of its own, with a clean environment.

Decides nothing about what the calls should do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOREIGN = ("WATCHTOWER_PEER", "WATCHTOWER_CONFIG", "WATCHTOWER_URL", "WATCHTOWER_TOKEN")


def watchtower(
    *arguments: str, cwd: Path | None = None, timeout_s: float = 40.0
) -> subprocess.CompletedProcess[str]:
    """`watchtower ARGUMENTS` to its end, with its output."""
    clean = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return subprocess.run(
        [sys.executable, "-m", "watchtower", *arguments],
        cwd=cwd,
        env=clean,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
