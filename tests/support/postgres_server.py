"""PostgreSQL for tests: a primary over TLS and without, and standbys made of a copy of it."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.cluster_support import free_ports, wait_for
from support.database_servers import READY_S, as_user, folder_of, own, running
from support.targets import Authority

USER = "postgres"
PASSWORD = "correct horse"
CLEAN_STOP = signal.SIGINT
_HBA = """
local   all,replication  all  trust
hostssl all  only_tls all     scram-sha-256
hostssl all  certified all    cert
host    all  by_md5   all     md5
host    all  in_clear all     password
host    all  trusted  all     trust
host    all  probe,nobody,crowded  all  scram-sha-256
"""
_SETUP = f"""
create role probe login password '{PASSWORD}';
create role only_tls login password '{PASSWORD}';
create role in_clear login password '{PASSWORD}';
create role trusted login;
create role certified login;
create role crowded login password '{PASSWORD}' connection limit 0;
set password_encryption = 'md5';
create role by_md5 login password '{PASSWORD}';
create table orders (id int, note text);
insert into orders values (1, 'first'), (2, 'second'), (3, null);
grant select, update on orders to probe;
"""  # noqa: S608 - both halves are constants of this file


@dataclass
class Postgres:
    """A running server."""

    port: int
    pid: int
    folder: Path


def _binary(name: str) -> Path:
    return max(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))


@contextlib.contextmanager
def postgres(authority: Authority) -> Iterator[Postgres]:
    """A primary with the roles and the table of this file; its certificate is good for localhost."""
    with folder_of(USER) as folder:
        data = folder / "data"
        made = as_user(
            USER, _binary("initdb"), "-D", data, "-N", "-U", USER, "--no-instructions", "-A", "trust"
        )
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL, cwd=folder)
        (data / "pg_hba.conf").write_text(_HBA)
        pem = shutil.copy(authority.pem("localhost"), data / "server.pem")
        own(Path(pem), USER, 0o600)
        own(Path(shutil.copy(authority.ca_file, data / "authority.pem")), USER)
        files = {"ssl_cert_file": "server.pem", "ssl_key_file": "server.pem", "ssl_ca_file": "authority.pem"}
        tls = "ssl = on\n" + "".join(f"{key} = '{name}'\n" for key, name in files.items())
        with _running(folder, tls) as server:
            psql = [
                "psql",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                str(folder),
                "-p",
                str(server.port),
                "-U",
                USER,
            ]
            subprocess.run([*psql, "-d", "postgres"], input=_SETUP.encode(), check=True)
            yield server


@contextlib.contextmanager
def standby(primary: Postgres, *, is_hot: bool) -> Iterator[Postgres]:
    """A standby that follows nobody: with `is_hot` it takes queries, without it nobody is let in."""
    with folder_of(USER) as folder:
        base = as_user(
            USER, _binary("pg_basebackup"), "-h", primary.folder, "-p", str(primary.port), "-U", USER,
            "-D", folder / "data", "-X", "fetch", "-c", "fast", "-N",
        )  # fmt: skip
        subprocess.run(base, check=True, cwd=folder)
        (folder / "data" / "standby.signal").touch()
        with _running(folder, f"hot_standby = {'on' if is_hot else 'off'}\n", awaited="standby") as server:
            yield server


@contextlib.contextmanager
def _running(folder: Path, more: str, awaited: str = "ready") -> Iterator[Postgres]:
    port, data = free_ports(1)[0], folder / "data"
    config = data / "postgresql.conf"
    settings = (
        f"listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{folder}'\n"
        "fsync = off\nshared_buffers = 4MB\nmax_connections = 10\nautovacuum = off\nwal_level = replica\n"
    )
    config.write_text(config.read_text() + settings + more)
    command = as_user(USER, _binary("postgres"), "-D", data)
    with running(command, folder, CLEAN_STOP) as pid:
        # The last line of this file is the server's own word for its state.
        state = data / "postmaster.pid"
        is_there = (awaited, "ready")
        wait_for(
            lambda: state.exists() and state.read_text().rstrip().rpartition("\n")[2].strip() in is_there,
            READY_S,
            f"PostgreSQL is {awaited}",
        )
        yield Postgres(port, pid, folder)
