"""RabbitMQ for tests: with users, hosts and a queue of its own, over TLS and without.

Erlang's port mapper is ours too: a broker that finds none starts one that outlives it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.cluster_support import free_ports
from support.database_servers import as_user, folder_of, own, running, wait_for_port
from support.targets import Authority

USER = "rabbitmq"
PASSWORD = "correct horse"
LIBRARY = Path("/usr/lib/rabbitmq/bin")


@dataclass
class RabbitMq:
    """A running broker."""

    port: int
    tls_port: int
    pid: int
    environ: dict[str, str]
    folder: Path

    def control(self, *words: str) -> None:
        """Run rabbitmqctl, past every limit."""
        command = as_user(
            USER, LIBRARY / "rabbitmqctl", "-q", "-n", self.environ["RABBITMQ_NODENAME"], *words
        )
        subprocess.run(command, check=True, env=self.environ, cwd=self.folder, stdout=subprocess.DEVNULL)

    def beam(self) -> int:
        """The process that serves; what was started is a shell around it."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        names = {
            int(pid): Path(f"/proc/{pid}/comm").read_text().strip() for pid in (str(self.pid), *children)
        }
        return next(pid for pid, name in names.items() if name.startswith("beam"))


def _hashed(password: str) -> str:
    """A password as definitions have it: salt, and SHA-256 of salt and password."""
    salt = b"salt"
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _definitions() -> str:
    def user(name: str, limits: dict[str, int]) -> dict[str, object]:
        return {"name": name, "password_hash": _hashed(PASSWORD), "tags": [], "limits": limits}

    may = {"vhost": "/shop", "configure": "", "write": ".*", "read": ".*"}
    queue = {"name": "jobs", "vhost": "/shop", "durable": True, "auto_delete": False, "arguments": {}}
    return json.dumps(
        {
            "users": [user("probe", {}), user("crowded", {"max-connections": 0}), user("stranger", {})],
            "vhosts": [{"name": "/shop"}, {"name": "closed"}],
            "permissions": [{"user": name, **may} for name in ("probe", "crowded")]
            + [{"user": "probe", **may, "vhost": "closed", "write": "", "read": ""}],
            "queues": [queue],
        }
    )


@contextlib.contextmanager
def rabbitmq(authority: Authority) -> Iterator[RabbitMq]:
    """A broker with the users and the queue of this file; its certificate is good for localhost."""
    with folder_of(USER) as folder:
        port, tls_port, distribution, mapper = free_ports(4)
        pem = Path(shutil.copy(authority.pem("localhost"), folder / "server.pem"))
        own(pem, USER, 0o600)
        (folder / "definitions.json").write_text(_definitions())
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{port}",
            f"listeners.ssl.1 = 127.0.0.1:{tls_port}",
            *(f"ssl_options.{key} = {pem}" for key in ("certfile", "keyfile")),
            f"ssl_options.cacertfile = {shutil.copy(authority.ca_file, folder / 'authority.pem')}",
            f"load_definitions = {folder / 'definitions.json'}",
            "log.console = true",
        ]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        environ = _environ(folder, port, distribution, mapper)
        mapping = as_user(USER, "epmd", "-port", str(mapper), "-address", "127.0.0.1")
        maps = folder / "epmd"
        maps.mkdir()
        with running(mapping, maps) as mapper_pid:
            wait_for_port(mapper, mapper_pid)
            with _broker(environ, folder) as pid:
                wait_for_port(port, pid)
                wait_for_port(tls_port, pid)
                yield RabbitMq(port, tls_port, pid, environ, folder)


@contextlib.contextmanager
def _broker(environ: dict[str, str], folder: Path) -> Iterator[int]:
    command = ["env", *(f"{key}={value}" for key, value in environ.items())]
    with running([*command, *as_user(USER, LIBRARY / "rabbitmq-server")], folder) as pid:
        yield pid


def _environ(folder: Path, port: int, distribution: int, mapper: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"watchtower{port}@localhost",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
