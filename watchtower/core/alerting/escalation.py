"""What people hear of an incident that lasts: escalation steps and reminders.

Both are measured from the moment the incident was first announced at its severity, stop at an
acknowledgement, and are derived again and again from the ledger: only the latest that is due is told, so a
new alerter or the end of a silence brings one message and not a row of them. Who is in the audience is
routing.py's; telling.py calls this for incidents that are not withheld.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from watchtower.core.alerting import routing
from watchtower.core.alerting.routing import Audience, Call
from watchtower.core.alerting.scene import Scene, is_full, notice_of
from watchtower.core.applying import outbox
from watchtower.core.commands import Command, Draft, Drop, Enqueue
from watchtower.core.model import Incident, NoticeKind, Notification
from watchtower.core.policies import Severity

FIRST_REMINDER_S: Final = 1_800.0
SECOND_REMINDER_S: Final = 7_200.0
JUST_TOLD_S: Final = 600.0
"""A reminder that comes due so soon after something else was told on its channel has nothing to add."""
AHEAD_S: Final = 60.0
"""Clocks of peers may differ by less, and nobody escalates too early for that."""
_LOUDEST_FIRST: Final = tuple(Severity)


def follow_ups(
    scene: Scene, incident: Incident, items: list[Notification], just_told: set[str]
) -> Iterator[Command]:
    """What is due now of an incident that was announced, given all its notifications.

    A channel that is told something else in this pass (`just_told`, or a step) is not reminded as well.
    """
    if incident.ack is not None:
        yield from _taken_back(scene, items, f"acknowledged by {incident.ack.by}")
        return
    first = _announcement(scene, incident, items)
    if first is None:
        return
    audience = routing.of(scene, incident)
    steps = tuple(_steps(scene, incident, audience, first=first, items=items))
    yield from steps
    silent = just_told | {step.draft.channel for step in steps}
    others = tuple(call for call in audience.calls if call.channel not in silent)
    yield from _reminders(scene, incident, others, first=first, items=items)


def reached(scene: Scene, incident: Incident, items: list[Notification]) -> tuple[str, ...]:
    """Who is to know how `incident` stands: its audience now, and who was told of it and is on duty."""
    settings = scene.settings
    told = [
        item.channel
        for item in sorted(items, key=lambda item: item.order)
        if outbox.announces(scene.state, item)
        and not item.notice.instead_of
        and item.channel in settings.channels
        and not routing.is_off_duty(scene, item.channel)
    ]
    return tuple(dict.fromkeys((*routing.channels(scene, incident), *told)))


def reminders_due(elapsed_s: float, repeat_s: float) -> int:
    """How many reminders are due `elapsed_s` after the announcement."""
    if repeat_s <= 0 or elapsed_s < reminder_at(1, repeat_s):
        return 0
    if elapsed_s < reminder_at(2, repeat_s):
        return 1
    return 2 + int((elapsed_s - reminder_at(2, repeat_s)) // repeat_s)


def reminder_at(number: int, repeat_s: float) -> float:
    """When reminder `number` (from 1) is due: after 30 minutes, 2 hours, then every `repeat_s`.

    Where `repeat_s` is shorter than one of these first pauses, it is kept instead.
    """
    first_s = min(FIRST_REMINDER_S, repeat_s)
    if number == 1:
        return first_s
    return first_s + min(SECOND_REMINDER_S - FIRST_REMINDER_S, repeat_s) + (number - 2) * repeat_s


def first_reminders_s(call: Call, count: int) -> list[float]:
    """When a channel that is told by `call` has its first reminders after that, from the announcement on."""
    found: list[float] = []
    number = 1
    while call.repeat_s > 0 and len(found) < count:
        if _is_worth_it(number, call.repeat_s, call.after_s):
            found.append(reminder_at(number, call.repeat_s))
        number += 1
    return found


def _is_worth_it(number: int, repeat_s: float, told_s: float) -> bool:
    """True unless something was told so shortly before the reminder that it adds nothing."""
    return told_s <= reminder_at(number, repeat_s) - min(JUST_TOLD_S, repeat_s / 2)


def _is_follow_up(item: Notification) -> bool:
    return item.kind in (NoticeKind.REMINDER, NoticeKind.ESCALATION)


def _announcement(scene: Scene, incident: Incident, items: list[Notification]) -> Notification | None:
    """The first that told of the incident at its present severity, or a louder one."""
    loudness = _LOUDEST_FIRST.index(incident.severity)
    loud = [
        item
        for item in items
        if outbox.announces(scene.state, item)
        and not _is_follow_up(item)
        and _LOUDEST_FIRST.index(item.notice.severity) <= loudness
    ]
    return min(loud, key=lambda item: item.order, default=None)


def _taken_back(scene: Scene, items: list[Notification], reason: str) -> Iterator[Command]:
    """Follow-ups that wait and never left, once somebody works on it."""
    state = scene.state
    for item in items:
        if _is_follow_up(item) and outbox.never_left(state, item):
            yield Drop(epoch=state.lease.epoch, id=item.id, reason=reason, policy_rev=state.policy_rev)


def _steps(
    scene: Scene, incident: Incident, audience: Audience, *, first: Notification, items: list[Notification]
) -> Iterator[Enqueue]:
    """For each channel the latest escalation step that is due."""
    elapsed_s = _elapsed_s(scene, first)
    times = sorted({call.after_s for call in audience.calls})
    due = {call.channel: call for call in audience.calls if 0 < call.after_s <= elapsed_s}
    for channel, call in due.items():
        step = times.index(call.after_s)
        number = f"{incident.number}.{first.created_wall}.{call.after_s:g}"
        number += _again(scene, items, NoticeKind.ESCALATION, channel, step)
        yield from enqueued(scene, incident, NoticeKind.ESCALATION, number, channel, step=step)


def _reminders(
    scene: Scene,
    incident: Incident,
    calls: tuple[Call, ...],
    *,
    first: Notification,
    items: list[Notification],
) -> Iterator[Enqueue]:
    """For each channel that the incident has reached the latest reminder that is due."""
    elapsed_s = _elapsed_s(scene, first)
    reached = {call.channel: call for call in calls if call.after_s <= elapsed_s}
    for channel, call in reached.items():
        step = reminders_due(elapsed_s, call.repeat_s)
        mine = [item for item in items if item.channel == channel and item.order >= first.order]
        if not step or _adds_nothing(scene, mine, step, call=call, first=first):
            continue
        # By its time and not its step, whose meaning changes with `repeat`.
        number = f"{incident.number}.{first.created_wall}.{reminder_at(step, call.repeat_s):g}"
        number += _again(scene, mine, NoticeKind.REMINDER, channel, step)
        yield from enqueued(scene, incident, NoticeKind.REMINDER, number, channel, step=step)


def _elapsed_s(scene: Scene, first: Notification) -> float:
    """How long ago it was announced.

    An announcement that lies ahead was written by a wrong clock, and would put all off until that is reached:
    what counts then is how long this peer has seen the service as it is, by a clock that nobody sets.
    """
    elapsed_s = scene.now.wall - first.created_wall
    if elapsed_s > -AHEAD_S:
        return elapsed_s
    return scene.now.boot - scene.view.standings[first.service].since_boot


def _adds_nothing(
    scene: Scene, mine: list[Notification], step: int, *, call: Call, first: Notification
) -> bool:
    """True when something still waits on its channel, or was told after it was due or just before."""
    told = [item for item in mine if outbox.announces(scene.state, item)]
    if any(outbox.is_to_be_told(scene.state, item) for item in told):
        return True
    settled_walls = (outbox.teller(scene.state, item).settled_wall for item in told)
    told_wall = max((*(item.created_wall for item in told), *settled_walls), default=0.0)
    told_s = max(call.after_s, told_wall - first.created_wall)
    return not _is_worth_it(step, call.repeat_s, told_s)


def _again(scene: Scene, items: list[Notification], kind: NoticeKind, channel: str, step: int) -> str:
    """What makes an id new after the same was withdrawn: by an acknowledgement that is gone, by a silence."""
    withdrawn = [
        item.order
        for item in items
        if (item.kind, item.channel, item.notice.step) == (kind, channel, step)
        and outbox.is_withdrawn(scene.state, item)
    ]
    # The latest, and not how many: of reminders that were withdrawn only the latest is kept.
    return f".{max(withdrawn)}" if withdrawn else ""


def enqueued(
    scene: Scene,
    incident: Incident,
    kind: NoticeKind,
    number: str,
    channel: str,
    *,
    step: int = 0,
    note: str = "",
) -> Iterator[Enqueue]:
    """What puts one message on the channel, unless it is there already; `note` is added to the reason."""
    state = scene.state
    if is_full(scene):
        return
    id_ = outbox.notification_id(state.cluster, incident.service, kind, number, channel)
    if id_ in state.notifications:
        return
    said = notice_of(scene, incident, step)
    if note:
        said = replace(said, reason=f"{said.reason}; {note}")
    yield Enqueue(
        epoch=state.lease.epoch,
        incident=incident.number,
        draft=Draft(id=id_, channel=channel, kind=kind, sender=state.lease.holder, notice=said),
        at_wall=scene.now.wall,
        policy_rev=state.policy_rev,
    )
