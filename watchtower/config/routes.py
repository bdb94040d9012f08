"""Routes and escalations: the checks between parts of the file, and the way to Settings.

The checks work on the raw content, so that a mistake elsewhere does not hide one here. What routes mean is
core/alerting/routing.py's, what fits core/alerting/matching.py's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from watchtower.config.document import Path
from watchtower.config.faults import Faults
from watchtower.config.problems import Wrong
from watchtower.config.readers import read_name
from watchtower.config.schema import FileModel
from watchtower.config.units import duration_text, parse_duration
from watchtower.core.alerting import matching
from watchtower.core.alerting.matching import NoMatcher
from watchtower.core.nearest import nearest
from watchtower.core.settings import PEER_PREFIX, EscalationStep, Hours, Route

Known = Mapping[str, set[str]]
_OWN_KEYS: Final = {"service": "", "severity": "severity:", "level": "", "group": "group:"}


def routes_of(file: FileModel) -> tuple[Route, ...]:
    """The routes of a file that is right, in order; hours without a zone are those of `alerting.timezone`."""
    zone = file.alerting.timezone
    return tuple(
        Route(
            match=matching.read_match(route.match),
            notify=route.notify,
            repeat_s=route.repeat,
            active=tuple(_zoned(one, zone) for one in route.active),
            is_continued=route.is_continued,
        )
        for route in file.routes
    )


def _zoned(hours: Hours, zone: str) -> Hours:
    return hours if hours.timezone else replace(hours, timezone=zone)


def escalations_of(file: FileModel) -> dict[str, tuple[EscalationStep, ...]]:
    """The escalations of a file that is right, by name."""
    return {
        name: tuple(EscalationStep(after_s=step.after, notify=step.notify) for step in steps)
        for name, steps in file.escalation.items()
    }


def known_to(content: Mapping[str, Any]) -> dict[str, set[str]]:
    """What `match:` may speak of: every label in the file, with the values it has somewhere."""
    known = matching.known_of((), _names(content, "notify"))
    services = _mapping(content.get("services"))
    known["service"].update(services)
    for one in map(_mapping, services.values()):
        labels = {**_mapping(one.get("labels")), "group": one.get("group")}
        for label, value in labels.items():
            if isinstance(value, str) and value:
                known.setdefault(label, set()).add(value)
    peers = _mapping(_mapping(content.get("cluster")).get("peers"))
    known["service"].update(PEER_PREFIX + name for name in peers)
    for one in map(_mapping, peers.values()):
        for label in ("zone", "provider"):
            if isinstance(one.get(label), str):
                known.setdefault(label, set()).add(one[label])
    return known


def check_match(match: object, path: Path, known: Known, faults: Faults) -> None:
    """Adds a fault for every key of a `match:` that could never fit."""
    for label, values in _mapping(match).items():
        words = [values] if isinstance(values, str) else values
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words) or not words:
            continue  # its shape is wrong, which the schema says
        try:
            matching.read(label, words, known)
        except NoMatcher as wrong:
            faults.at((*path, label), Wrong(wrong.what, wrong.fix), at_key=label not in known)


def check_routes(content: Mapping[str, Any], faults: Faults) -> None:
    """Adds a fault for whatever of routes, escalations and labels does not go together."""
    channels, escalations = _names(content, "notify"), _names(content, "escalation")
    _check_escalations(content, channels, faults)
    _check_labels(content, faults)
    known = known_to(content)
    written = content.get("routes")
    routes = written if isinstance(written, list) else []
    for index, route in enumerate(routes):
        path: Path = ("routes", index)
        check_match(_mapping(route).get("match"), (*path, "match"), known, faults)
        _check_told(_mapping(route).get("notify"), (*path, "notify"), channels, faults, escalations)
    _check_reached(routes, faults)
    for path, told in _alerts(content):
        _check_told(told, path, channels, faults, escalations)


def _check_escalations(content: Mapping[str, Any], channels: list[str], faults: Faults) -> None:
    for name, steps in _mapping(content.get("escalation")).items():
        path: Path = ("escalation", name)
        try:
            read_name(name)
        except Wrong as wrong:
            faults.at(path, wrong, at_key=True)
        if name in channels:
            what = "a channel has this name already, and whoever names it could mean either"
            faults.at(path, Wrong(what, "give the escalation a name of its own"), at_key=True)
        before_s = -1.0
        for index, step in enumerate(steps if isinstance(steps, list) else ()):
            _check_told(_mapping(step).get("notify"), (*path, index, "notify"), channels, faults)
            before_s = _check_after(_mapping(step), (*path, index), before_s, faults)


def _check_after(step: Mapping[str, Any], path: Path, before_s: float, faults: Faults) -> float:
    """Steps come one after the other, and the first tells somebody at once."""
    if "after" not in step:
        if before_s >= 0 and set(step) == {"notify"}:
            what = "this step has no time, so it would be told at once like the first"
            faults.at(path, Wrong(what, "add `after: 10m`"))
        return max(before_s, 0.0)
    try:
        after_s = parse_duration(step["after"]) if isinstance(step["after"], str) else before_s + 1
    except Wrong:
        return before_s
    if before_s < 0 and after_s > 0:
        what = "nobody would be told before this step"
        faults.at((*path, "after"), Wrong(what, "let the first step be `after: 0m`"))
    elif after_s <= before_s:
        what = f"this step is not later than the one before it, at {duration_text(before_s)}"
        faults.at(
            (*path, "after"), Wrong(what, "times count from the announcement, not from the step before")
        )
    return after_s


def _check_told(
    told: object, path: Path, channels: list[str], faults: Faults, escalations: Sequence[str] = ()
) -> None:
    """Whoever is to be told is a channel or one of the escalations."""
    names = list(dict.fromkeys([*channels, *escalations]))
    words = list(enumerate(told)) if isinstance(told, list) else [(None, told)]
    for index, name in words:
        if isinstance(name, str) and name not in names:
            here = path if index is None else (*path, index)
            what = "there is no such channel under `notify:`"
            what += ", nor an escalation" if escalations else ""
            faults.at(here, Wrong(what, nearest(name, names) if names else "add one under `notify:`"))


def _alerts(content: Mapping[str, Any]) -> Iterator[tuple[Path, object]]:
    if "alert" in _mapping(content.get("defaults")):
        yield ("defaults", "alert"), content["defaults"]["alert"]
    for name, service in _mapping(content.get("services")).items():
        if "alert" in _mapping(service):
            yield ("services", name, "alert"), service["alert"]


def _check_labels(content: Mapping[str, Any], faults: Faults) -> None:
    """What everybody has is no label: a matcher could mean either."""
    for name, service in _mapping(content.get("services")).items():
        for label in _mapping(_mapping(service).get("labels")):
            if label in matching.BUILT_IN:
                own = _OWN_KEYS[label]
                fix = f"write `{own}` beside `labels:` instead" if own else "choose another name"
                what = f"`{label}` in a matcher is the {label} itself, so no label may be called that"
                faults.at(("services", name, "labels", label), Wrong(what, fix), at_key=True)


def _check_reached(routes: list[Any], faults: Faults) -> None:
    """Behind a route that always answers and does not go on, no other is ever asked."""
    for index, route in enumerate(map(_mapping, routes[:-1])):
        is_final = route.get("continue", "false") != "true" and not route.get("active")
        if route and is_final and not route.get("match"):
            what = "the route before this one fits everything, so this one is never asked"
            faults.at(
                ("routes", index + 1), Wrong(what, "put it last, or give it a `match:` or `continue: true`")
            )
            return


def _names(content: Mapping[str, Any], section: str) -> list[str]:
    return list(_mapping(content.get(section)))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
