"""Redis for tests: with users, over TLS and without, as a replica, and one that takes long to load."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.cluster_support import free_ports, wait_for
from support.database_servers import folder_of, running, wait_for_port
from support.targets import Authority

USER = "redis"
PASSWORD = "battery-staple"


@dataclass
class Redis:
    """A running server; `admin` says commands to it past every limit."""

    port: int
    tls_port: int
    pid: int
    folder: Path

    def admin(self, *lines: str) -> str:
        """Say lines, one after the other; the last reply."""
        with self.connected() as told:
            return told(*lines)

    @contextlib.contextmanager
    def connected(self) -> Iterator[Told]:
        """A connection that stays open."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as held:
            told = Told(held)
            yield told


class Told:
    """Says lines on one connection."""

    def __init__(self, held: socket.socket) -> None:
        self._held = held

    def __call__(self, *lines: str) -> str:
        """The reply to the last of them."""
        reply = ""
        for line in lines:
            self._held.sendall(line.encode() + b"\r\n")
            reply = self._held.recv(65_536).decode()
        return reply


@contextlib.contextmanager
def redis(authority: Authority | None = None, *settings: str, dump: Path | None = None) -> Iterator[Redis]:
    """A server with these settings on top; its certificate is good for localhost."""
    port, tls_port = free_ports(2)
    with folder_of(USER) as folder:
        lines = [
            f"port {port}",
            "bind 127.0.0.1",
            f"dir {folder}",
            'save ""',
            "repl-diskless-sync no",
            *settings,
        ]
        if authority is not None:
            pem = authority.pem("localhost")
            lines += [f"tls-port {tls_port}", f"tls-cert-file {pem}", f"tls-key-file {pem}"]
            lines += [f"tls-ca-cert-file {authority.ca_file}", "tls-auth-clients no"]
        if dump is not None:
            shutil.copy(dump, folder / "dump.rdb")
        config = folder / "redis.conf"
        config.write_text("\n".join(lines) + "\n")
        with running(["redis-server", str(config)], folder) as pid:
            wait_for_port(port, pid)
            yield Redis(port, tls_port, pid, folder)


def dump_of(server: Redis, keys: int) -> Path:
    """A dump with that many more keys in it."""
    server.admin(f"DEBUG POPULATE {keys}", "SAVE")
    made = server.folder / "dump.rdb"
    wait_for(made.exists, 5, "the dump is there")
    return made
