"""Flapping: a service whose incidents begin and end too often is told of once, and again when it has settled.

Counted are the turns of its row, within so many looks (at least five minutes). It begins to flap with the
incident that makes them too many; that one stays open, whatever the verdicts, until they have become few.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.alerting.scene import Scene
from watchtower.core.applying.outbox import announces
from watchtower.core.model import Incident, NoticeKind, State
from watchtower.core.policies import Why, Withheld
from watchtower.core.settings import Settings

WINDOW_MIN_S: Final = 300.0
_INTERVAL_S: Final = 30.0


def window_s(subject: str, settings: Settings) -> float:
    """For how long a turn of `subject` counts."""
    service = settings.services.get(subject)
    interval_s = service.interval_s if service else _INTERVAL_S
    return max(WINDOW_MIN_S, settings.alerting.flap.window * interval_s)


def begins(scene: Scene, subject: str) -> bool:
    """True when `subject`, about to have a new incident, has turned too often; the new one counts."""
    flap = scene.settings.alerting.flap
    return _turns(scene, subject) + 1 >= flap.high * flap.window


def has_settled(scene: Scene, incident: Incident) -> bool:
    """True when a flapping incident's subject has turned but seldom lately."""
    flap = scene.settings.alerting.flap
    return _turns(scene, incident.service) < flap.low * flap.window


def _turns(scene: Scene, subject: str) -> int:
    """How often it has turned lately; a turn that lies ahead was written by a wrong clock."""
    now_wall = scene.now.wall
    since_wall = now_wall - window_s(subject, scene.settings)
    return sum(since_wall < turn <= now_wall for turn in scene.state.service(subject).turns)


def flaps(scene: Scene, incident: Incident) -> Withheld | None:
    """Nothing more is told of a flapping incident once people know that it flaps."""
    if not incident.is_flapping or not is_told(scene.state, incident.number):
        return None
    return Withheld(why=Why.FLAPPING, text="flapping: told once, told again when it has settled")


def is_told(state: State, number: int) -> bool:
    """True when it was, or is about to be, told that the incident flaps."""
    return any(
        item.incident == number and item.kind is NoticeKind.FLAPPING and announces(state, item)
        for item in state.notifications.values()
    )
