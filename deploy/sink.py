"""Shows the alerts of deploy/compose.yaml: prints every JSON notification that is posted to it.

A stand-in for Slack or mail, for trying things out. It keeps nothing and knows nobody: never use it for
monitoring that counts.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

PORT = 9000
LARGEST_BODY = 65536


class Sink(BaseHTTPRequestHandler):
    """Answers each POST with 204 after its title and message were printed."""

    def do_POST(self) -> None:
        """Print one notification; control characters of it stay escaped."""
        size = int(self.headers.get("Content-Length", "0"))
        if size > LARGEST_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        posted = json.loads(self.rfile.read(size))
        print(json.dumps(posted.get("title", "")), json.dumps(posted.get("message", "")), flush=True)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing about requests; the notification itself is the output."""


if __name__ == "__main__":
    HTTPServer(("", PORT), Sink).serve_forever()
