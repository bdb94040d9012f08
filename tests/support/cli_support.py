"""Runs the command line as people do: as a process of its own, with a clean environment.

Decides nothing about what the calls should do.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.web_support import World, serving

Done = subprocess.CompletedProcess[str]

FOREIGN = ("WATCHTOWER_PEER", "WATCHTOWER_CONFIG", "WATCHTOWER_URL", "WATCHTOWER_TOKEN")


def watchtower(*arguments: str, cwd: Path | None = None, timeout_s: float = 40.0) -> Done:
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


def asked(made: World, *calls: Callable[[str], tuple[str, ...]]) -> list[Done]:
    """The ends of calls that are given the address of a peer with this picture."""

    async def ask() -> list[Done]:
        async with serving(made) as (server, _):
            url = f"http://127.0.0.1:{server.port}"
            return [await asyncio.to_thread(watchtower, *call(url)) for call in calls]

    return asyncio.run(ask())
