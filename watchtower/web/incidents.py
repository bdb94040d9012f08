"""What the API and the page say about incidents, and how a list of them is paged.

Pure functions over one Snapshot. Order: open incidents first, then the newest. A cursor names the last item
a page showed, so what is added or closed meanwhile can be seen twice but never be skipped.
"""

from __future__ import annotations

from collections.abc import Iterable

from watchtower.core.alerting import routing
from watchtower.core.alerting.dependencies import Impact, impact
from watchtower.core.model import Incident, State
from watchtower.core.ports import Snapshot
from watchtower.web.deliveries import evidence_docs, notification_docs, title_of
from watchtower.web.paging import BadQuery, whole
from watchtower.web.shapes import (
    AckDoc,
    AffectedDoc,
    ImpactDoc,
    IncidentDetail,
    IncidentDoc,
    StepDoc,
    WithheldDoc,
)
from watchtower.web.times import moment


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


def incident_docs(snap: Snapshot, incidents: Iterable[Incident]) -> list[IncidentDoc]:
    """Incidents as they are shown in lists."""
    folded = _folded(snap.state)
    return [_incident_doc(snap, incident, folded.get(incident.number, [])) for incident in incidents]


def incident_detail(snap: Snapshot, number: int) -> IncidentDetail | None:
    """The incident of that number with timeline and notifications; None when the ledger has none."""
    incident = snap.state.incidents.get(number)
    if incident is None:
        return None
    doc = incident_docs(snap, [incident])[0]
    told = [item for item in snap.state.notifications.values() if item.incident == number]
    root = snap.state.incidents.get(incident.withheld.root) if incident.withheld else None
    return IncidentDetail(
        **{field: getattr(doc, field) for field in doc.__struct_fields__},
        root=incident_docs(snap, [root])[0] if root else None,
        impact=_impact_doc(snap, incident),
        dependents=incident_docs(snap, [snap.state.incidents[one] for one in doc.folded]),
        timeline=[
            StepDoc(at=moment(step.at_wall), level=step.level, reason=step.reason)
            for step in incident.timeline
        ],
        told_by=_rule(snap, incident) if incident.is_open else "",
        notifications=notification_docs(snap, sorted(told, key=lambda item: item.order)),
    )


def _rule(snap: Snapshot, incident: Incident) -> str:
    found = routing.audience(
        incident.service,
        incident.level,
        incident.severity,
        settings=snap.settings,
        at_wall=snap.now.wall,
    )
    return found.reason


def _incident_doc(snap: Snapshot, incident: Incident, folded: list[int]) -> IncidentDoc:
    why, ack = incident.withheld, incident.ack
    return IncidentDoc(
        number=incident.number,
        service=incident.service,
        title=title_of(snap, incident.service),
        open=incident.is_open,
        level=incident.level,
        reason=incident.reason,
        since=moment(incident.since_wall),
        opened_at=moment(incident.opened_wall),
        closed_at=moment(incident.closed_wall),
        severity=incident.severity,
        withheld=WithheldDoc(why=why.why, text=why.text, until=moment(why.until_wall), root=why.root or None)
        if why
        else None,
        ack=AckDoc(by=ack.by, note=ack.note, at=moment(ack.at_wall)) if ack else None,
        flapping=incident.is_flapping,
        folded=folded,
        evidence=evidence_docs(incident.evidence),
    )


def _impact_doc(snap: Snapshot, incident: Incident) -> ImpactDoc:
    """What suffers from it, or would: of what is over, nothing any more."""
    found = impact(snap.state, snap.settings, incident.service) if incident.is_open else Impact()
    return ImpactDoc(
        count=found.count,
        failing=found.failing,
        services=[
            AffectedDoc(service=row.service, title=row.title, degraded=row.degraded, failing=row.is_failing)
            for row in found.rows
        ],
    )


def _folded(state: State) -> dict[int, list[int]]:
    """Number of a root cause -> the incidents that it tells too."""
    found: dict[int, list[int]] = {}
    for incident in state.incidents.values():
        if incident.withheld is not None and incident.withheld.root:
            found.setdefault(incident.withheld.root, []).append(incident.number)
    return found


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
    return (cursor[0] == "c", -whole(cursor[1:], "cursor"))
