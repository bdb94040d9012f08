"""Fire drills: when one is due, and what the incident of one that is on looks like.

A drill is an ordinary incident of the subject `drill/<channel>`, told on that channel alone, marked as a
drill. Acknowledging it by the link in the message (a person, or whatever received the webhook) proves that
it arrived. One that nobody acknowledges in time ends as missed, and its channel is
degraded until one arrives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower.core import schedules
from watchtower.core.applying.proving import is_drilling
from watchtower.core.channel_rows import DRILL_PREFIX, Drill
from watchtower.core.model import Instant, Level, State, Verdict
from watchtower.core.requests import StartDrill
from watchtower.core.settings import Settings

WITHIN_S: Final = 900.0
"""So long a drill that somebody started by hand may take, where the file names no other time."""
BY_SCHEDULE: Final = "the schedule"


def due(state: State, settings: Settings, now: Instant) -> StartDrill | None:
    """The drill that the schedule asks for and nobody has started; one, however many were missed."""
    wanted, drill = settings.watchdog.drill, state.drill
    if wanted is None or under_way(state, settings, now):
        return None
    walls = (drill.planned_wall, state.config.at_wall)
    since_wall = max((wall for wall in walls if not _is_ahead(wall, settings, now)), default=0.0)
    if now.wall < schedules.next_of(wanted.cron, wanted.timezone, since_wall):
        return None
    return StartDrill(
        channel=wanted.channel,
        by=BY_SCHEDULE,
        at_wall=now.wall,
        seen_wall=drill.started_wall,
        is_planned=True,
    )


def under_way(state: State, settings: Settings, now: Instant) -> bool:
    """True while no other drill can start: one is on, or its incident is not closed yet."""
    return is_on(state.drill, settings, now) or is_drilling(state)


def is_on(drill: Drill, settings: Settings, now: Instant) -> bool:
    """True from its start until it has arrived, or until it is too late."""
    is_open = bool(drill.started_wall) and not drill.arrived_wall
    is_late = now.wall - drill.started_wall >= _within_s(settings)
    return is_open and not is_late and not _is_ahead(drill.started_wall, settings, now)


def missed(drill: Drill, settings: Settings, now: Instant) -> dict[str, float]:
    """By channel, when the drill started that should have arrived by now; until one does on that channel."""
    return {
        channel: since_wall
        for channel, since_wall in drill.unproven.items()
        if channel in settings.channels and now.wall - since_wall >= _within_s(settings)
    }


def drill_verdicts(state: State, settings: Settings, now: Instant) -> Iterator[tuple[str, Verdict]]:
    """The verdict on the drill that is on, and on any whose incident is still open."""
    drill, known = state.drill, f"{DRILL_PREFIX}{state.drill.channel}"
    current = known if is_on(drill, settings, now) else ""
    if current:
        reason = f"a fire drill, started by {drill.by}: acknowledge it to prove that it arrived"
        yield known, Verdict(level=Level.DOWN, reason=reason, since_wall=drill.started_wall)
    for subject, row in state.services.items():
        if row.open and subject.startswith(DRILL_PREFIX) and subject != current:
            has_arrived = subject == known and drill.arrived_wall
            reason = "it has arrived" if has_arrived else "nobody acknowledged it in time"
            yield subject, Verdict(level=Level.UP, reason=reason)


def _is_ahead(at_wall: float, settings: Settings, now: Instant) -> bool:
    """True for a time that a wrong clock has written: it lies further ahead than a drill may take."""
    return at_wall - now.wall >= _within_s(settings)


def _within_s(settings: Settings) -> float:
    return settings.watchdog.drill.within_s if settings.watchdog.drill else WITHIN_S
