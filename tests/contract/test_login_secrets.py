"""Passwords of services that are logged in to, through a whole peer: into the worker, and nowhere else.

A peer of `watchtower run` looks at a real Redis, once with the right password and once with a wrong one,
and at a server that says aloud what it heard. Everything that the peer tells or writes is searched.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from support.cluster_support import free_ports, wait_for
from support.redis_server import redis

RIGHT, WRONG, QUERY = "right-K7q2", "wrong-M4x9", "query-Z8w1"
PATHS = ("status", "services", "services/good", "services/bad", "services/echo", "incidents", "events/state")


@contextmanager
def echo() -> Iterator[int]:
    """A server on whose port every client gets back what it said, behind an error of Redis."""

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.sendall(b"-ERR you said " + client.recv(4096).replace(b"\r\n", b" ") + b"\r\n")
                client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_no_password_leaves_the_peer(tmp_path: Path) -> None:
    """Neither API, metrics, page nor log, and nothing on disk, holds a password or a query."""
    with redis(None, f"requirepass {RIGHT}") as server, echo() as echoing:
        http, config = free_ports(1)[0], tmp_path / "w.yaml"
        config.write_text(f"""
http: {{listen: '127.0.0.1:{http}'}}
storage: {{path: '{tmp_path / "data"}'}}
defaults: {{interval: 1s}}
services:
  good: {{url: "redis://:${{RIGHT}}@127.0.0.1:{server.port}", query: "ECHO ${{QUERY}}"}}
  bad: {{url: "redis://127.0.0.1:{server.port}", password: "${{WRONG}}"}}
  echo: {{url: "redis://127.0.0.1:{echoing}", password: "${{WRONG}}", query: "ECHO ${{QUERY}}"}}
""")
        environ = {**os.environ, "RIGHT": RIGHT, "WRONG": WRONG, "QUERY": QUERY}
        command = [sys.executable, "-m", "watchtower", "run", "--config", str(config), "--log-level", "debug"]
        with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, env=environ, stderr=log) as peer:
            try:
                levels = {"good": "up", "bad": "down", "echo": "down"}
                wait_for(lambda: verdicts(http) == levels, 20, "every verdict is there")
                told = {path: read(http, f"api/v1/{path}") for path in PATHS}
                told |= {path: read(http, path) for path in ("metrics", "", "services/bad")}
            finally:
                peer.terminate()
                peer.wait(15)
    assert "login refused: WRONGPASS" in told["services/bad"]
    assert "login refused: ERR you said *2 $4 AUTH $10 ***" in told["services/echo"]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    written = {str(file): file.read_bytes().decode("latin-1") for file in files}
    assert len(written) > 3, "the peer has written something"
    for place, text in {**told, **written}.items():
        for secret in (RIGHT, WRONG, QUERY):
            assert secret not in text, (place, secret)


def read(port: int, path: str) -> str:
    """What the peer answers; its error when it refuses."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        with refused:
            return str(refused.read().decode())


def verdicts(port: int) -> dict[str, Any]:
    """The verdict of each service; none while nobody answers."""
    try:
        status = json.loads(read(port, "api/v1/status"))
    except (OSError, ValueError):
        return {}
    return {one["name"]: one["verdict"] for one in status.get("services", [])}
