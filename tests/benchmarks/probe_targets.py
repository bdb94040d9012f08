"""What both sides look at in `probes`, and how often they did: counted here, not by those who look.

nginx answers HTTP and HTTPS, answering.py TCP and DNS, the kernel pings; each service has a path or an
address of loopback of its own. Knows how either side writes such a service down. It judges nothing.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.answering import COUNTS
from support.cluster_support import TESTS, free_ports, wait_for

from watchtower.config.loader import service_from_url
from watchtower.errors import ConfigError

EXAMPLES = {
    "http": "http://127.0.0.1/",
    "https": "https://127.0.0.1/",
    "tcp": "tcp://127.0.0.1:9",
    "dns": "dns:bench.test",
    "icmp": "icmp://127.0.0.1",
}
KINDS = tuple(EXAMPLES)
TIMEOUT_S = 5
HOSTS = 50
"""HTTP and HTTPS are spread over so many addresses; one certificate names them all."""
HTTP_MODULE = "{prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}"
MODULES = {
    "http": HTTP_MODULE,
    "https": HTTP_MODULE,
    "tcp": "{prober: tcp, timeout: 5s, tcp: {preferred_ip_protocol: ip4}}",
    "dns": "{prober: dns, timeout: 5s, dns: {query_name: bench.test, query_type: A, "
    "transport_protocol: udp, preferred_ip_protocol: ip4}}",
    "icmp": "{prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4}}",
}
NGINX = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; ssl_session_cache off;
  server {{
    listen {http} backlog=4096; listen {https} ssl backlog=4096;
    location / {{ return 200 "{body}"; }}
    location = /counts {{ stub_status; }}
  }}
}}
"""


class Targets:
    """Servers of every kind."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "cert.pem"
        self._folder = folder
        self._http, self._https, self._plain = free_ports(3)
        self._counts = folder / "counts"
        self._counts.write_bytes(bytes(COUNTS.size))
        self._asked = 0

    @contextlib.contextmanager
    def serving(self) -> Iterator[Targets]:
        """Until the end of the block."""
        self._certify()
        text = NGINX.format(folder=self._folder, http=self._http, https=self._https, body="x" * 1024)
        (self._folder / "nginx.conf").write_text(text)
        nginx = ["nginx", "-c", str(self._folder / "nginx.conf")]
        answering = [sys.executable, "-m", "benchmarks.answering", str(self._plain), str(self._counts)]
        with contextlib.ExitStack() as stack:
            for command in (nginx, answering):
                process = stack.enter_context(subprocess.Popen(command, cwd=TESTS))
                stack.callback(process.kill)
            wait_for(self._answers, 10, "the targets")
            yield self

    def _certify(self) -> None:
        names = ",".join(f"IP:{address(n)}" for n in range(HOSTS))
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-days", "2", "-subj", "/CN=bench", "-addext", f"subjectAltName={names}",
             "-keyout", str(self._folder / "key.pem"), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._plain), 1).close()
            return bool(self._status())
        except OSError:
            return False

    def _status(self) -> list[int]:
        """Connections accepted, handled, and requests."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._http}/counts", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        self._asked += 1
        return [int(word) for word in lines[2].split()]

    def count(self, kind: str) -> int:
        """Looks that have come so far."""
        if kind in ("http", "https"):
            requests = self._status()[2]
            return requests - self._asked
        if kind == "icmp":
            return _pings()
        return int(COUNTS.unpack(self._counts.read_bytes())[0 if kind == "tcp" else 1])

    def connections(self) -> int:
        """Connections that have come to nginx, without our own."""
        accepted = self._status()[0]
        return accepted - self._asked

    def url(self, kind: str, number: int) -> str:
        """The target as blackbox_exporter is told it; watchtower reads all but DNS the same way."""
        host = address(number % HOSTS if kind in ("http", "https") else number)
        if kind in ("http", "https"):
            port = self._http if kind == "http" else self._https
            return f"{kind}://{host}:{port}/s{number}"
        return host if kind == "icmp" else f"{host}:{self._plain}"

    def line(self, kind: str, number: int, interval_s: float) -> str:
        """The service in watchtower's configuration."""
        url = self.url(kind, number)
        if kind == "dns":
            what = f"dns: bench.test, servers: ['{url}']"
        else:
            what = f"url: '{url if '://' in url else f'{kind}://{url}'}'"
        timeout_s = min(TIMEOUT_S, interval_s)
        return f"s{number:05}: {{{what}, interval: {interval_s:g}s, timeout: {timeout_s:g}s}}"


def address(number: int) -> str:
    """An address of loopback."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def is_known(kind: str) -> bool:
    """False while this watchtower's configuration refuses the kind."""
    try:
        service_from_url(EXAMPLES[kind])
    except ConfigError:
        return False
    return True


def _pings() -> int:
    """Echo requests that this machine has received."""
    names, values = [
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Icmp:")
    ]
    return int(values[names.index("InEchos")])
