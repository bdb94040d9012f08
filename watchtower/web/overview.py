"""What the overview says first: one headline, what is odd, and services in the order people need them.

Pure, over the status document. Trouble comes before calm, everywhere; a peer without quorum says so
before anything else, because then all the rest is old.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from watchtower.core.model import Level
from watchtower.core.settings import PEER_PREFIX
from watchtower.web.shapes import IncidentDoc, PeerDoc, ServiceDoc, StatusDoc
from watchtower.web.times import lasting

_GRAVITY: Final = (Level.DOWN, Level.PARTIAL, Level.DEGRADED, Level.UNKNOWN)


class Headline(Struct, frozen=True, kw_only=True):
    """`tone` is up, empty, blind or the worst level; `brief` goes into the window's title."""

    tone: str
    text: str
    detail: str
    brief: str


class Group(Struct, frozen=True, kw_only=True):
    """All services of one group, in the order of the file, so that everybody finds them in place."""

    name: str
    services: list[ServiceDoc]


class PeerCard(Struct, frozen=True, kw_only=True):
    """A peer with the verdict that the others reached about it (None without such a service)."""

    peer: PeerDoc
    service: ServiceDoc | None

    @property
    def mood(self) -> str:
        """The level to colour the card by: the verdict, but never up for a peer without a vote."""
        level = self.service.verdict if self.service else Level.UP
        if level is Level.UP and not self.peer.eligible:
            return Level.UNKNOWN if self.peer.reason == "not joined" else Level.DEGRADED
        return level


class Overview(Struct, frozen=True, kw_only=True):
    """What the page shows, from top to bottom. `incidents` are those that no troubled service shows.

    `quiet` says how many open incidents nobody is told of, and why; `standing` has every open incident.
    """

    headline: Headline
    notices: list[str]
    troubled: list[ServiceDoc]
    incidents: list[IncidentDoc]
    peers: list[PeerCard]
    groups: list[Group]
    quiet: str
    standing: dict[int, IncidentDoc]


def overview(status: StatusDoc, knowledge_age_s: float) -> Overview:
    """The page of `status`, whose knowledge is `knowledge_age_s` seconds old."""
    by_name = {doc.name: doc for doc in status.services}
    watched = [doc for doc in status.services if not doc.name.startswith(PEER_PREFIX)]
    troubled = sorted((doc for doc in watched if _is_troubled(doc)), key=_gravity)
    shown = {doc.incident for doc in troubled}
    return Overview(
        headline=headline(status, knowledge_age_s),
        notices=notices(status),
        troubled=troubled,
        incidents=[incident for incident in status.incidents if incident.number not in shown],
        peers=[PeerCard(peer=peer, service=by_name.get(PEER_PREFIX + peer.name)) for peer in status.peers],
        groups=_groups(watched),
        quiet=quiet(status),
        standing={incident.number: incident for incident in status.incidents},
    )


def headline(status: StatusDoc, knowledge_age_s: float) -> Headline:
    """The one sentence."""
    if not status.quorum:
        return Headline(
            tone="blind",
            text="Blind: no quorum",
            detail=f"Peer {status.peer} cannot reach a majority of the peers. What is below is "
            f"{lasting(knowledge_age_s)} old, and no incident can be opened or told from here.",
            brief="BLIND",
        )
    counts = [(level, sum(doc.verdict is level for doc in status.services)) for level in _GRAVITY]
    troubled = [(level, count) for level, count in counts if count]
    if troubled:
        return _trouble(status, troubled)
    if not status.summary.services:
        return Headline(
            tone="empty",
            text="Nothing is watched yet",
            detail="Add a first service to the config.",
            brief="empty",
        )
    count = status.summary.services
    text = "The one service is up" if count == 1 else f"All {count} services are up"
    dissent = sum(_is_troubled(doc) for doc in status.services)
    detail = f"{len(status.peers)} peers agree." if len(status.peers) > 1 else "Seen from one peer."
    if dissent:
        detail = f"Of {dissent} of them a peer sees trouble that the others do not see."
    return Headline(tone="up", text=text, detail=detail, brief="all up")


def notices(status: StatusDoc) -> list[str]:
    """What else is odd, each as one sentence."""
    said = []
    if status.ready_reason:
        said.append(f"This peer is not ready: {status.ready_reason}.")
    if status.doubt:
        said.append(f"This peer doubts itself, so its votes are unknown: {status.doubt}.")
    if status.config.reload_error:
        said.append(f"The latest reload was refused, the old config goes on: {status.config.reload_error}")
    if status.quorum and status.alerter is None:
        said.append("Nobody holds the alerting lease just now; a peer will take it within seconds.")
    if status.cluster_verdict not in (Level.UP, Level.UNKNOWN):
        said.append(f"The watching itself is {status.cluster_verdict}: {status.cluster_reason}.")
    in_force = status.config.in_force
    drifted = [
        peer.name for peer in status.peers if peer.config_hash and peer.config_hash != in_force and in_force
    ]
    if drifted:
        who = f"Peers {', '.join(drifted)} run" if len(drifted) > 1 else f"Peer {drifted[0]} runs"
        said.append(f"{who} another config than the one in force; such votes do not count.")
    return said


def quiet(status: StatusDoc) -> str:
    """`Nobody is told of 3 of 5 open incidents: 2 silenced, 1 held.`; "" when people are told of all."""
    counts = status.summary.withheld
    if not counts:
        return ""
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    many = status.summary.incidents_open
    of = f"{sum(counts.values())} of {many} open incidents" if many > 1 else "the open incident"
    return f"Nobody is told of {of}: {why}."


def _groups(services: list[ServiceDoc]) -> list[Group]:
    names: dict[str, list[ServiceDoc]] = {}
    for doc in services:
        names.setdefault(doc.group, []).append(doc)
    return [Group(name=name, services=docs) for name, docs in names.items()]


def _trouble(status: StatusDoc, troubled: list[tuple[Level, int]]) -> Headline:
    """`2 services are down, 1 is partial`, and who when it is only one."""
    (worst, count), *rest = troubled
    only = [doc for doc in status.services if doc.verdict is worst]
    what = _subject(only[0]) if count == 1 else f"{count} services"
    text = f"{what} {'is' if count == 1 else 'are'} {worst}"
    text += "".join(f", {more} {level}" for level, more in rest)
    detail = (
        only[0].reason if count == 1 else f"{status.summary.up} of {status.summary.services} services are up."
    )
    return Headline(tone=str(worst), text=text, detail=detail, brief=f"{count} {worst}")


def _subject(doc: ServiceDoc) -> str:
    return f"Peer {doc.name.removeprefix(PEER_PREFIX)}" if doc.name.startswith(PEER_PREFIX) else doc.title


def _is_troubled(doc: ServiceDoc) -> bool:
    """In trouble, or one peer sees what the others do not."""
    dissent = any(vote.counted and vote.opinion in ("down", "degraded") for vote in doc.votes)
    return doc.verdict is not Level.UP or dissent


def _gravity(doc: ServiceDoc) -> int:
    return _GRAVITY.index(doc.verdict) if doc.verdict in _GRAVITY else len(_GRAVITY)
