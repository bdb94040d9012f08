"""The sink of deploy/compose.yaml, running: what is posted to it is what it prints.

Decides that the trial cluster shows its alerts. The shape of the posted JSON is apprise's.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.house_source import ROOT


def handler() -> type[BaseHTTPRequestHandler]:
    """The handler class of deploy/sink.py, which is a single file and no part of the package."""
    spec = importlib.util.spec_from_file_location("compose_sink", ROOT / "deploy" / "sink.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sink: type[BaseHTTPRequestHandler] = module.Sink
    return sink


@pytest.fixture
def sink_port() -> Iterator[int]:
    """The port of a running sink."""
    server = HTTPServer(("127.0.0.1", 0), handler())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def post(port: int, body: bytes) -> int:
    """Status of a POST."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("POST", "/", body)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_sink_prints_a_notification(sink_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Title and message are printed on one line, and control characters stay escaped."""
    posted = {"title": "DOWN shop", "message": "2/3\x1b[2J", "type": "failure"}
    assert post(sink_port, json.dumps(posted).encode()) == 204
    assert capsys.readouterr().out == '"DOWN shop" "2/3\\u001b[2J"\n'


def test_the_sink_refuses_a_flood(sink_port: int) -> None:
    """A body beyond the limit is answered with 413."""
    assert post(sink_port, b"x" * 70_000) == 413
