"""MariaDB for tests: over TLS and without, with users for each way to be refused."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.cluster_support import free_ports, wait_for
from support.database_servers import READY_S, as_user, folder_of, own, running
from support.targets import Authority

USER = "mysql"
PASSWORD = "correct horse"
_SETUP = f"""
create database shop;
create table shop.orders (id int, note text);
insert into shop.orders values (1, 'first'), (2, 'second'), (3, null);
create user probe@'%' identified by '{PASSWORD}';
grant select, update on shop.* to probe@'%';
create user only_tls@'%' identified by '{PASSWORD}' require ssl;
grant select on shop.* to only_tls@'%';
create user crowded@'%' identified by '{PASSWORD}' with max_connections_per_hour 1;
create user locked@'%' identified by '{PASSWORD}' account lock;
create user elsewhere@'192.0.2.1' identified by '{PASSWORD}';
create user open@'%' identified by '';
create user modern@'%' identified via ed25519 using password('{PASSWORD}');
"""  # noqa: S608 - both halves are constants of this file


@dataclass
class MariaDb:
    """A running server."""

    port: int
    pid: int
    folder: Path

    def admin(self, statements: str) -> None:
        """Run statements as root, past every limit."""
        command = ["mariadb", "--no-defaults", "-u", "root", "-S", str(self.folder / "socket")]
        subprocess.run(command, input=statements.encode(), check=True)


@contextlib.contextmanager
def mariadb(authority: Authority) -> Iterator[MariaDb]:
    """A server with the users and the table of this file; its certificate is good for localhost."""
    with folder_of(USER) as folder:
        data, port = folder / "data", free_ports(1)[0]
        made = [
            "mariadb-install-db", "--no-defaults", f"--datadir={data}", f"--user={USER}", "--skip-test-db",
            "--auth-root-authentication-method=normal", "--skip-name-resolve",
        ]  # fmt: skip
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
        pem = Path(shutil.copy(authority.pem("localhost"), folder / "server.pem"))
        own(pem, USER, 0o600)
        command = as_user(
            USER, shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={data}",
            f"--socket={folder / 'socket'}", f"--port={port}", "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--ssl-cert={pem}", f"--ssl-key={pem}", "--innodb-buffer-pool-size=8M",
            "--innodb-flush-log-at-trx-commit=0", "--plugin-load-add=auth_ed25519", "--max-connections=10",
        )  # fmt: skip
        with running(command, folder) as pid:
            wait_for(lambda: _accepts(folder / "socket"), READY_S, "MariaDB is ready")
            server = MariaDb(port, pid, folder)
            server.admin(_SETUP)
            yield server


def _accepts(path: Path) -> bool:
    """The file is there a moment before anybody listens."""
    with socket.socket(socket.AF_UNIX) as tried:
        return tried.connect_ex(str(path)) == 0
