"""What arrived at the sinks, in one form for webhook and mail, readable while a stream is running.

A digest is read as one arrival for each that it tells; what a mail tells, the ledger of a peer names.

Decides only how an arrival is read: channel, delivery id (a mail's is its Message-ID), subject, kind,
attempt, sender, and what it says about itself (may be a repeat, the alert may be unheard of). What is
right stands in judging.py.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from email import message_from_bytes, policy

from support.sink_log import Received

_FOOTER = re.compile(r"incident (\d+) \| delivery \w+ \| attempt (\d+) \| sent by peer (\S+)")
_DIGEST_FOOTER = re.compile(r"delivery (\w+) \| attempt (\d+) \| sent by peer (\S+)")
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


Told = tuple[int, str, str]
"""One that a digest tells: incident, service, kind."""


class Arrivals:
    """Everything that several sinks recorded; each thing is read once, whoever looks.

    `told_by` names what the digest of an id tells; None when nobody can say so just now.
    """

    def __init__(
        self,
        *sources: tuple[list[Received], Callable[[Received], Arrival]],
        told_by: Callable[[str], list[Told] | None],
    ) -> None:
        self._sources = sources
        self._told_by = told_by
        self._known = [0] * len(sources)
        self._seen: list[Arrival] = []
        self._lock = threading.Lock()

    def look(self) -> list[Arrival]:
        """Everything up to now: a list that only grows at its end, from any thread."""
        with self._lock:
            for number, (items, read) in enumerate(self._sources):
                for item in items[self._known[number] :]:
                    # What a sink refused did not arrive.
                    arrived = [read(item)] if item.mode in ("ok", "late") else []
                    if arrived and arrived[0].kind == "digest":
                        told = self._told_by(arrived[0].id)
                        if told is None:
                            break  # asked again at the next look, before anything that came later
                        arrived = [_member(arrived[0], *one) for one in told]
                    self._known[number] += 1
                    self._seen.extend(arrived)
            return list(self._seen)


def _member(digest: Arrival, incident: int, service: str, kind: str) -> Arrival:
    identifier = f"{digest.id}/{incident}/{kind}"
    return replace(digest, id=identifier, incident=incident, service=service, kind=kind)


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
    if bracket == "DIGEST" and (sent := _DIGEST_FOOTER.search(text)):
        return Arrival(
            channel="post",
            at_wall=item.at_wall,
            id=sent[1],
            service="",
            kind="digest",
            attempt=int(sent[2]),
            peer=sent[3],
            may_repeat=_REPEAT in text,
            is_unheard=_UNHEARD in text,
        )
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
