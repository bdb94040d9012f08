"""Many services that fail at once, who they are said to be at the sink, and what the ledger still owes.

Each service has an address of its own in 127.0.0.0/8 behind one loop, so that looks at one are not counted
as looks at another. Decides nothing about what is right.
"""

from __future__ import annotations

import contextlib
import json
import re
import selectors
import socket
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any

from support.cluster_support import Cluster, free_ports
from support.sink_log import Received

LINK = re.compile(r"http://127\.0\.0\.1:\d+[^\s|<>\"'\\)]*")
ONWARD = re.compile(r"/incidents/\d+$")
PER_NET = 250


class Crowd:
    """So many TCP services, which listen all or not at all."""

    def __init__(self, count: int) -> None:
        self.names = [f"s{number:03}" for number in range(count)]
        self.port = free_ports(1)[0]
        self._places = [f"127.0.{1 + n // PER_NET}.{1 + n % PER_NET}" for n in range(count)]
        self._ends = threading.Event()
        self._thread: threading.Thread | None = None
        self.open()

    def lines(self, more: str = "") -> str:
        """The services of the configuration."""
        return "\n".join(
            f"{name}: {{url: 'tcp://{place}:{self.port}', interval: 10s{more}}}"
            for name, place in zip(self.names, self._places, strict=True)
        )

    def open(self) -> None:
        """Listen (again)."""
        self._ends.clear()
        listeners = [socket.create_server((place, self.port), backlog=16) for place in self._places]
        self._thread = threading.Thread(target=self._serve, args=(listeners,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse connections from now on."""
        self._ends.set()
        if self._thread is not None:
            self._thread.join(10)
            self._thread = None

    def _serve(self, listeners: list[socket.socket]) -> None:
        with selectors.DefaultSelector() as waiting:
            for listener in listeners:
                listener.setblocking(False)
                waiting.register(listener, selectors.EVENT_READ)
            while not self._ends.is_set():
                for key, _ in waiting.select(0.05):
                    with contextlib.suppress(OSError):
                        key.fileobj.accept()[0].close()  # type: ignore[union-attr] # they are all sockets
        for listener in listeners:
            listener.close()


class Listeners:
    """Hears the events of every peer, and remembers when a service was first said to be down."""

    def __init__(self, cluster: Cluster) -> None:
        self.first_down_wall = 0.0
        self._lock = threading.Lock()
        for peer in cluster.names:
            url = f"http://127.0.0.1:{cluster.http[peer]}/api/v1/events"
            threading.Thread(target=self._hear, args=(url,), daemon=True).start()

    def _hear(self, url: str) -> None:
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(url, timeout=120) as stream,  # noqa: S310 - it begins with http
        ):
            kind = ""
            for raw in stream:
                line = raw.decode().strip()
                kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
                if line.startswith("data: ") and kind == "verdict":
                    self._heard(json.loads(line.removeprefix("data: ")), time.time())

    def _heard(self, event: dict[str, Any], at_wall: float) -> None:
        with self._lock:
            if "down" in event.values() and not self.first_down_wall:
                self.first_down_wall = at_wall


def named_in(text: str, names: Iterable[str]) -> set[str]:
    """Which of the services a text names."""
    words = set(re.findall(r"[\w.-]+", text))
    return {name for name in names if name in words}


def links_in(messages: Iterable[Received]) -> list[str]:
    """Every link of the messages, once."""
    found = (link for item in messages for link in LINK.findall(json.dumps(item.json)))
    return list(dict.fromkeys(link.rstrip(".,") for link in found))


def followed(links: Iterable[str], cluster: Cluster) -> Iterator[str]:
    """What stands behind links to living peers, and behind those that lead on to incidents."""
    alive = tuple(f"http://127.0.0.1:{cluster.http[peer]}" for peer in cluster.processes)
    waiting, seen = [link.partition("#")[0] for link in links if link.startswith(alive)], set[str]()
    while waiting:
        link = waiting.pop(0)
        if link in seen:
            continue
        seen.add(link)
        with contextlib.suppress(OSError), urllib.request.urlopen(link, timeout=10) as page:  # noqa: S310 - it begins with http
            text = page.read().decode("utf-8", "replace")
            yield text
            if ONWARD.search(link) is None:
                base = link[: link.index("/", 8)]
                waiting += [
                    base + unescape(found) for found in re.findall(r'href="(/incidents[/?][^"#]+)"', text)
                ]


def owed(cluster: Cluster) -> int:
    """How many notifications are not finished, as one living peer counts them; 1 while nobody answers."""
    for peer in tuple(cluster.processes):
        url = f"http://127.0.0.1:{cluster.http[peer]}/metrics"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as page:
            counted = re.search(r"^watchtower_outbox_pending (\d+)", page.read().decode(), re.MULTILINE)
            return int(counted[1]) if counted else 1
    return 1
