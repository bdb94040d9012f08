"""A real peer keeps what it sees: over HTTP, over kill -9 and a restart; and not with --no-history.

One process of `watchtower run`, alone in its cluster, and one target.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.cluster_support import Target, free_ports, wait_for
from support.history_support import file_of


@pytest.fixture
def target() -> Iterator[Target]:
    """What the peer looks at."""
    made = Target()
    yield made
    made.close()


class Running:
    """A peer and its answers."""

    def __init__(self, folder: Path, target: Target, *options: str) -> None:
        self._port = free_ports(1)[0]
        config = folder / "watchtower.yaml"
        config.write_text(
            f"http: {{listen: '127.0.0.1:{self._port}'}}\nstorage: {{path: '{folder / 'data'}'}}\n"
            f"services:\n  web: {{url: '{target.url}', interval: 1s}}\n"
        )
        command = [sys.executable, "-m", "watchtower", "run", "--config", str(config), *options]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WATCHTOWER")}
        self.process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and document of a path below the service; 0 while nobody answers."""
        try:
            url = f"http://127.0.0.1:{self._port}/api/v1/services/web/{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except OSError:
            return 0, {}

    def changes(self) -> list[str]:
        """What was found, oldest first."""
        return [one["after"] for one in reversed(self.get("transitions")[1].get("transitions", []))]


@contextmanager
def running(folder: Path, target: Target, *options: str) -> Iterator[Running]:
    """A peer until the end of the block, which it must reach in order if it is alive."""
    made = Running(folder, target, *options)
    try:
        yield made
        if made.process.poll() is None:
            made.process.send_signal(signal.SIGTERM)
            assert made.process.wait(30) == 0
    finally:
        made.process.kill()
        made.process.wait()


def test_what_a_peer_saw_outlives_it(tmp_path: Path, target: Target) -> None:
    """Results, transitions and uptime over HTTP; transitions over kill -9, sums over an orderly stop."""
    with running(tmp_path, target) as peer:
        wait_for(lambda: peer.changes() == ["up"], 30, "a first look in history")
        target.status = 503
        wait_for(lambda: peer.changes() == ["up", "down"], 30, "the failure in history")
        status, doc = peer.get("uptime?window=1h")
        assert (status, doc["trouble"]) == (200, "")
        assert doc["windows"][0]["failed"] >= 1
        assert len(peer.get("results")[1]["results"]) >= doc["windows"][0]["samples"] >= 2
        peer.process.kill()
        peer.process.wait()
    with running(tmp_path, target) as peer:
        wait_for(lambda: peer.get("results")[1].get("results"), 30, "a look after the restart")
        assert peer.changes()[:2] == ["up", "down"]
    assert file_of(tmp_path / "data").exists()
    with running(tmp_path, target) as peer:
        wait_for(lambda: peer.get("uptime?window=1h")[0] == 200, 30, "an answer")
        assert peer.get("uptime?window=1h")[1]["windows"][0]["samples"] >= 1


def test_no_history_leaves_no_file_and_says_so(tmp_path: Path, target: Target) -> None:
    """404 with the reason, and nothing below the data folder but what Raft needs."""
    with running(tmp_path, target, "--no-history") as peer:
        wait_for(lambda: peer.get("uptime")[0], 30, "an answer")
        status, doc = peer.get("uptime")
        wait_for(lambda: target.hits >= 2, 30, "looks")
        assert (status, doc["error"]) == (404, "no history")
        assert "--no-history" in doc["detail"]
    assert (tmp_path / "data" / "a").is_dir()
    assert not file_of(tmp_path / "data").parent.exists()
