"""Receives what the demo's peers send to Slack, and remembers it.

Speaks just enough of an incoming webhook to be one: answers `ok`. What it got is read from the
messages themselves, as a person would read them.
"""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from typing import Any, Final

from msgspec import Struct

from watchtower.cli.demo.services import LOOPBACK
from watchtower.core.text import clean

BODY_BYTES_MAX: Final = 262_144
_SUBJECT: Final = re.compile(r"\[(?P<state>[A-Z]+)\] (?P<name>peer \w+|[\w.-]+)")
_SENDER: Final = re.compile(r"sent by peer (\w+)")
_SIGHT: Final = re.compile(r"^• (\w+) ", re.MULTILINE)


class Message(Struct, frozen=True, kw_only=True):
    """One message as it arrived: `state` and `name` of its subject, its sender, the peers with evidence."""

    at_wall: float
    subject: str
    state: str
    name: str
    sender: str
    witnesses: tuple[str, ...]


class Sink:
    """A Slack-shaped endpoint on loopback."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = min(int(self.headers.get("Content-Length", "0")), BODY_BYTES_MAX)
                sink.take(json.loads(self.rfile.read(length)))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def messages(self) -> list[Message]:
        """Everything that arrived so far, oldest first."""
        return list(self._messages)

    def take(self, payload: dict[str, Any]) -> None:
        """Remember one posted message."""
        subject, blocks = str(payload.get("text", "")), "\n".join(_texts(payload.get("blocks")))
        found, sender = _SUBJECT.search(subject), _SENDER.search(blocks)
        self._messages.append(
            Message(
                at_wall=time.time(),
                subject=clean(subject, 200),
                state=found["state"] if found else "?",
                name=found["name"] if found else "?",
                sender=sender[1] if sender else "?",
                witnesses=tuple(_SIGHT.findall(blocks)),
            )
        )

    def close(self) -> None:
        """Stop for good."""
        self._server.shutdown()
        self._server.server_close()


def _texts(node: Any) -> list[str]:
    """Every text in the blocks of a message."""
    if isinstance(node, dict):
        own = [node["text"]] if isinstance(node.get("text"), str) else []
        return own + [text for value in node.values() for text in _texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in _texts(value)]
    return []
