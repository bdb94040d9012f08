"""Conditions against a real server: the phases after the connect, networks, and keys that need quotes."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Iterator

import pytest

from watchtower.cli.looking import look_once, service_of
from watchtower.core.model import Opinion

FIRST_S, REST_S = 0.2, 0.3
BODY = b'{"a.b": {"c d": 5}}'


class Slow(http.server.BaseHTTPRequestHandler):
    """Thinks before its first byte, and again in the middle of the body."""

    def do_GET(self) -> None:
        """One answer in two pieces."""
        never = threading.Event()
        never.wait(FIRST_S)
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:5])
        self.wfile.flush()
        never.wait(REST_S)
        self.wfile.write(BODY[5:])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("line", "opinion"),
    [
        ("time.first_byte >= 200ms", Opinion.UP),
        ("time.first_byte < 200ms", Opinion.DOWN),
        ("time.transfer >= 250ms", Opinion.UP),
        ("time.transfer < 250ms", Opinion.DOWN),
        ("ip in 127.0.0.0/8", Opinion.UP),
        ("ip in 10.0.0.0/8 ::1", Opinion.DOWN),
        ('json["a.b"]["c d"] == 5', Opinion.UP),
        ('json["a.b"].c exists', Opinion.DOWN),
    ],
)
def test_a_condition_on_what_was_really_seen(url: str, line: str, opinion: Opinion) -> None:
    """From the text of the condition to the opinion."""
    service = service_of(url, expect=[line], warn=[], timeout_s=5.0, verify=True)
    assert asyncio.run(look_once(service)).opinion is opinion
