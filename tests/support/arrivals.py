"""What arrived at the sinks, in one form for webhook and mail, readable while a stream is running.

Decides only how an arrival is read: channel, delivery id (a mail's is its Message-ID), subject, kind,
attempt, sender, and what it says about itself (may be a repeat, the alert may be unheard of). What is
right stands in judging.py.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes, policy

from support.sink_log import Received

_FOOTER = re.compile(r"incident (\d+) \| delivery \w+ \| attempt (\d+) \| sent by peer (\S+)")
_KIND_OF_BRACKET = {"RECOVERED": "resolved", "CLOSED": "resolved", "WORSE": "worsened"}
_REPEAT = "may be a repeat"
_UNHEARD = "alert itself may not have reached you"


@dataclass(frozen=True)
class Arrival:
    """One message as people got it. `kind` is firing, worsened, resolved or notice."""

    channel: str
    at_wall: float
    id: str
    service: str
    kind: str
    incident: int = 0
    attempt: int = 0
    peer: str = ""
    may_repeat: bool = False
    is_unheard: bool = False


class Arrivals:
    """Everything that several sinks recorded; each thing is read once, whoever looks."""

    def __init__(self, *sources: tuple[list[Received], Callable[[Received], Arrival]]) -> None:
        self._sources = sources
        self._known = [0] * len(sources)
        self._seen: list[Arrival] = []
        self._lock = threading.Lock()

    def look(self) -> list[Arrival]:
        """Everything up to now: a list that only grows at its end, from any thread."""
        with self._lock:
            for number, (items, read) in enumerate(self._sources):
                fresh = items[self._known[number] :]
                self._known[number] += len(fresh)
                # What a sink refused did not arrive.
                self._seen.extend(read(item) for item in fresh if item.mode in ("ok", "late"))
            return list(self._seen)


def from_hook(item: Received) -> Arrival:
    """A JSON webhook's body."""
    body = item.json
    incident, delivery = body["incident"] or {}, body["delivery"]
    return Arrival(
        channel="hook",
        at_wall=item.at_wall,
        id=delivery["id"],
        service=incident.get("service", ""),
        kind=body["kind"],
        incident=incident.get("number", 0),
        attempt=delivery["attempt"],
        peer=delivery["peer"],
        may_repeat=delivery["may_repeat"],
        is_unheard=any(_UNHEARD in note for note in body["notes"]),
    )


def from_mail(item: Received) -> Arrival:
    """A mail: its subject, its Message-ID and the last line of its text."""
    mail = message_from_bytes(item.body.encode("latin-1"), policy=policy.default)
    part = mail.get_body(("plain",))
    assert part is not None, "a mail without a text"
    text = " ".join(str(part.get_content()).split())
    bracket, _, rest = str(mail["Subject"]).removeprefix("[").partition("] ")
    footer = _FOOTER.search(text)
    words = rest.split()
    service = f"peer/{words[1]}" if words[:1] == ["peer"] else "cluster" if words[:1] == ["the"] else words[0]
    return Arrival(
        channel="post",
        at_wall=item.at_wall,
        id=str(mail["Message-ID"]),
        service=service if footer else "",
        kind=_KIND_OF_BRACKET.get(bracket, "firing") if footer else "notice",
        incident=int(footer[1]) if footer else 0,
        attempt=int(footer[2]) if footer else 0,
        peer=footer[3] if footer else "",
        may_repeat=_REPEAT in text,
        is_unheard=_UNHEARD in text,
    )
