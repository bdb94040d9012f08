"""What the API and the page say about incidents and notifications, and how a list of them is paged.

Pure functions over one Snapshot. Order: open incidents first, then the newest; notifications newest
first. A cursor names the last item a page showed, so what is added or closed meanwhile can be seen
twice but never be skipped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from watchtower.core.model import (
    Attempt,
    Evidence,
    Incident,
    Notification,
    State,
)
from watchtower.core.ports import Snapshot
from watchtower.web.shapes import (
    AttemptDoc,
    EvidenceDoc,
    IncidentDetail,
    IncidentDoc,
    NotificationDoc,
    StepDoc,
)
from watchtower.web.times import moment

PAGE_MAX: Final = 200


class BadQuery(Exception):  # noqa: N818 - the caller's fault, answered with 400
    """A query parameter cannot be understood; the text says which and what would be right."""


def open_incidents(state: State) -> list[Incident]:
    """Open incidents, newest first."""
    return [incident for incident in _by_order(state) if incident.is_open]


def incident_page(
    state: State, *, wanted: str = "", service: str = "", cursor: str = "", limit: int = 50
) -> tuple[list[Incident], str | None]:
    """One page of incidents and the cursor of the next (None at the end).

    `wanted` is "", `open` or `closed`; `cursor` is what an earlier page gave. Raises BadQuery.
    """
    if wanted not in {"", "open", "closed"}:
        raise BadQuery("state is 'open' or 'closed'")
    after = _incident_cursor(cursor)
    matching = [
        incident
        for incident in _by_order(state)
        if _incident_key(incident) > after
        and wanted in {"", "open" if incident.is_open else "closed"}
        and service in {"", incident.service}
    ]
    page = matching[:limit]
    if len(matching) <= limit:
        return page, None
    return page, f"{'o' if page[-1].is_open else 'c'}{page[-1].number}"


def notification_page(
    state: State, *, incident: int | None = None, cursor: str = "", limit: int = 50
) -> tuple[list[Notification], str | None]:
    """One page of notifications, newest first, and the cursor of the next. Raises BadQuery."""
    before = _whole(cursor, "cursor") if cursor else None
    matching = sorted(
        (
            item
            for item in state.notifications.values()
            if (before is None or item.order < before) and incident in {None, item.incident}
        ),
        key=lambda item: -item.order,
    )
    page = matching[:limit]
    return page, str(page[-1].order) if len(matching) > limit else None


def page_size(text: str) -> int:
    """The `limit` of a query, at most PAGE_MAX; 50 when there is none. Raises BadQuery."""
    return limit_of(text, PAGE_MAX) if text else 50


def limit_of(text: str, most: int) -> int:
    """A `limit` that was given, at most `most`. Raises BadQuery."""
    number = _whole(text, "limit")
    if number < 1:
        raise BadQuery("limit is a whole number from 1 on")
    return min(number, most)


def whole_number(text: str, name: str) -> int | None:
    """The whole number in query parameter `name`; None when there is none. Raises BadQuery."""
    return _whole(text, name) if text else None


def incident_doc(snap: Snapshot, incident: Incident) -> IncidentDoc:
    """An incident as it is shown in lists."""
    return IncidentDoc(
        number=incident.number,
        service=incident.service,
        title=_title(snap, incident.service),
        open=incident.is_open,
        level=incident.level,
        reason=incident.reason,
        since=moment(incident.since_wall),
        opened_at=moment(incident.opened_wall),
        closed_at=moment(incident.closed_wall),
        evidence=_evidence_docs(incident.evidence),
    )


def incident_detail(snap: Snapshot, number: int) -> IncidentDetail | None:
    """The incident of that number with timeline and notifications; None when the ledger has none."""
    incident = snap.state.incidents.get(number)
    if incident is None:
        return None
    doc = incident_doc(snap, incident)
    told = [item for item in snap.state.notifications.values() if item.incident == number]
    return IncidentDetail(
        **{field: getattr(doc, field) for field in doc.__struct_fields__},
        timeline=[
            StepDoc(at=moment(step.at_wall), level=step.level, reason=step.reason)
            for step in incident.timeline
        ],
        notifications=[notification_doc(snap, item) for item in sorted(told, key=lambda item: item.order)],
    )


def notification_doc(snap: Snapshot, item: Notification) -> NotificationDoc:
    """A notification with every attempt to send it."""
    channel = snap.settings.channels.get(item.channel)
    return NotificationDoc(
        id=item.id,
        incident=item.incident,
        service=item.service,
        title=_title(snap, item.service),
        kind=item.kind,
        level=item.notice.level,
        reason=item.notice.reason,
        channel=item.channel,
        schema=channel.schema if channel else "",
        instead_of=item.notice.instead_of,
        stage=item.stage,
        sender=item.sender,
        owner=item.owner,
        doubt=item.doubt,
        failures=item.failures,
        created_at=moment(item.created_wall),
        settled_at=moment(item.settled_wall),
        receipt=item.receipt,
        attempts=[_attempt_doc(attempt) for attempt in item.attempts],
    )


def _evidence_docs(evidence: Iterable[Evidence]) -> list[EvidenceDoc]:
    return [
        EvidenceDoc(peer=seen.peer, opinion=seen.opinion, text=seen.text, latency_ms=seen.latency_ms or None)
        for seen in evidence
    ]


def _attempt_doc(attempt: Attempt) -> AttemptDoc:
    return AttemptDoc(
        number=attempt.number,
        peer=attempt.peer,
        outcome=attempt.outcome,
        detail=attempt.detail,
        at=moment(attempt.at_wall),
    )


def _title(snap: Snapshot, service: str) -> str:
    known = snap.settings.services.get(service)
    return known.shown_as if known else service


def _incident_key(incident: Incident) -> tuple[bool, int]:
    return (not incident.is_open, -incident.number)


def _by_order(state: State) -> list[Incident]:
    return sorted(state.incidents.values(), key=_incident_key)


def _incident_cursor(cursor: str) -> tuple[bool, float]:
    """The key after which a page starts; before everything when there is no cursor."""
    if not cursor:
        return (False, float("-inf"))
    if cursor[0] not in "oc":
        raise BadQuery("cursor is what 'next' of an earlier page gave")
    return (cursor[0] == "c", -_whole(cursor[1:], "cursor"))


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadQuery(f"{name} is a whole number")
    return int(text)
