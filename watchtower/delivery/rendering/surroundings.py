"""What stands around an incident: its root cause, what suffers from it, what is folded in, what was before.

Read from the applied state and the settings as they are when the message leaves.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.alerting import dependencies
from watchtower.core.model import Incident, Level, Notice, NoticeKind, State
from watchtower.core.policies import Why
from watchtower.core.settings import Settings
from watchtower.delivery.message import LINE_MAX, Group, clean, moment, span
from watchtower.delivery.rendering.names import NAME_MAX, name_of

NAMED_MAX: Final = 10
Fact = tuple[str, str]


def causes(state: State, settings: Settings) -> dependencies.Causes:
    """What explains what, by the open incidents of `state`."""
    return dependencies.Causes(dependencies.graph_of(settings), dependencies.failing(state))


def root_cause(subject: str, level: Level, state: State, settings: Settings) -> str:
    """`Orders DB is down (incident 7)`; "" when nothing that it needs explains it."""
    said = []
    for root in causes(state, settings).roots(subject, level)[:3]:
        incident = state.open_incident(root)
        number = f" (incident {incident.number})" if incident else ""
        said.append(f"{name_of(root, settings)} is {incident.level.value if incident else 'down'}{number}")
    return clean(", ".join(said), LINE_MAX)


def impact(
    subject: str, number: int, state: State, settings: Settings
) -> tuple[list[Fact], tuple[Group, ...]]:
    """Who suffers and how, and which incidents are told by this one alone."""
    found, folded = dependencies.impact(state, settings, subject), _folded(number, state)
    facts = [("Folded in", _named(folded, settings))] if folded else []
    if not found.count:
        return facts, ()
    lines = [
        f"{clean(row.title, NAME_MAX)}: {_how(row.degraded, is_failing=row.is_failing)}"
        for row in found.rows[:NAMED_MAX]
    ]
    services = "1 service" if found.count == 1 else f"{found.count} services"
    needs = "needs" if found.count == 1 else "need"
    how = f"{services}, {found.failing} failing now" if found.failing else f"{services} {needs} it"
    facts.insert(0, ("Affected", how))
    return facts, (Group(title=f"Affected ({found.count})", lines=and_more(lines, found.count)),)


def and_more(lines: list[str], total: int) -> tuple[str, ...]:
    """The first NAMED_MAX lines, and how many more there are."""
    shown = tuple(clean(line, LINE_MAX) for line in lines[:NAMED_MAX])
    return (*shown, f"and {total - len(shown)} more") if total > len(shown) else shown


def before(
    kind: NoticeKind, notice: Notice, incident: Incident | None, state: State, settings: Settings
) -> str:
    """The last change before this one: the level it had, or the trouble it had before."""
    if incident is None:
        return ""
    zone = settings.alerting.timezone
    steps = [
        step for step in incident.timeline if step.at_wall < notice.at_wall and step.level is not notice.level
    ]
    if kind is not NoticeKind.FIRING:
        return f"{steps[-1].level.value} since {moment(steps[-1].at_wall, zone)}" if steps else ""
    earlier = [
        other
        for other in state.incidents.values()
        if other.service == incident.service and not other.is_open and other.number < incident.number
    ]
    if not earlier:
        return ""
    last = max(earlier, key=lambda other: other.number)
    lasted = span(last.closed_wall - last.since_wall)
    return f"up since {moment(last.closed_wall, zone)}; incident {last.number} before that lasted {lasted}"


def _folded(number: int, state: State) -> list[Incident]:
    return [
        other
        for other in state.incidents.values()
        if other.is_open
        and other.withheld is not None
        and other.withheld.why is Why.SUPPRESSED
        and other.withheld.root == number
    ]


def _named(folded: list[Incident], settings: Settings) -> str:
    names = sorted(name_of(other.service, settings) for other in folded)
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return clean(f"{len(names)}: {', '.join(names[:5])}{rest}", LINE_MAX)


def _how(degraded: str, *, is_failing: bool) -> str:
    if degraded:
        return f"{clean(degraded, NAME_MAX)}{' (failing)' if is_failing else ''}"
    return "failing" if is_failing else "goes down with it"
