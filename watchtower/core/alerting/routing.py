"""Who is told: the audience of an incident, at once and later, and the rule that names it.

A service's own `alert:` wins; else the routes are asked in order, the first that fits answers, and the next
ones too where it says `continue`; else `defaults.alert` or the first channel hears of it. Every answer
carries the rule as its reason, so that people can see why. Whether anybody is told now is telling.py's, when
somebody is told again escalation.py's.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from watchtower.core.alerting import hours, matching
from watchtower.core.alerting.matching import Facts
from watchtower.core.alerting.scene import Scene
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.model import Incident, Level
from watchtower.core.policies import Severity
from watchtower.core.proofs import selfalerts
from watchtower.core.settings import CHANNEL_PREFIX, Route, Service, Settings


class Call(Struct, frozen=True, kw_only=True):
    """One channel that hears of an incident, `after_s` from its announcement on.

    `repeat_s`: how often it is reminded (0: never); `escalation` names the one that it is a step of.
    """

    channel: str
    after_s: float
    repeat_s: float
    escalation: str = ""


class Audience(Struct, frozen=True, kw_only=True):
    """Who hears of an incident, in the order of their turns, and by which rule."""

    calls: tuple[Call, ...]
    reason: str

    @property
    def at_once(self) -> tuple[str, ...]:
        """The channels that hear of it first."""
        return tuple(call.channel for call in self.calls if call.after_s == 0)


class Trial(Struct, frozen=True, kw_only=True):
    """How one route was asked: `misfit` is why it does not answer, "" when it does."""

    number: int
    route: Route
    misfit: str


class _Answer(Struct, frozen=True, kw_only=True):
    """What one rule says."""

    reason: str
    notify: tuple[str, ...]
    repeat_s: float


def of(scene: Scene, incident: Incident) -> Audience:
    """The audience of `incident` now."""
    key = f"audience {incident.service} {incident.level} {incident.severity}"
    known = scene.memo.get(key)
    if isinstance(known, Audience):
        return known
    found = audience(
        incident.service, incident.level, incident.severity, settings=scene.settings, at_wall=scene.now.wall
    )
    scene.memo[key] = found
    return found


def channels(scene: Scene, incident: Incident) -> tuple[str, ...]:
    """Names of the channels that hear of `incident` first; empty when nobody does."""
    return of(scene, incident).at_once


def of_service(service: Service, settings: Settings, at_wall: float) -> Audience:
    """Who would hear of it now if `service` went down."""
    return audience(service.name, Level.DOWN, service.severity, settings=settings, at_wall=at_wall)


def audience(
    subject: str, level: Level, severity: Severity, *, settings: Settings, at_wall: float
) -> Audience:
    """Who hears that `subject` is at `level`, at Unix second `at_wall`."""
    fixed = by_subject(subject, settings)
    if fixed is not None:
        return fixed
    return by_routes(matching.facts(subject, level, severity, settings), settings, at_wall)


def by_subject(subject: str, settings: Settings) -> Audience | None:
    """Who hears of `subject` whatever the routes say; None when the routes are asked."""
    fixed = _fixed(subject, settings)
    return _heard((fixed,), settings) if fixed is not None else None


def by_routes(found: Facts, settings: Settings, at_wall: float) -> Audience:
    """Who hears of what has these facts, by the routes, or where none fits."""
    answers = []
    for number, route in enumerate(settings.routes, 1):
        if not is_fit(route, found, at_wall):
            continue
        answers.append(_named(name(number, route), route.notify, _repeat_s(route, settings)))
        if not route.is_continued:
            break
    return _heard(tuple(answers) or (_default(settings),), settings)


def is_fit(route: Route, found: Facts, at_wall: float) -> bool:
    """True when the route answers for what has these facts; asked for every route in every pass."""
    is_meant = matching.fits(route.match, found)
    return is_meant and (not route.active or hours.is_active(route.active, at_wall))


def _fixed(subject: str, settings: Settings) -> _Answer | None:
    """Who hears of it whatever the routes say: the telling's own troubles, a drill, a list of its own."""
    repeat_s = settings.alerting.repeat_s
    if subject.startswith(CHANNEL_PREFIX):
        others = selfalerts.listeners(subject.removeprefix(CHANNEL_PREFIX), settings)
        reason = "the other channels" if others else "there is no other channel"
        return _Answer(reason=reason, notify=others, repeat_s=repeat_s)
    if subject.startswith(DRILL_PREFIX):
        drilled = (subject.removeprefix(DRILL_PREFIX),)
        return _Answer(reason="the channel of the drill", notify=drilled, repeat_s=0.0)
    service = settings.services.get(subject)
    if service is None or service.alert is None:
        return None
    return _named("its own `alert:`", service.alert, repeat_s)


def trials(found: Facts, settings: Settings, at_wall: float) -> Iterator[Trial]:
    """Every route in order with why it does not answer, until none is asked any more."""
    for number, route in enumerate(settings.routes, 1):
        misfit = "" if is_fit(route, found, at_wall) else _misfit(route, found)
        yield Trial(number=number, route=route, misfit=misfit)
        if not misfit and not route.is_continued:
            return


def name(number: int, route: Route) -> str:
    """A route as people find it in their file: `route 2 (team=payments)`."""
    return f"route {number} ({matching.shown(route.match)})"


def is_off_duty(scene: Scene, channel: str) -> bool:
    """True when routes name the channel, and it is now out of the hours of each of them."""
    key = f"off duty {channel}"
    known = scene.memo.get(key)
    if not isinstance(known, bool):
        naming = [
            route for route in scene.settings.routes if channel in _reached(route.notify, scene.settings)
        ]
        is_on = any(not route.active or hours.is_active(route.active, scene.now.wall) for route in naming)
        known = scene.memo[key] = bool(naming) and not is_on
    return known


def _misfit(route: Route, found: Facts) -> str:
    """Why a route does not fit, in words."""
    wrong = matching.misfit(route.match, found)
    if wrong is None:
        return "out of its hours: " + ", ".join(map(hours.shown, route.active))
    value = found.get(wrong.label)
    is_so = f"{wrong.label} is {value}" if value is not None else f"it has no {wrong.label}"
    return f"{matching.shown((wrong,))} does not fit: {is_so}"


def _repeat_s(route: Route, settings: Settings) -> float:
    return settings.alerting.repeat_s if route.repeat_s is None else route.repeat_s


def _named(rule: str, notify: tuple[str, ...], repeat_s: float) -> _Answer:
    """What a rule of the file says: a list that may be empty on purpose."""
    return _Answer(reason=rule if notify else f"{rule} names nobody", notify=notify, repeat_s=repeat_s)


def _default(settings: Settings) -> _Answer:
    repeat_s = settings.alerting.repeat_s
    if settings.default_alert is not None:
        reason = "no route fits, so `defaults.alert`" if settings.routes else "`defaults.alert`"
        return _named(reason, settings.default_alert, repeat_s)
    first = tuple(settings.channels)[:1]
    reason = "no route fits, so the first channel" if settings.routes else "the first channel"
    return _Answer(reason=reason if first else "no channel is configured", notify=first, repeat_s=repeat_s)


def _heard(answers: tuple[_Answer, ...], settings: Settings) -> Audience:
    """The answers as one audience; who is named twice for the same time is told once, by the first."""
    calls: dict[tuple[float, str], Call] = {}
    for answer in answers:
        for call in _calls(answer, settings):
            calls.setdefault((call.after_s, call.channel), call)
    reason = " and ".join(answer.reason for answer in answers)
    return Audience(calls=tuple(sorted(calls.values(), key=lambda call: call.after_s)), reason=reason)


def _calls(answer: _Answer, settings: Settings) -> Iterator[Call]:
    for named in answer.notify:
        steps = settings.escalations.get(named)
        if steps is None:
            yield Call(channel=named, after_s=0.0, repeat_s=answer.repeat_s)
            continue
        for step in steps:
            for channel in step.notify:
                yield Call(channel=channel, after_s=step.after_s, repeat_s=answer.repeat_s, escalation=named)


def _reached(names: tuple[str, ...], settings: Settings) -> set[str]:
    """The channels behind names of channels and escalations."""
    reached = {named for named in names if named not in settings.escalations}
    steps = (step for named in names for step in settings.escalations.get(named, ()))
    return reached.union(*(step.notify for step in steps))
