"""Turns a notification into a Message: what, since when, who saw it, why we believe it, where to look.

`render` is a function of the notification, the applied state and the settings alone, so every
attempt on every peer says the same except for its sender. It shapes for no channel and sends nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import Final
from urllib.parse import quote

from msgspec.structs import replace

from watchtower.core.model import (
    EVIDENCE_TEXT_MAX,
    Doubt,
    Evidence,
    Incident,
    Level,
    NoticeKind,
    Notification,
    Opinion,
    Outcome,
    State,
)
from watchtower.core.policies import Severity
from watchtower.core.settings import CLUSTER_SUBJECT, PEER_PREFIX, PeerSettings, Settings
from watchtower.delivery.message import (
    LINE_MAX,
    SUBJECT_MAX,
    Link,
    Message,
    Sight,
    Tone,
    clean,
    span,
    utc,
)
from watchtower.delivery.threads import opened

CAUSE_MAX: Final = 48
NAME_MAX: Final = 60
SIGHTS_MAX: Final = 9
STOPPED_NOTE: Final = "This may be a repeat: the previous sender stopped during delivery."
LOST_NOTE: Final = "This may be a repeat: the answer to an earlier attempt was lost."
UNHEARD_NOTE: Final = "The alert itself may not have reached you."

_FAILING: Final = (Opinion.DOWN, Opinion.DEGRADED)
_TONE: Final = {
    Level.DOWN: Tone.FAILURE,
    Level.DEGRADED: Tone.WARNING,
    Level.PARTIAL: Tone.WARNING,
    Level.UNKNOWN: Tone.WARNING,
    Level.UP: Tone.SUCCESS,
}
_PHRASE: Final = {
    Level.DOWN: "is down",
    Level.DEGRADED: "is degraded",
    Level.PARTIAL: "fails from some places",
    Level.UNKNOWN: "cannot be judged",
    Level.UP: "is up",
}


def render(
    notification: Notification, state: State, settings: Settings, *, may_repeat: bool = True
) -> Message:
    """The message of one attempt at `notification`. Total: nothing in the three can make it raise.

    `may_repeat` False: the channel has been searched, so an earlier doubt is settled.
    """
    is_repeat = may_repeat and notification.doubt is not Doubt.NO
    incident = state.incidents.get(notification.incident)
    told = _resolved if notification.kind is NoticeKind.RESOLVED else _firing
    message = told(notification, incident, settings)
    return replace(
        message,
        notes=_notes(notification, state, is_repeat=is_repeat),
        links=_links(notification.service, settings),
        footer=_footer(notification, settings),
        delivery_id=notification.id,
        attempt=notification.attempt,
        is_repeat=is_repeat,
        cluster=settings.cluster.name,
        peer=settings.me,
        incident=notification.incident,
        service=notification.service,
        title=_name(notification.service, settings),
        kind=notification.kind.value,
        level=notification.notice.level.value,
        reason=clean(notification.notice.reason, LINE_MAX),
        at_wall=notification.notice.at_wall,
        severity=notification.notice.severity.value,
        opened=opened(notification, state),
        is_broadcast=notification.notice.severity is Severity.CRITICAL,
    )


def _firing(notification: Notification, _incident: Incident | None, settings: Settings) -> Message:
    notice, name = notification.notice, _name(notification.service, settings)
    word = notice.level.value.upper()
    is_cluster = notification.service == CLUSTER_SUBJECT
    cause = clean(notice.reason, CAUSE_MAX) if is_cluster else _cause(notice.evidence)
    bracket, headline = word, name
    if notification.kind is NoticeKind.WORSENED:
        bracket, headline = "WORSE", f"{name} now {word}"
    parts = [f"[{bracket}] {headline}", f"({cause})" if cause else "", _score(notice.evidence)]
    phrase = "is in trouble" if is_cluster else _PHRASE[notice.level]
    now = " now" if notification.kind is NoticeKind.WORSENED else ""
    facts = [
        ("Since", f"{utc(notice.since_wall)} ({span(notice.at_wall - notice.since_wall)} before this alert)"),
        ("Votes", _votes(notice.evidence)),
        ("Why", clean(notice.reason, LINE_MAX)),
    ]
    return Message(
        state=bracket,
        tone=_TONE[notice.level],
        subject=_subject(parts, settings),
        summary=clean(f"{_sentence(name)}{now} {phrase}{f': {cause}' if cause else ''}.", LINE_MAX),
        facts=tuple(fact for fact in (*facts, *_peer_facts(notification.service, settings)) if fact[1]),
        sights=_sights(notice.evidence, settings),
        since_wall=notice.since_wall,
    )


def _resolved(notification: Notification, incident: Incident | None, settings: Settings) -> Message:
    notice, name = notification.notice, _name(notification.service, settings)
    began_wall = incident.since_wall if incident else notice.since_wall
    lasted = span(notice.at_wall - began_wall)
    facts = [
        ("Trouble began", utc(began_wall)),
        ("Lasted", lasted),
        ("Was", clean(incident.reason, LINE_MAX) if incident else ""),
        ("Last error", _cause(incident.evidence) if incident else ""),
        ("Why", clean(notice.reason, LINE_MAX)),
    ]
    # A service that left the configuration has not recovered; nobody looks at it any more.
    is_watched = notification.service in settings.services or notification.service == CLUSTER_SUBJECT
    state, said = ("RECOVERED", "is up again") if is_watched else ("CLOSED", "is no longer watched")
    return Message(
        state=state,
        tone=Tone.SUCCESS,
        subject=_subject([f"[{state}] {name} after {lasted}"], settings),
        summary=clean(f"{_sentence(name)} {said} after {lasted}.", LINE_MAX),
        facts=tuple(fact for fact in facts if fact[1]),
        sights=_sights(notice.evidence, settings),
        since_wall=began_wall,
    )


# ---- the parts


def _name(subject: str, settings: Settings) -> str:
    """What people call the subject of an incident."""
    if subject == CLUSTER_SUBJECT:
        return "the cluster"
    if subject.startswith(PEER_PREFIX):
        return clean(f"peer {subject.removeprefix(PEER_PREFIX)}", NAME_MAX)
    service = settings.services.get(subject)
    return clean(service.shown_as if service else subject, NAME_MAX)


def _sentence(name: str) -> str:
    """`peer b` begins a sentence as `Peer b`; names of services keep their spelling."""
    is_ours = name == "the cluster" or name.startswith("peer ")
    return name[:1].upper() + name[1:] if is_ours else name


def _subject(parts: list[str], settings: Settings) -> str:
    """The parts, then the cluster's name, which is never cut away."""
    tail = clean(f" - {settings.cluster.name}", NAME_MAX)
    return f"{clean(' '.join(part for part in parts if part), SUBJECT_MAX - len(tail) - 1)} {tail}"


def _cause(evidence: tuple[Evidence, ...]) -> str:
    """What most of the failing peers saw; of equally many, the first."""
    texts = [clean(item.text, CAUSE_MAX) for item in evidence if item.opinion in _FAILING]
    return Counter(text for text in texts if text).most_common(1)[0][0] if any(texts) else ""


def _score(evidence: tuple[Evidence, ...]) -> str:
    failing = sum(item.opinion in _FAILING for item in evidence)
    return f"{failing}/{len(evidence)} peers" if evidence else ""


def _votes(evidence: tuple[Evidence, ...]) -> str:
    """`a, b: down; dissent: c up`."""
    groups: dict[Opinion, list[str]] = {}
    for item in evidence:
        groups.setdefault(item.opinion, []).append(clean(item.peer, NAME_MAX))
    agreeing = [
        f"{', '.join(peers)}: {opinion.value}" for opinion, peers in groups.items() if opinion in _FAILING
    ]
    dissent = [
        f"{', '.join(peers)} {opinion.value}" for opinion, peers in groups.items() if opinion not in _FAILING
    ]
    tail = [f"dissent: {', '.join(dissent)}"] if agreeing and dissent else dissent
    return clean("; ".join([*agreeing, *tail]), LINE_MAX)


def _sights(evidence: tuple[Evidence, ...], settings: Settings) -> tuple[Sight, ...]:
    zones = {peer.name: peer.zone for peer in settings.cluster.peers}
    return tuple(
        Sight(
            peer=clean(item.peer, NAME_MAX),
            zone=clean(zones.get(item.peer, ""), NAME_MAX),
            opinion=item.opinion.value,
            text=clean(item.text, EVIDENCE_TEXT_MAX),
            latency_ms=item.latency_ms,
        )
        for item in evidence[:SIGHTS_MAX]
    )


def _peer_facts(subject: str, settings: Settings) -> list[tuple[str, str]]:
    """What the loss of a peer means for the watching itself."""
    if not subject.startswith(PEER_PREFIX):
        return []
    total = len(settings.cluster.peers)
    means = f"watching and alerting go on while {settings.majority} of the {total} peers are up"
    return [("Means", means)]


def _notes(notification: Notification, state: State, *, is_repeat: bool) -> tuple[str, ...]:
    notes = []
    if is_repeat:
        lost = any(attempt.outcome is Outcome.AMBIGUOUS for attempt in notification.attempts)
        notes.append(LOST_NOTE if lost else STOPPED_NOTE)
    if notification.kind is NoticeKind.RESOLVED and _announcement_is_doubtful(notification, state):
        notes.append(UNHEARD_NOTE)
    if notification.notice.instead_of:
        channel = clean(notification.notice.instead_of, NAME_MAX)
        notes.append(f"Sent here because the channel {channel} could not be reached.")
    return tuple(notes)


def _announcement_is_doubtful(notification: Notification, state: State) -> bool:
    """Nothing of the incident is known to have arrived on this channel, though something may have."""
    earlier = [
        item
        for item in state.notifications.values()
        if item.lane == notification.lane
        and item.incident == notification.incident
        and item.kind is not NoticeKind.RESOLVED
    ]
    is_proven = any(item.doubt is Doubt.PROOF or item.stage.value == "delivered" for item in earlier)
    return bool(earlier) and not is_proven


def _links(subject: str, settings: Settings) -> tuple[Link, ...]:
    service = settings.services.get(subject)
    configured = [
        ("Runbook", service.runbook if service else ""),
        ("Dashboard", service.dashboard if service else ""),
    ]
    links = [Link(label=label, url=url) for label, url in configured if _is_web(url)]
    page = (
        "peers"
        if subject.startswith(PEER_PREFIX)
        else ""
        if service is None
        else f"services/{quote(subject)}"
    )
    return (*links, *_status_links(subject, page, settings))


def _status_links(subject: str, page: str, settings: Settings) -> list[Link]:
    """The status page: at the public address, else on the sender and, should that die, on a second peer."""
    if settings.http.public_url:
        return [Link(label="Status", url=f"{settings.http.public_url.rstrip('/')}/{page}")]
    mine = [peer for peer in settings.cluster.peers if peer.name == settings.me]
    others = [
        peer
        for peer in settings.cluster.peers
        if peer.name != settings.me and f"{PEER_PREFIX}{peer.name}" != subject
    ]
    return [
        Link(label=f"Status (peer {clean(peer.name, NAME_MAX)})", url=_on_peer(peer, page, settings))
        for peer in (*mine[:1], *others[:1])
        if _is_web(peer.http_url)
    ]


def _on_peer(peer: PeerSettings, page: str, settings: Settings) -> str:
    base = settings.http.base_path.strip("/")
    return "/".join(part for part in (peer.http_url.rstrip("/"), base) if part) + f"/{page}"


def _is_web(url: str) -> bool:
    """Only web addresses become links; anything with spaces, quotes or angle brackets is left out."""
    return url.startswith(("http://", "https://")) and not any(mark in url for mark in " <>\"'|\n\r\t")


def _footer(notification: Notification, settings: Settings) -> str:
    parts = (
        f"incident {notification.incident}",
        f"delivery {notification.id}",
        f"attempt {notification.attempt}",
        f"sent by peer {settings.me}",
        f"cluster {settings.cluster.name}",
    )
    return clean(" | ".join(parts), LINE_MAX)
