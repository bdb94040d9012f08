"""Three real peers on loopback, started as a person would start them, and their configuration.

Ends every child by pid, and reads the state of the cluster from whichever peer answers. Decides
nothing about what should happen; that is the tour's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final, Self, TypeVar

from watchtower.cli.asking import NoAnswerError, Peers
from watchtower.cli.demo.services import DNS_NAME, LOOPBACK, Backup, Database, Names, Shop, free_ports
from watchtower.cli.demo.sink import Sink
from watchtower.errors import ClusterError

PEERS: Final = ("a", "b", "c")
START_S: Final = 40.0
LOOK_EVERY_S: Final = 0.1
LOG_TAIL: Final = 15

T = TypeVar("T")


def await_(look: Callable[[], T], timeout_s: float) -> T:
    """The first truthy answer of `look`, or its last one when the time is up."""
    deadline = monotonic() + timeout_s
    while not (answer := look()) and monotonic() < deadline:
        sleep(LOOK_EVERY_S)
    return answer


class Stage:
    """The demo's peers, services and sink. Use it as a context; leaving it ends everything."""

    def __init__(self, folder: Path, port_base: int | None) -> None:
        self.folder = folder
        ports = list(range(port_base, port_base + 6)) if port_base else free_ports(6)
        self._raft = dict(zip(PEERS, ports[3:], strict=True))
        self.http = dict(zip(PEERS, (f"http://{LOOPBACK}:{port}" for port in ports[:3]), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.sink, self.shop, self.database, self.names = Sink(), Shop(), Database(), Names()
        self._ping_key = secrets.token_hex(16)
        self.backup = Backup(self._ping_urls)

    def __enter__(self) -> Self:
        self._write_config()
        for peer in PEERS:
            self.start(peer)
        return self

    def __exit__(self, *_: object) -> None:
        self.backup.close()
        for process in self.processes.values():
            process.terminate()
        for peer in tuple(self.processes):
            self._end(peer)
        for part in (self.sink, self.shop, self.names):
            part.close()
        self.database.break_down()

    def start(self, peer: str) -> None:
        """Start one peer."""
        verb = ["run", "--config", str(self.config), "--peer", peer, "--end-with-parent"]
        with self._log(peer).open("ab") as log:
            self.processes[peer] = subprocess.Popen(  # noqa: S603 - our own program with our own arguments
                [sys.executable, "-m", "watchtower", *verb],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ(peer),
                # A Ctrl-C in the terminal is for the demo, which then ends its peers in order.
                start_new_session=True,
            )

    def kill(self, peer: str) -> None:
        """SIGKILL one peer."""
        process = self.processes.pop(peer)
        process.kill()
        process.wait()

    def wait_until_whole(self) -> None:
        """Until all peers are ready, one alerts, and everything is up. Raises ClusterError with a log."""
        await_(lambda: self.died() or self._is_whole(), START_S)
        if self.died() or not self._is_whole():
            peer = self.died() or PEERS[0]
            raise ClusterError(
                f"the demo's cluster did not start; the log of peer {peer}:\n{self._tail(peer)}"
            )

    def died(self) -> str:
        """A peer that ended by itself; "" when none did."""
        return next((peer for peer, process in self.processes.items() if process.poll() is not None), "")

    def status(self) -> dict[str, Any]:
        """`/api/v1/status` of the first peer that answers; empty when none does."""
        alive = [self.http[peer] for peer in tuple(self.processes)]
        try:
            document = Peers(alive).get("/api/v1/status")
        except NoAnswerError:
            return {}
        return document if isinstance(document, dict) else {}

    def alerter(self) -> str:
        """The peer that alerts, as a peer that answers sees it; "" when there is none."""
        return str(self.status().get("alerter") or "")

    @property
    def config(self) -> Path:
        """The one configuration file of all peers."""
        return self.folder / "watchtower.yaml"

    def _is_whole(self) -> bool:
        status = self.status()
        if not status.get("alerter") or not all(row["eligible"] for row in status["peers"]):
            return False
        return all(service["verdict"] == "up" for service in status["services"])

    def _ping_urls(self) -> list[str]:
        alive = tuple(self.processes)
        return [f"{self.http[peer]}/ping/{self._ping_key}/nightly-backup" for peer in alive]

    def _write_config(self) -> None:
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(32))
        self.config.write_text(self._config_text())

    def _config_text(self) -> str:
        peers = "\n".join(
            f"    {name}: {{raft: '{LOOPBACK}:{self._raft[name]}', http: '{self.http[name]}'}}"
            for name in PEERS
        )
        return f"""\
cluster:
  name: demo
  secret: ${{file:{self.folder}/secret}}
  peers:
{peers}
http:
  listen: ${{DEMO_LISTEN}}
  ping_key: {self._ping_key}
storage: {{path: '{self.folder}/data'}}
notify:
  chat: slack://T0DEMO000/B0DEMO000/{"d" * 24}/?server={self.sink.url}
defaults: {{interval: 2s, timeout: 1s}}
services:
  shop:
    url: http://{LOOPBACK}:{self.shop.port}/healthz
    expect: [status == 200, json.db == up]
    warn: [time < 800ms]
  database: tcp://{LOOPBACK}:{self.database.port}
  www: {{dns: {DNS_NAME}, servers: ['{LOOPBACK}:{self.names.port}'], expect: [answers contains 192.0.2.10]}}
  nightly-backup: {{heartbeat: 10s, grace: 5s}}
"""

    def _environ(self, peer: str) -> dict[str, str]:
        """One host cannot give three peers the same port, so each takes its own from the environment."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("WATCHTOWER_")}
        return {**kept, "DEMO_LISTEN": self.http[peer].removeprefix("http://")}

    def _log(self, peer: str) -> Path:
        return self.folder / f"{peer}.log"

    def _tail(self, peer: str) -> str:
        lines = self._log(peer).read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL:])

    def _end(self, peer: str) -> None:
        process = self.processes.pop(peer)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(8)
            return
        process.kill()
        process.wait()
