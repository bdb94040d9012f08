"""Quiet: is an incident silenced, or under maintenance, by whom and until when?

Silences and maintenance that people began are rows of the ledger; planned maintenance stands in the
configuration. Of several that hold the one that ends last is named. A sender asks the same right before it
sends. Nothing here says what follows: that is telling.py's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from watchtower.core import schedules
from watchtower.core.alerting import matching, windows
from watchtower.core.alerting.indexing import Index
from watchtower.core.alerting.scene import Scene, severity
from watchtower.core.applying import digests
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.commands import Command
from watchtower.core.model import Doubt, Incident, Level, NoticeKind, Notification, State
from watchtower.core.policies import SILENCE_KEPT_S, Matcher, Silence, SilenceKind, Why, Withheld
from watchtower.core.requests import Sweep
from watchtower.core.settings import Settings

DAY_S: Final = 86_400.0
SWEPT_MAX: Final = 200
"""Silences forgotten by one command."""
_LEVELS: Final = (Level.DOWN, Level.DEGRADED, Level.PARTIAL)


class _Quiet(Struct, frozen=True):
    """A silence, or a window of maintenance, that holds now."""

    matchers: tuple[Matcher, ...]
    until_wall: float
    text: str


class _Hush(Struct, frozen=True):
    """All that holds at one moment of one kind, and what it was worked out from."""

    silences: dict[str, Silence]
    settings: Settings
    kind: SilenceKind
    now_wall: float
    on: tuple[_Quiet, ...]
    index: Index


_latest: list[_Hush] = []
"""Thousands of incidents, or of members of a digest, ask at one moment."""
_LATEST_KEPT: Final = 4


def in_maintenance(scene: Scene, incident: Incident) -> Withheld | None:
    """Why nobody is told: planned maintenance, or such as somebody began."""
    return maintained(scene.state, scene.settings, incident, scene.now.wall)


def silenced(scene: Scene, incident: Incident) -> Withheld | None:
    """Why nobody is told: a silence."""
    return hushed(scene.state, scene.settings, incident, scene.now.wall)


def quieted(state: State, settings: Settings, incident: Incident, now_wall: float) -> Withheld | None:
    """Maintenance or a silence that holds now, for whoever is about to send."""
    return maintained(state, settings, incident, now_wall) or hushed(state, settings, incident, now_wall)


def unwanted(state: State, settings: Settings, item: Notification, now_wall: float) -> str:
    """Why something that has not left is not to be sent any more; "" when it is (protocol.md, sender rule 5).

    The end is told whatever people said, and so is what is of no single incident.
    """
    if item.kind is NoticeKind.DIGEST:
        return _unwanted_digest(state, settings, item, now_wall)
    if item.kind is NoticeKind.RESOLVED or not item.kind.is_of_incident:
        return ""
    incident = state.incidents.get(item.incident)
    if incident is None or not incident.is_open:
        return "the incident ended before it was sent"
    if incident.ack is not None and item.kind in (NoticeKind.REMINDER, NoticeKind.ESCALATION):
        return f"acknowledged by {incident.ack.by}"
    why = quieted(state, settings, incident, now_wall)
    return why.text if why else ""


def _unwanted_digest(state: State, settings: Settings, digest: Notification, now_wall: float) -> str:
    """A digest waits until what is unwanted has been taken out of it.

    One that may have arrived can not be changed any more: it goes on while anybody wants anything in it.
    """
    members = digests.worth_telling(state, digest)
    whys = [unwanted(state, settings, member, now_wall) or _withheld(state, member) for member in members]
    if all(whys):
        return "all that it tells is over or withheld"
    found = "" if digest.doubt is not Doubt.NO else next((why for why in whys if why), "")
    return found and f"a part of it is not to be told: {found}"


def _withheld(state: State, member: Notification) -> str:
    incident = state.incidents.get(member.incident)
    why = incident.withheld if incident else None
    return "" if why is None or is_told_despite(member.kind, why) else why.text


def is_told_despite(kind: NoticeKind, why: Withheld) -> bool:
    """That something has ended is told whatever withholds it, and of what flaps, that it does."""
    return kind is NoticeKind.RESOLVED or (kind is NoticeKind.FLAPPING and why.why is Why.FLAPPING)


def maintained(state: State, settings: Settings, incident: Incident, now_wall: float) -> Withheld | None:
    """Maintenance of what the incident is about."""
    hush = _hush(state, settings, SilenceKind.MAINTENANCE, now_wall)
    return _last_to_end(Why.MAINTENANCE, hush, incident, settings)


def hushed(state: State, settings: Settings, incident: Incident, now_wall: float) -> Withheld | None:
    """A silence of what the incident is about."""
    hush = _hush(state, settings, SilenceKind.SILENCE, now_wall)
    return _last_to_end(Why.SILENCED, hush, incident, settings)


def _last_to_end(why: Why, hush: _Hush, incident: Incident, settings: Settings) -> Withheld | None:
    """A fire drill is told whatever is quiet: it says what it is, and withheld it would count as missed."""
    if not hush.on or incident.service.startswith(DRILL_PREFIX):
        return None
    places = hush.index.fitting(_facts(incident, settings))
    fitting = [(hush.on[place].until_wall, hush.on[place].text) for place in places]
    until_wall, text = max(fitting, default=(0.0, ""))
    return Withheld(why=why, text=text, until_wall=until_wall) if text else None


def _hush(state: State, settings: Settings, kind: SilenceKind, now_wall: float) -> _Hush:
    """What holds now, worked out once for all who ask about the same moment."""
    for known in _latest:
        is_same = known.silences is state.silences and known.settings is settings
        if is_same and known.kind is kind and known.now_wall == now_wall:
            return known
    on = _on(state, settings, kind, now_wall)
    hush = _Hush(state.silences, settings, kind, now_wall, on, Index(quiet.matchers for quiet in on))
    _latest.insert(0, hush)
    del _latest[_LATEST_KEPT:]
    return hush


def _on(state: State, settings: Settings, kind: SilenceKind, now_wall: float) -> tuple[_Quiet, ...]:
    """What holds now: rows of the ledger, and the windows in the configuration."""
    rows = (
        _Quiet(silence.matchers, silence.ends_wall, _said(silence, settings.alerting.timezone))
        for silence in state.silences.values()
        if silence.kind is kind and silence.starts_wall <= now_wall < silence.ends_wall
    )
    return (*rows, *(_planned(settings, now_wall) if kind is SilenceKind.MAINTENANCE else ()))


def _planned(settings: Settings, now_wall: float) -> Iterator[_Quiet]:
    for window in settings.maintenance:
        until_wall = windows.open_until(window, now_wall)
        if until_wall:
            length_s = window.for_s or window.end_wall - window.start_wall
            until = until_text(until_wall, length_s, window.timezone)
            text = f"in maintenance until {until}{_because(window.reason)}"
            yield _Quiet(window.match, until_wall, text)


def _facts(incident: Incident, settings: Settings) -> dict[str, str]:
    return matching.facts(incident.service, incident.level, incident.severity, settings)


def _said(silence: Silence, timezone: str) -> str:
    until = until_text(silence.ends_wall, silence.ends_wall - silence.starts_wall, timezone)
    what = "silenced" if silence.kind is SilenceKind.SILENCE else "in maintenance"
    return f"{what} by {silence.author} until {until}{_because(silence.reason)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def until_text(until_wall: float, length_s: float, timezone: str) -> str:
    """`14:00 UTC (15:00 Europe/Berlin)`, with the date where more than a day lies before it.

    It hangs on nothing but the end itself, so that what is recorded once stays as it is.
    """
    shape = "%H:%M" if length_s <= DAY_S else "%Y-%m-%d %H:%M"
    text = f"{datetime.fromtimestamp(until_wall, UTC):{shape}} UTC"
    if timezone == "UTC":
        return text
    return f"{text} ({datetime.fromtimestamp(until_wall, schedules.zone(timezone)):{shape}} {timezone})"


def sweeping(scene: Scene) -> Iterator[Command]:
    """Silences that have been over for a day: nobody needs to see them any more."""
    over_wall = scene.now.wall - SILENCE_KEPT_S
    gone = sorted(key for key, one in scene.state.silences.items() if one.ends_wall < over_wall)
    if gone:
        yield Sweep(epoch=scene.state.lease.epoch, silences=tuple(gone[:SWEPT_MAX]))


class Preview(Struct, frozen=True, kw_only=True):
    """What matchers would hit: names of services and other subjects, and numbers of open incidents."""

    subjects: tuple[str, ...]
    incidents: tuple[int, ...]


def preview(state: State, settings: Settings, matchers: Iterable[Matcher]) -> Preview:
    """What a silence with these matchers would hit: now, or should it come to an incident."""
    wanted = tuple(matchers)
    known = state.incidents.values()
    opened = [one for one in known if one.is_open and not one.service.startswith(DRILL_PREFIX)]
    subjects = sorted({*matching.known(settings)["service"], *(one.service for one in opened)})
    return Preview(
        subjects=tuple(subject for subject in subjects if _could_hit(wanted, subject, settings)),
        incidents=tuple(sorted(one.number for one in opened if matching.fits(wanted, _facts(one, settings)))),
    )


def _could_hit(matchers: tuple[Matcher, ...], subject: str, settings: Settings) -> bool:
    """True when some incident of `subject`, at whatever level, would be hit."""
    return not subject.startswith(DRILL_PREFIX) and any(
        matching.fits(matchers, matching.facts(subject, level, severity(subject, level, settings), settings))
        for level in _LEVELS
    )
