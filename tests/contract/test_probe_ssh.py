"""Looks at SSH servers: a real sshd of this test, and what else may answer on its port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cluster_support import free_ports, wait_for
from support.looking import condition, look
from support.real_servers import running, stopped
from support.targets import Handler, Listener, closed_port, hang, hang_up, reset, say

from watchtower.core.model import Kind, Opinion, Result
from watchtower.core.targets import SshTarget

SSHD = "/usr/sbin/sshd"
RUN_FOLDER = Path("/run/sshd")
"""sshd as root wants this folder; Debian's service file makes it."""


@contextlib.contextmanager
def sshd(folder: Path, *more: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port of an sshd on loopback with a host key of its own and these options, and its process."""
    key, port, log = folder / "host_key", free_ports(1)[0], folder / "sshd.log"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    is_ours = not RUN_FOLDER.exists()
    with contextlib.suppress(PermissionError):
        RUN_FOLDER.mkdir(exist_ok=True)
    options = ("ListenAddress=127.0.0.1", "PidFile=none", "UsePAM=no", "LogLevel=VERBOSE", *more)
    words = [SSHD, "-D", "-f", "/dev/null", "-p", str(port), "-h", str(key), "-E", str(log)]
    words += [word for option in options for word in ("-o", option)]
    try:
        with running(words, port) as process:
            yield port, process
    finally:
        if is_ours:
            RUN_FOLDER.rmdir()


def test_a_real_sshd(tmp_path: Path) -> None:
    """Its version line is the evidence, and its log speaks of a client that left, not of nonsense."""
    openssh = condition("banner ~ ^SSH-2.0-OpenSSH_", "banner", "~", "^SSH-2.0-OpenSSH_")
    with sshd(tmp_path) as (port, _):
        result = asyncio.run(look(SshTarget(host="localhost", port=port), expect=(openssh,)))
        assert (result.opinion, result.kind) == (Opinion.UP, Kind.OK), result.text
        assert result.text.startswith('"SSH-2.0-OpenSSH_')
        assert set(result.phases_ms) == {"resolve", "connect", "first_byte", "transfer"}
        log = tmp_path / "sshd.log"
        wait_for(lambda: "[preauth]" in log.read_text(), 5, "a line of sshd about us")
        told = [line for line in log.read_text().splitlines() if "onnection closed by" in line]
        assert all("kex_exchange" not in line for line in told[-1:]), told
    refused = asyncio.run(look(SshTarget(host="127.0.0.1", port=port)))
    assert refused.kind is Kind.REFUSED


def test_an_sshd_that_has_no_room_or_stands_still(tmp_path: Path) -> None:
    """Too many who are logging in are told by what sshd says to the next, and silence is a timeout."""

    def see(port: int, timeout_s: float) -> Result:
        return asyncio.run(look(SshTarget(host="127.0.0.1", port=port), timeout_s=timeout_s))

    with sshd(tmp_path, "MaxStartups=1") as (port, process), contextlib.ExitStack() as stack:

        def is_let_in() -> bool:
            waiting = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            return waiting.recv(4) == b"SSH-"

        wait_for(is_let_in, 10, "room for one who does not log in")
        full = see(port, 3.0)
        assert (full.opinion, full.kind) == (Opinion.DOWN, Kind.PROTOCOL)
        assert full.text == 'not SSH: "Exceeded MaxStartups", then closed'
        with stopped(process):
            still = see(port, 0.5)
        assert (still.kind, still.text) == (Kind.TIMEOUT, "timeout after 0.5 s while waiting for the answer")


def see(handler: Handler, timeout_s: float = 2.0) -> Result:
    """One look at what speaks with `handler`."""

    async def run() -> Result:
        async with Listener(handler) as server:
            return await look(SshTarget(host="127.0.0.1", port=server.port), timeout_s=timeout_s)

    return asyncio.run(run())


def test_lines_before_the_version_are_allowed() -> None:
    """RFC 4253 lets a server say something first."""
    result = see(say(b"Authorised use only\r\nSSH-2.0-Test_1\r\n"))
    assert (result.opinion, result.facts["banner"]) == (Opinion.UP, "SSH-2.0-Test_1")


@pytest.mark.parametrize(
    ("handler", "outcome", "text"),
    [
        (say(b"SSH-1.5-Old\r\n"), Kind.PROTOCOL, 'speaks SSH 1.5, not 2.0: "SSH-1.5-Old"'),
        (say(b"220 mail\r\n" * 30), Kind.PROTOCOL, 'not SSH: begins with "220 mail"'),
        (say(b"220 mail\r\n"), Kind.PROTOCOL, 'not SSH: "220 mail", then silence'),
        (say(b"MaxStartups\r\n", hang_up), Kind.PROTOCOL, 'not SSH: "MaxStartups", then closed'),
        (say(b"\xff" * 5000), Kind.PROTOCOL, "a line of more than 4096 bytes: 5000 bytes of binary data"),
        (hang_up, Kind.RESET, "connection closed while waiting for the answer"),
        (reset, Kind.RESET, "connection reset while waiting for the answer"),
        (hang, Kind.TIMEOUT, "timeout after 0.5 s while waiting for the answer"),
        (say(b"SSH-2.0-"), Kind.TIMEOUT, "timeout after 0.5 s while reading the answer"),
    ],
)  # fmt: skip
def test_what_else_may_answer(handler: Handler, outcome: Kind, text: str) -> None:
    """Each way to fail has its own kind and words."""
    result = see(handler, 0.5)
    assert (result.opinion, result.kind, result.text) == (Opinion.DOWN, outcome, text)


def test_nobody_listens() -> None:
    """Refused, with who refused."""
    port = closed_port()
    result = asyncio.run(look(SshTarget(host="127.0.0.1", port=port)))
    assert (result.kind, result.text) == (Kind.REFUSED, f"connection refused by 127.0.0.1:{port}")
