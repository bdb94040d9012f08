"""Real servers for tests, each of the run's own: its folder, its free port, its process, ended by its id.

Servers that refuse to run as root run as the user that their package made. Decides no expectation.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from support.cluster_support import wait_for

READY_S = 20.0
TOO_MUCH = "sends or announces more than 256 KiB: ask for less"
"""What every kind that logs in says of a server that goes on and on."""


@contextlib.contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """A folder that belongs to `user`; pytest's own are closed to everybody but root."""
    with tempfile.TemporaryDirectory(prefix="watchtower-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o755)
        own(folder, user)
        yield folder


def own(path: Path, user: str, mode: int | None = None) -> None:
    """Hand a file or folder to `user`."""
    if os.geteuid() == 0:
        shutil.chown(path, user, user)
    if mode is not None:
        path.chmod(mode)


def as_user(user: str, *words: str | Path) -> list[str]:
    """The command as that user; as ourselves when we are not root and could not anyway."""
    command = [str(word) for word in words]
    if os.geteuid() != 0:
        return command
    # A run that is ended from outside takes its servers along.
    return ["setpriv", "--pdeathsig", "KILL", "--reuid", user, "--regid", user, "--init-groups", *command]


@contextlib.contextmanager
def running(command: list[str], folder: Path, stop: signal.Signals = signal.SIGTERM) -> Iterator[int]:
    """The process id of a command whose output goes to `folder`/log; it gets `stop` at the end."""
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder) as process,
    ):
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGCONT)
            process.send_signal(stop)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process stands still: its port takes connections, nobody answers."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def wait_for_port(port: int, pid: int) -> None:
    """Until something listens there, while the process lives."""

    def listens() -> bool:
        os.kill(pid, 0)
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens, READY_S, f"something listens on {port}")
