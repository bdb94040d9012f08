"""What the API and the page say about quiet: silences, maintenance, and what matchers hit right now.

Pure functions over one Snapshot. What a silence does is core/alerting/silencing.py's; here it is only told.
"""

from __future__ import annotations

from collections.abc import Iterable

from watchtower.core.alerting import matching, silencing
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.model import Incident
from watchtower.core.policies import Matcher, Silence, SilenceKind
from watchtower.core.ports import Snapshot
from watchtower.core.proofs import drills
from watchtower.web.incidents import incident_docs, open_incidents
from watchtower.web.quiet_shapes import DrillDoc, MatcherDoc, PreviewDoc, SilenceDoc
from watchtower.web.times import moment


def silence_docs(snap: Snapshot, kind: SilenceKind, *, wanted: str = "") -> list[SilenceDoc]:
    """Silences of a kind: those that are on, then those to come, then those that are over."""
    order = ("active", "waits", "over")
    docs = [silence_doc(snap, one) for one in snap.state.silences.values() if one.kind is kind]
    docs = [doc for doc in docs if wanted in {"", doc.state}]
    return sorted(docs, key=lambda doc: (order.index(doc.state), str(doc.ends_at), doc.id))


def silence_doc(snap: Snapshot, silence: Silence) -> SilenceDoc:
    """A silence as it is now."""
    return SilenceDoc(
        id=silence.id,
        kind=silence.kind,
        state=_state(silence, snap.now.wall),
        text=matching.shown(silence.matchers),
        matchers=matcher_docs(silence.matchers),
        author=silence.author,
        reason=silence.reason,
        starts_at=moment(silence.starts_wall),
        ends_at=moment(silence.ends_wall),
        created_at=moment(silence.created_wall),
    )


def matcher_docs(matchers: Iterable[Matcher]) -> list[MatcherDoc]:
    """Matchers in their parts."""
    return [MatcherDoc(label=one.label, patterns=list(one.patterns), is_not=one.is_not) for one in matchers]


def preview_doc(snap: Snapshot, matchers: tuple[Matcher, ...]) -> PreviewDoc:
    """What would be quiet: services that it covers at one level or another, and what is open now."""
    found = silencing.preview(snap.state, snap.settings, matchers)
    known = snap.settings.services
    return PreviewDoc(
        text=matching.shown(matchers),
        services=[name for name in found.subjects if name in known],
        others=[name for name in found.subjects if name not in known],
        incidents=incident_docs(snap, [snap.state.incidents[number] for number in found.incidents]),
        count=len(found.subjects) + len(found.incidents),
    )


def drill_doc(snap: Snapshot) -> DrillDoc:
    """The latest drill."""
    drill, planned = snap.state.drill, snap.settings.watchdog.drill
    incident = open_drill(snap)
    return DrillDoc(
        state=_drill_state(snap),
        channel=drill.channel,
        by=drill.by,
        started_at=moment(drill.started_wall),
        arrived_at=moment(drill.arrived_wall),
        last_arrived_at=moment(drill.last_arrived_wall),
        within_s=planned.within_s if planned else drills.WITHIN_S,
        incident=incident.number if incident else None,
    )


def open_drill(snap: Snapshot) -> Incident | None:
    """The incident of a drill that is on."""
    found = (one for one in open_incidents(snap.state) if one.service.startswith(DRILL_PREFIX))
    return next(found, None)


def _drill_state(snap: Snapshot) -> str:
    drill = snap.state.drill
    if not drill.started_wall:
        return "never"
    if drill.arrived_wall:
        return "arrived"
    return "waiting" if drills.is_on(drill, snap.settings, snap.now) else "missed"


def is_active(silence: Silence, now_wall: float) -> bool:
    """True while it is on."""
    return silence.starts_wall <= now_wall < silence.ends_wall


def _state(silence: Silence, now_wall: float) -> str:
    if is_active(silence, now_wall):
        return "active"
    return "waits" if now_wall < silence.starts_wall else "over"
