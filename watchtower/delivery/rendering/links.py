"""Where a message leads: to act on it, to its runbook and dashboard, to the pages of the cluster.

Every address comes from the configuration; what could be more than an address is left out.
"""

from __future__ import annotations

from urllib.parse import quote

from watchtower.core import links as acting
from watchtower.core.settings import PEER_PREFIX, Settings
from watchtower.delivery.message import Link


def links(subject: str, incident: int, settings: Settings, *, may_act: bool) -> tuple[Link, ...]:
    """The links of a message about one incident, what to do first: act, read the runbook, look."""
    service = settings.services.get(subject)
    configured = [
        Link(label="Runbook", url=service.runbook if service else ""),
        Link(label="Dashboard", url=service.dashboard if service else ""),
    ]
    page = "#peers" if subject.startswith(PEER_PREFIX) else f"services/{quote(subject)}" if service else ""
    wanted = (
        *(_acts(subject, incident, settings) if may_act else ()),
        *configured,
        *_pages("Status", page, settings, subject),
    )
    return tuple(link for link in wanted if is_web(link.url))


def overview(settings: Settings) -> tuple[Link, ...]:
    """The page that lists every incident."""
    return tuple(link for link in _pages("All incidents", "incidents", settings) if is_web(link.url))


def is_web(url: str) -> bool:
    """Only web addresses become links; anything with spaces, quotes or angle brackets is left out."""
    return url.startswith(("http://", "https://")) and not any(mark in url for mark in " <>\"'|\n\r\t")


def _acts(subject: str, incident: int, settings: Settings) -> list[Link]:
    """Acknowledge and silence; a second peer's page may answer when the sender's does not."""
    word = acting.code(settings, incident) if incident else ""
    if not word:
        return []
    urls = _pages("Acknowledge", f"a/{incident}/{word}", settings, subject)
    if not acting.may_silence(subject):
        return urls
    return [*urls[:1], *(Link(label="Silence", url=f"{link.url}#silence") for link in urls[:1]), *urls[1:]]


def _pages(label: str, page: str, settings: Settings, subject: str = "") -> list[Link]:
    """At the public address, else on the sender and, should that die, on a second peer."""
    if settings.http.public_url:
        return [Link(label=label, url=f"{settings.http.public_url.rstrip('/')}/{page}")]
    mine = [peer for peer in settings.cluster.peers if peer.name == settings.me]
    others = [
        peer
        for peer in settings.cluster.peers
        if peer.name != settings.me and f"{PEER_PREFIX}{peer.name}" != subject
    ]
    base = settings.http.base_path.strip("/")
    return [
        Link(
            label=f"{label} (peer {peer.name})",
            url="/".join(part for part in (peer.http_url.rstrip("/"), base) if part) + f"/{page}",
        )
        for peer in (*mine[:1], *others[:1])
    ]
