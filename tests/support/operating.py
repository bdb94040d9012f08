"""A cluster as its operators see it: files that name some of the peers, reloads, and the command line.

Builds on cluster_support; decides nothing about what a verb should do.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from support.cli_support import FOREIGN
from support.cluster_support import Cluster, free_ports, wait_for

SERVICES = "web: {{url: {url}, interval: 1s, timeout: 1s}}"


class Operated(Cluster):
    """Up to five peers, of which the files name some; every peer's file names the same ones."""

    def __init__(self, folder: Path, *, url: str, sink_port: int, **more: Any) -> None:
        self._services = SERVICES.format(url=url)
        self._notify = f"hook: json://127.0.0.1:{sink_port}/"
        super().__init__(folder, services=self._services, notify=self._notify, **more)

    def write(self, *named: str) -> None:
        """Write the files of `named`, which name each other and nobody else."""
        everybody, self.names = self.names, named
        try:
            for peer in named:
                self.configure(peer, services=self._services, notify=self._notify)
        finally:
            self.names = everybody

    def reload(self, *peers: str) -> None:
        """SIGHUP, and wait until each runs what its file says."""
        for peer in peers:
            before = self.log(peer).count(" loaded")
            self.signal(peer, signal.SIGHUP)
            wait_for(
                lambda name=peer, count=before: self.log(name).count(" loaded") > count,  # type: ignore[misc] # the defaults bind
                10,
                f"{peer} reloaded",
            )

    def move(self, peer: str) -> None:
        """Give `peer` other ports; its file and those of the others say so once they are written."""
        self.raft[peer], self.http[peer] = free_ports(2)

    def keep_secrets(self, *texts: str) -> None:
        """The cluster's secrets, the first is the one to present."""
        for number, text in enumerate(texts):
            (self.folder / f"secret{number}").write_text(text)
        listed = ", ".join(f"'${{file:{self.folder}/secret{number}}}'" for number in range(len(texts)))
        for peer in self.processes:
            lines = self.file(peer).read_text().splitlines()
            said = [f"  secret: [{listed}]" if line.startswith("  secret:") else line for line in lines]
            self.file(peer).write_text("\n".join(said) + "\n")

    def wipe(self, *peers: str) -> None:
        """The disk of each is empty."""
        for peer in peers:
            shutil.rmtree(self.disk(peer), ignore_errors=True)

    def members(self, peer: str = "a") -> list[str]:
        """The members as `peer` has them; none when it does not answer."""
        doc = self.get(peer, "/api/v1/cluster")
        return list(doc["members"]) if isinstance(doc, dict) and "members" in doc else []

    def fit(self, peer: str) -> list[str]:
        """The peers that `peer` takes for fit to judge and to alert."""
        doc = self.get(peer, "/api/v1/peers")
        rows = doc["peers"] if isinstance(doc, dict) else doc
        return [row["name"] for row in rows or [] if row["eligible"]]

    def why_not_ready(self, peer: str) -> str:
        """What `/readyz` says; "" when it is ready or does not answer."""
        doc = self.get(peer, "/readyz")
        return str(doc["body"]) if isinstance(doc, dict) and "body" in doc else ""

    def verb(self, *arguments: str, peer: str = "a", name: bool = False) -> subprocess.CompletedProcess[str]:
        """`watchtower ARGUMENTS --config FILE` on the host of `peer`; with `--peer` when `name`."""
        environ = {key: value for key, value in os.environ.items() if key not in FOREIGN}
        environ |= {"WT_HTTP": f"{self.host[peer]}:{self.http[peer]}", "WT_DISK": str(self.disk(peer))}
        who = ["--peer", peer] if name else []
        return subprocess.run(
            [sys.executable, "-m", "watchtower", *arguments, "--config", str(self.file(peer)), *who],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def must(self, *arguments: str, peer: str = "a", name: bool = False) -> str:
        """What the verb prints, having succeeded."""
        done = self.verb(*arguments, peer=peer, name=name)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


class Watched:
    """Within `with`: for how long at most nobody of the cluster had a quorum, looked at all the time."""

    def __init__(self, cluster: Cluster, *peers: str) -> None:
        self._cluster = cluster
        self._peers = peers
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.looks = 0
        self.longest_gap_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(10)

    def _look(self) -> None:
        good_at = time.monotonic()
        while not self._over.wait(0.05):
            self.looks += 1
            if any(self._cluster.is_true(peer, "/quorum") for peer in self._peers):
                good_at = time.monotonic()
            self.longest_gap_s = max(self.longest_gap_s, time.monotonic() - good_at)


def new_secret() -> str:
    """A secret of the length that init makes."""
    return secrets.token_hex(32)
