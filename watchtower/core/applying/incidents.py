"""Incidents: which move a verdict asks for, and what each move writes into the ledger.

The table MOVES is the whole policy of when an incident opens, worsens, eases or ends; `unknown`
is not in it, so it neither opens nor resolves anything. The functions below it are the incident
half of `ledger.apply`, called once the ledger has checked that the move is still justified.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from watchtower.core.applying import outbox
from watchtower.core.commands import Close, Draft, Open, Shift, Withhold
from watchtower.core.model import Incident, Level, NoticeKind, ServiceRow, State, Step
from watchtower.core.policies import Hidden, Why, Withheld

CLOSED_KEPT: Final = 200
TIMELINE_KEPT: Final = 50
TURNS_KEPT: Final = 60


class Move(StrEnum):
    """What happens to a service's incident. Worsened is told; eased is only recorded."""

    OPENED = "opened"
    WORSENED = "worsened"
    EASED = "eased"
    RESOLVED = "resolved"


MOVES: Final[dict[tuple[Level | None, Level], Move]] = {
    (None, Level.PARTIAL): Move.OPENED,
    (None, Level.DEGRADED): Move.OPENED,
    (None, Level.DOWN): Move.OPENED,
    (Level.PARTIAL, Level.DEGRADED): Move.WORSENED,
    (Level.PARTIAL, Level.DOWN): Move.WORSENED,
    (Level.DEGRADED, Level.DOWN): Move.WORSENED,
    (Level.DEGRADED, Level.PARTIAL): Move.EASED,
    (Level.DOWN, Level.PARTIAL): Move.EASED,
    (Level.DOWN, Level.DEGRADED): Move.EASED,
    (Level.PARTIAL, Level.UP): Move.RESOLVED,
    (Level.DEGRADED, Level.UP): Move.RESOLVED,
    (Level.DOWN, Level.UP): Move.RESOLVED,
}


def move(current: Level | None, verdict: Level) -> Move | None:
    """What `verdict` asks of an incident at level `current` (None: no open incident)."""
    return MOVES.get((current, verdict))


def opened(state: State, command: Open) -> State:
    """A new numbered incident with its notifications."""
    number = state.last_incident + 1
    incident = Incident(
        number=number,
        service=command.service,
        level=command.level,
        reason=command.reason,
        since_wall=command.since_wall,
        opened_wall=command.at_wall,
        evidence=command.evidence,
        timeline=(Step(at_wall=command.at_wall, level=command.level, reason=command.reason),),
        severity=command.severity,
        withheld=command.withheld,
        hidden=_hidden(None, command.withheld, command.at_wall),
        is_flapping=command.is_flapping,
    )
    if command.withheld is not None:
        incident = noted(incident, command.at_wall, f"not told: {command.withheld.text}")
    row = replace(_turned(state.service(command.service), command.at_wall), incident=number, open=True)
    state = replace(
        state,
        last_incident=number,
        incidents={**state.incidents, number: incident},
        services={**state.services, command.service: row},
    )
    return outbox.enqueue(state, number, command.service, _with_evidence(command), command.at_wall)


def shifted(state: State, incident: Incident, command: Shift) -> State:
    """The open incident at another level, one step longer."""
    is_worse = move(incident.level, command.level) is Move.WORSENED
    changed = replace(
        incident,
        level=command.level,
        reason=command.reason,
        evidence=command.evidence,
        severity=command.severity,
        is_flapping=command.is_flapping,
        # Who acknowledged it has not seen this.
        ack=None if is_worse else incident.ack,
    )
    changed = noted(changed, command.at_wall, command.reason)
    if (incident.level is Level.UP) is not (command.level is Level.UP):
        row = _turned(state.service(command.service), command.at_wall)
        state = replace(state, services={**state.services, command.service: row})
    state = replace(state, incidents={**state.incidents, incident.number: changed})
    return outbox.enqueue(state, incident.number, command.service, _with_evidence(command), command.at_wall)


def withheld(state: State, incident: Incident, command: Withhold) -> State:
    """The incident with another reason why nobody is told of it, or with none, and a line that says so."""
    word = f"not told: {command.withheld.text}" if command.withheld else "told from now on"
    hidden = _hidden(incident.hidden, command.withheld, command.at_wall)
    changed = replace(incident, withheld=command.withheld, hidden=hidden)
    changed = noted(changed, command.at_wall, word)
    return replace(state, incidents={**state.incidents, incident.number: changed})


def _hidden(before: Hidden | None, withheld: Withheld | None, at_wall: float) -> Hidden | None:
    """How long an incident may be hidden behind others is counted from the first time on.

    A first time after this one was written by a wrong clock.
    """
    if withheld is None or withheld.why is not Why.SUPPRESSED:
        return before
    since_wall = min(before.since_wall, at_wall) if before else at_wall
    return Hidden(since_wall=since_wall, root=withheld.root)


def noted(incident: Incident, at_wall: float, reason: str) -> Incident:
    """The incident with one line more in its timeline."""
    step = Step(at_wall=at_wall, level=incident.level, reason=reason)
    return replace(incident, timeline=(*incident.timeline, step)[-TIMELINE_KEPT:])


def _turned(row: ServiceRow, at_wall: float) -> ServiceRow:
    """The row of a service that has just gone bad, or well again."""
    return replace(row, turns=(*row.turns, at_wall)[-TURNS_KEPT:])


def _with_evidence(command: Open | Shift) -> tuple[Draft, ...]:
    """The drafts of a transition, each with what the transition rests on."""
    return tuple(
        replace(draft, notice=replace(draft.notice, evidence=command.evidence)) for draft in command.drafts
    )


def closed(state: State, incident: Incident, command: Close, *, sender: str) -> State:
    """The incident ended; what never left is cancelled, whoever may have been told hears that it is over."""
    step = Step(at_wall=command.at_wall, level=Level.UP, reason=command.reason)
    ended = replace(
        incident,
        closed_wall=command.at_wall,
        is_flapping=False,
        timeline=(*incident.timeline, step)[-TIMELINE_KEPT:],
    )
    row = state.service(command.service)
    if incident.level is not Level.UP:
        row = _turned(row, command.at_wall)
    row = replace(row, open=False)
    state = replace(
        state,
        incidents={**state.incidents, incident.number: ended},
        services={**state.services, command.service: row},
    )
    drafts = _resolved_drafts(state, incident, command, sender)
    state = outbox.enqueue(state, incident.number, command.service, drafts, command.at_wall)
    return _without_old(outbox.tidy(state))


def _resolved_drafts(state: State, incident: Incident, command: Close, sender: str) -> tuple[Draft, ...]:
    """One resolved notice for each channel that was told, or may have been: the outbox knows, not decide."""
    notice, kind, number = command.notice, NoticeKind.RESOLVED, str(incident.number)
    if notice is None:
        return ()
    return tuple(
        Draft(
            id=outbox.notification_id(state.cluster, incident.service, kind, number, channel),
            channel=channel,
            kind=kind,
            sender=sender,
            notice=notice,
        )
        for channel in outbox.told_channels(state, incident.number)
    )


def _without_old(state: State) -> State:
    """Keep the newest CLOSED_KEPT closed incidents, and those whose notifications are unfinished."""
    ended = sorted(number for number, incident in state.incidents.items() if not incident.is_open)
    busy = {item.incident for item in state.notifications.values() if outbox.is_to_be_told(state, item)}
    drop = [number for number in ended[: max(0, len(ended) - CLOSED_KEPT)] if number not in busy]
    if not drop:
        return state
    incidents = {number: kept for number, kept in state.incidents.items() if number not in drop}
    return replace(state, incidents=incidents)
