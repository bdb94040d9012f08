"""Three real peers on loopback for tests: processes, configuration, targets that can be broken.

Starts `python -m watchtower run` once per peer as a user would, asks them over HTTP, and waits for
conditions with deadlines. Never sleeps and hopes, never kills by name.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

PEERS = ("a", "b", "c")
TESTS = Path(__file__).resolve().parents[1]
ADMIN_TOKEN = "admin-0123456789abcdef"
FAULTY = ["-m", "support.faulty_peer"]
"""The program of a peer that `hurt` can hurt."""

T = TypeVar("T")


def free_ports(count: int) -> list[int]:
    """That many TCP ports nobody listens on just now, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def wait_for(look: Callable[[], T], timeout_s: float, what: str, every_s: float = 0.05) -> T:
    """The first truthy answer of `look`; AssertionError naming `what` when the deadline has passed."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}; last seen {answer!r}")
        time.sleep(every_s)


class Target:
    """An HTTP target on loopback: answers `status`, hangs after `hang`, or refuses after `close`."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.status = 200
        self.hits = 0
        self._answers = threading.Event()
        self._answers.set()
        self.port = free_ports(1)[0]
        self._server: http.server.ThreadingHTTPServer | None = None
        self.open()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}/healthz"

    def hang(self) -> None:
        """Take connections and requests, and answer none until opened again."""
        self._answers.clear()

    def open(self) -> None:
        """Listen and answer (again)."""
        target = self
        self._answers.set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                target.hits += 1
                target._answers.wait()
                body = json.dumps({"db": "up" if target.status == 200 else "down"}).encode()
                self.send_response(target.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128
            allow_reuse_address = True

        self._server = Server((self.host, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._answers.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class Cluster:
    """Peers (a, b and c) with one configuration each, equal unless a test writes another.

    `peer_extra` is text that follows in the line of a peer, as `, zone: east`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        services: str,
        notify: str,
        extra: str = "",
        cluster_extra: str = "",
        names: tuple[str, ...] = PEERS,
        peer_extra: dict[str, str] | None = None,
        hosts: dict[str, str] | None = None,
        prefix: dict[str, list[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.names = names
        self.host = hosts or dict.fromkeys(names, "127.0.0.1")
        self._prefix = prefix or {}
        self._peer_extra = peer_extra or {}
        self._cluster_extra = cluster_extra
        ports = free_ports(2 * len(names))
        self.raft = dict(zip(names, ports[: len(names)], strict=True))
        self.http = dict(zip(names, ports[len(names) :], strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.program: list[str] = ["-m", "watchtower"]
        self.options: list[str] = []
        self.environ: dict[str, dict[str, str]] = {}
        (folder / "secret").write_text(secrets.token_urlsafe(32))
        for peer in names:
            self.configure(peer, services=services, notify=notify, extra=extra)

    def configure(self, peer: str, *, services: str, notify: str, extra: str = "") -> None:
        """Write the peer's file: the same text on all, but for where it listens and stores."""
        peers = "\n".join(
            f"    {name}: {{raft: '{self.host[name]}:{self.raft[name]}', "
            f"http: 'http://{self.host[name]}:{self.http[name]}'{self._peer_extra.get(name, '')}}}"
            for name in self.names
        )
        text = (
            f"cluster:\n  name: test\n  secret: ${{file:{self.folder}/secret}}\n  peers:\n{peers}\n"
            f"  {self._cluster_extra}\n"
            f"notify:\n{_indented(notify)}\nservices:\n{_indented(services)}\n"
            "http:\n  listen: ${WT_HTTP}\n  ping_key: ping-me-0123456789abcdef\n"
            f"  tokens:\n    ops: {{scope: admin, token: {ADMIN_TOKEN}}}\n"
            f"storage:\n  path: ${{WT_DISK}}\n{extra}\n"
        )
        self.file(peer).write_text(text)

    def file(self, peer: str) -> Path:
        """The peer's configuration file."""
        return self.folder / f"{peer}.yaml"

    def log(self, peer: str) -> str:
        """What the peer has written to its standard error."""
        return (self.folder / f"{peer}.log").read_text(errors="replace")

    def disk(self, peer: str) -> Path:
        """Where the peer stores; a folder of its own, as on a host of its own."""
        return self.folder / f"disk-{peer}"

    def fault_file(self, peer: str) -> Path:
        """What the peer reads when it is hurt."""
        return self.folder / f"{peer}.fault"

    def start(self, *peers: str) -> None:
        """Start these peers (all without arguments)."""
        for peer in peers or self.names:
            verb = ["run", "--config", str(self.file(peer)), "--peer", peer]
            program = [sys.executable, *self.program, *verb, *self.options]
            command = [*self._prefix.get(peer, []), *program]
            environ = {
                **os.environ,
                "WT_HTTP": f"{self.host[peer]}:{self.http[peer]}",
                "WT_DISK": str(self.disk(peer)),
                "WT_FAULT": str(self.fault_file(peer)),
                "PYTHONPATH": str(TESTS),
                **self.environ.get(peer, {}),
            }
            with (self.folder / f"{peer}.log").open("ab") as log:
                self.processes[peer] = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def signal(self, peer: str, number: signal.Signals) -> None:
        """Send a signal to the peer's process."""
        self.processes[peer].send_signal(number)

    def hurt(self, peer: str, fault: str) -> None:
        """`block SECONDS` or `clock SECONDS` to a peer that runs FAULTY (support/faulty_peer.py)."""
        self.fault_file(peer).write_text(fault)
        self.signal(peer, signal.SIGUSR1)

    def kill(self, *peers: str) -> None:
        """SIGKILL these peers (all without arguments) and reap them."""
        for peer in peers or tuple(self.processes):
            process = self.processes.pop(peer, None)
            if process is not None:
                process.kill()
                process.wait(10)

    def stop(self, *peers: str, timeout_s: float = 15.0) -> dict[str, int]:
        """SIGTERM these peers (all without arguments); their exit codes."""
        chosen = peers or tuple(self.processes)
        for peer in chosen:
            self.processes[peer].terminate()
        return {peer: self.processes.pop(peer).wait(timeout_s) for peer in chosen}

    def get(self, peer: str, path: str, *, timeout_s: float = 2.0) -> Any:
        """The JSON answer of one peer; None when it does not answer."""
        url = f"http://{self.host[peer]}:{self.http[peer]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                body = error.read()
            return {"status_code": error.code, "body": body.decode(errors="replace")}
        except OSError:
            return None

    def act(self, peer: str, path: str, *, timeout_s: float = 10.0) -> Any:
        """POST to one peer as an administrator; its JSON answer."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        url = f"http://{self.host[peer]}:{self.http[peer]}{path}"
        request = urllib.request.Request(url, method="POST", headers=headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - it begins with http
            return json.load(answer)

    def status(self, peer: str) -> Any:
        """`/api/v1/status` of one peer."""
        return self.get(peer, "/api/v1/status")

    def is_true(self, peer: str, path: str) -> bool:
        """Whether a role or readiness path of the peer answers 200."""
        url = f"http://{self.host[peer]}:{self.http[peer]}{path}"
        try:
            with urllib.request.urlopen(url, timeout=2.0) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def wait_ready(self, *peers: str, timeout_s: float = 30.0) -> None:
        """Until these peers (all without arguments) are ready to serve."""
        for peer in peers or tuple(self.processes):
            wait_for(lambda name=peer: self.is_true(name, "/readyz"), timeout_s, f"peer {peer} ready")  # type: ignore[misc] # the default binds the name

    def alerter(self, timeout_s: float = 30.0) -> str:
        """The peer that is the alerter, once there is one."""
        return wait_for(
            lambda: next((p for p in tuple(self.processes) if self.is_true(p, "/alerter")), ""),
            timeout_s,
            "an alerter",
        )

    def wait_verdict(self, service: str, level: str, *, timeout_s: float = 20.0) -> None:
        """Until every running peer shows this verdict for the service."""
        for peer in tuple(self.processes):
            wait_for(
                lambda name=peer: self.verdict(name, service) == level,  # type: ignore[misc] # the default binds the name
                timeout_s,
                f"{service} {level} on {peer}",
            )

    def verdict(self, peer: str, service: str) -> str:
        """The verdict one peer shows; "" when it does not answer."""
        answer = self.get(peer, f"/api/v1/services/{service}")
        return str(answer.get("verdict", "")) if isinstance(answer, dict) else ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


@contextlib.contextmanager
def running(cluster: Cluster, *, timeout_s: float = 30.0) -> Iterator[Cluster]:
    """All peers started and ready, with an alerter; killed by pid afterwards."""
    cluster.start()
    try:
        cluster.wait_ready(timeout_s=timeout_s)
        cluster.alerter()
        yield cluster
    finally:
        cluster.kill()
