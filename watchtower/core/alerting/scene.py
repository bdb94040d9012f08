"""What one pass of the alerter looks at, and how it words a notice: shared by the stages of decide.

A Scene bundles the four arguments of decide. Notices made here hold facts only; who gets them is routing's,
whether anybody does telling's.
"""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from watchtower.core.applying import outbox
from watchtower.core.judging import verdicts
from watchtower.core.model import Evidence, Incident, Instant, Level, Notice, State
from watchtower.core.policies import Severity
from watchtower.core.settings import Settings
from watchtower.core.view import View


class Scene(Struct, frozen=True):
    """What one pass looks at, bundled for the stages. `memo` is what they have worked out of it already."""

    state: State
    settings: Settings
    view: View
    now: Instant
    memo: dict[str, object] = field(default_factory=dict)


def is_full(scene: Scene) -> bool:
    """True when the outbox sheds; counted once a pass, however many ask."""
    known = scene.memo.get("is full")
    if not isinstance(known, bool):
        known = scene.memo["is full"] = outbox.is_full(scene.state)
    return known


def severity(subject: str, level: Level, settings: Settings) -> Severity:
    """How much it matters that `subject` is at `level`: what is not plainly down is one step milder."""
    service = settings.services.get(subject)
    whole = service.severity if service else Severity.CRITICAL
    return whole if level in (Level.DOWN, Level.UP) else whole.milder


def notice(scene: Scene, subject: str, level: Level, reason: str, since_wall: float) -> Notice:
    """What there is to say of `subject` now, with what each voter sees."""
    service = scene.settings.services.get(subject)
    seen: tuple[Evidence, ...] = ()
    if service is not None:
        seen = verdicts.evidence(service, scene.state, scene.view, scene.now)
    return Notice(
        level=level,
        reason=reason,
        since_wall=since_wall or scene.now.wall,
        at_wall=scene.now.wall,
        evidence=seen,
        severity=severity(subject, level, scene.settings),
    )


def notice_of(scene: Scene, incident: Incident, step: int = 0) -> Notice:
    """The notice of an incident that is told (again) now, in its present shape."""
    said = notice(scene, incident.service, incident.level, incident.reason, incident.since_wall)
    return replace(said, severity=incident.severity, step=step)
