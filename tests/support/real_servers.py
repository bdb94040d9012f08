"""Debian's own servers for looks, each with a private folder, config and port: nginx, knotd, dovecot.

They run in the foreground and end with their `with`. What they are configured to do is all they decide; no
expectation stands here.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.cluster_support import free_ports, wait_for


@contextlib.contextmanager
def running(words: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens on `port` while the body runs."""
    with subprocess.Popen(words) as process:
        try:
            wait_for(lambda: process.poll() is None and listens(port), 20, f"{words[0]} listens", 0.02)
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(10)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a port of loopback."""
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def stopped(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The process stands still: its port is there, and nobody answers."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def nginx(folder: Path, servers: str, ports: int) -> Iterator[tuple[list[int], subprocess.Popen[bytes]]]:
    """Free ports that `servers` listens on as {0}, {1} and so on, and the one process that serves them."""
    found = free_ports(ports)
    for number, port in enumerate(found):
        servers = servers.replace(f"{{{number}}}", f"127.0.0.1:{port}")
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary}\n{servers}\n}}\n"
    )
    words = ["/usr/sbin/nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with running(words, found[0]) as process:
        yield found, process


@contextlib.contextmanager
def knotd(folder: Path, zones: dict[str, str]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The `host:port` of a knotd that serves `zones`, and its process; an empty zone is one without a file.

    A zone called `signed` is signed.
    """
    port = free_ports(1)[0]
    blocks = []
    for name, records in zones.items():
        if records:
            (folder / f"{name}.zone").write_text(f"$ORIGIN {name}.\n$TTL 60\n{records}\n")
        signing = "    dnssec-signing: on\n    zonefile-sync: -1\n" if name == "signed" else ""
        blocks.append(f"  - domain: {name}.\n    storage: {folder}\n    file: {name}.zone\n{signing}")
    database = "".join(f"    {kind}-db-max-size: 10M\n" for kind in ("journal", "kasp", "timer"))
    config = folder / "knot.conf"
    config.write_text(
        f"server:\n    listen: 127.0.0.1@{port}\n    rundir: {folder}\n"
        f"database:\n    storage: {folder}\n{database}"
        f"log:\n  - target: {folder}/knot.log\n    any: warning\n"
        f"zone:\n{''.join(blocks)}"
    )
    with running(["/usr/sbin/knotd", "-c", str(config)], port) as process:
        yield f"127.0.0.1:{port}", process


@contextlib.contextmanager
def dovecot(folder: Path, pem: Path) -> Iterator[tuple[int, int]]:
    """The ports for IMAP and for IMAP over TLS of a dovecot with the certificate in `pem`."""
    plain, secure = free_ports(2)
    # dovecot's sockets have long names, and the path of a socket is short: its folder stands elsewhere.
    base = Path(f"/tmp/wt-dovecot-{plain}")  # noqa: S108 - see above; root's, with a port of our own
    config = folder / "dovecot.conf"
    config.write_text(f"""
base_dir = {base}
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{pem}
ssl_key = <{pem}
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
passdb {{
  driver = static
  args = nopassword
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service imap-login {{
  chroot =
  service_count = 0
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {secure}
    ssl = yes
  }}
}}
""")
    try:
        with running(["/usr/sbin/dovecot", "-F", "-c", str(config)], plain):
            yield plain, secure
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)
