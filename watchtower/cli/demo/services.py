"""The sample services of the demo, on loopback: HTTP, TCP, DNS and one that sends heartbeats.

Each can be broken and repaired. They run in threads of the demo process and know nothing of watchtower.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Final

import dns.flags
import dns.message
import dns.rrset

LOOPBACK: Final = "127.0.0.1"
DNS_NAME: Final = "www.example.test"


def free_ports(count: int) -> list[int]:
    """That many different TCP ports nobody listens on just now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind((LOOPBACK, 0))
        return [int(sock.getsockname()[1]) for sock in held]
    finally:
        for sock in held:
            sock.close()


class Shop:
    """An HTTP service with a JSON health page; broken, it answers 503."""

    def __init__(self) -> None:
        self.is_broken = False
        shop = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"db": "down" if shop.is_broken else "up"}).encode()
                self.send_response(503 if shop.is_broken else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop for good."""
        self._server.shutdown()
        self._server.server_close()


class Database:
    """A TCP service that greets and hangs up; broken, it refuses connections."""

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self._listener: socket.socket | None = None
        self.repair()

    def repair(self) -> None:
        """Listen (again)."""
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=32)
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def break_down(self) -> None:
        """Refuse connections."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # shutdown wakes the accept; a mere close would leave the port open until the next client.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"demo database\r\n")


class Names:
    """A DNS server that knows one name."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                wire, sender = self._socket.recvfrom(4096)
                answer = dns.message.make_response(dns.message.from_wire(wire))
                answer.flags |= dns.flags.AA
                answer.answer.append(dns.rrset.from_text(f"{DNS_NAME}.", 60, "IN", "A", "192.0.2.10"))
                self._socket.sendto(answer.to_wire(), sender)
            except OSError:
                return


class Backup:
    """A job that sends a heartbeat every two seconds, to whichever peer takes it."""

    def __init__(self, urls: Callable[[], Sequence[str]]) -> None:
        self._urls = urls
        self._stopped = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def close(self) -> None:
        """Beat no more."""
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(2.0):
            for url in self._urls():
                with contextlib.suppress(OSError, urllib.error.HTTPError):
                    urllib.request.urlopen(url, timeout=2.0).close()  # noqa: S310 - the demo's own loopback URLs
                    break
