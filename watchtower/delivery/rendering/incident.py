"""The words for each kind of notification about one incident: it fires, worsens, lasts, flaps, ends.

The subject line says everything a lock screen must: the state, the name, the cause, who agrees, where.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.alerting import dependencies, flapping, untold
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.model import Incident, Level, NoticeKind, Notification, State
from watchtower.core.settings import CHANNEL_PREFIX, CLUSTER_SUBJECT, PEER_PREFIX, Settings
from watchtower.delivery.message import LINE_MAX, Message, Tone, clean, moment, span
from watchtower.delivery.rendering import evidence, surroundings
from watchtower.delivery.rendering.names import is_service, name_of, sentence, subject_line

_TONE: Final = {
    Level.DOWN: Tone.FAILURE,
    Level.DEGRADED: Tone.WARNING,
    Level.PARTIAL: Tone.WARNING,
    Level.UNKNOWN: Tone.WARNING,
    Level.UP: Tone.SUCCESS,
}
_PHRASE: Final = {
    Level.DOWN: "is down",
    Level.DEGRADED: "is degraded",
    Level.PARTIAL: "fails from some places",
    Level.UNKNOWN: "cannot be judged",
    Level.UP: "is up",
}
_MEANS: Final = {
    PEER_PREFIX: "watching and alerting go on while {majority} of the {peers} peers are up",
    CHANNEL_PREFIX: "alerts for it go to its fallback, or wait until it works",
}
_MEANS_UNPROVEN: Final = "alerts still go to it; once you have looked, prove it: watchtower drill"


class Telling(Struct, frozen=True, kw_only=True):
    """What the words are made of: one notification with what is known around it."""

    item: Notification
    incident: Incident | None
    state: State
    settings: Settings

    @property
    def name(self) -> str:
        """What people call the subject."""
        return name_of(self.item.service, self.settings)

    @property
    def cause(self) -> str:
        """The cause in a few words: what most peers saw, else why the incident is one."""
        notice = self.item.notice
        seen, subject = evidence.cause(notice.evidence), self.item.service
        if seen or is_service(subject) or subject.startswith(PEER_PREFIX):
            return seen
        row = self.state.channels.get(subject.removeprefix(CHANNEL_PREFIX))
        return clean(row.trouble if row and row.trouble else notice.reason, evidence.CAUSE_MAX)

    @property
    def phrase(self) -> str:
        """`is down`."""
        if self.item.service == CLUSTER_SUBJECT:
            return "is in trouble"
        if self.item.service.startswith(CHANNEL_PREFIX):
            return "is not proven" if self.item.notice.level is Level.DEGRADED else "does not work"
        return _PHRASE[self.item.notice.level]

    @property
    def lasted(self) -> str:
        """From the first sign of trouble until this was written."""
        notice = self.item.notice
        began_wall = self.incident.since_wall if self.incident else notice.since_wall
        return span(notice.at_wall - began_wall)


def told(item: Notification, incident: Incident | None, state: State, settings: Settings) -> Message:
    """State, tone, subject, summary, facts, groups and sights of one notification about an incident."""
    telling = Telling(item=item, incident=incident, state=state, settings=settings)
    message = _KINDS[item.kind](telling)
    if item.service.startswith(DRILL_PREFIX):
        return _as_drill(telling, message)
    return message


def _firing(it: Telling) -> Message:
    word = it.item.notice.level.value.upper()
    now = _because(it, f"{sentence(it.name, it.item.service)} {it.phrase}")
    return _bad(it, word, f"[{word}] {it.name}", now)


def _worsened(it: Telling) -> Message:
    word = it.item.notice.level.value.upper()
    now = _because(it, f"{sentence(it.name, it.item.service)} {_how(it, 'now')}")
    return _bad(it, "WORSE", f"[WORSE] {it.name} now {word}", now)


def _reminder(it: Telling) -> Message:
    word = it.item.notice.level.value.upper()
    now = _because(it, f"{sentence(it.name, it.item.service)} {_how(it, 'still')}, for {it.lasted} now")
    return _bad(it, "STILL", f"[STILL {word}] {it.name} for {it.lasted}", f"{now} {_nobody(it)}")


def _escalation(it: Telling) -> Message:
    word = it.item.notice.level.value.upper()
    now = _because(it, f"{sentence(it.name, it.item.service)} {it.phrase}, for {it.lasted} now")
    return _bad(it, word, f"[{word}] {it.name} for {it.lasted}, nobody answered", f"{now} {_nobody(it)}")


def _flapping(it: Telling) -> Message:
    name = sentence(it.name, it.item.service)
    now = f"{name} goes up and down again and again{_turns(it)}. You hear of it again once it has settled."
    message = _bad(it, "FLAPPING", f"[FLAPPING] {it.name}", now)
    return replace(message, tone=Tone.WARNING)


def _turns(it: Telling) -> str:
    """`, 12 changes in 10 min`."""
    subject, at_wall = it.item.service, it.item.notice.at_wall
    window_s = flapping.window_s(subject, it.settings)
    count = sum(at_wall - window_s < turn <= at_wall for turn in it.state.service(subject).turns)
    return f", {count} changes in {span(window_s)}" if count > 1 else ""


def _settled(it: Telling) -> Message:
    level = it.item.notice.level
    now = f"{sentence(it.name, it.item.service)} has stopped flapping and {it.phrase}."
    return _bad(
        it, "SETTLED", f"[SETTLED] {it.name} {level.value.upper()} after {it.lasted} of flapping", now
    )


def _resolved(it: Telling) -> Message:
    notice, incident, zone = it.item.notice, it.incident, it.settings.alerting.timezone
    began_wall = incident.since_wall if incident else notice.since_wall
    state, said = _end(it)
    facts = (
        ("Trouble began", moment(began_wall, zone)),
        ("Lasted", it.lasted),
        ("Was", clean(incident.reason, LINE_MAX) if incident else ""),
        ("Last error", evidence.cause(incident.evidence) if incident else ""),
        ("Why", clean(notice.reason, LINE_MAX)),
        ("Still failing", _still_failing(it)),
    )
    return Message(
        state=state,
        tone=Tone.SUCCESS,
        subject=subject_line([f"[{state}] {it.name} after {it.lasted}"], it.settings),
        summary=clean(f"{sentence(it.name, it.item.service)} {said} after {it.lasted}.", LINE_MAX),
        facts=tuple(fact for fact in facts if fact[1]),
        sights=evidence.sights(notice.evidence, it.settings),
        since_wall=began_wall,
    )


def _end(it: Telling) -> tuple[str, str]:
    """A service that left the configuration has not recovered; nobody looks at it any more."""
    subject, settings = it.item.service, it.settings
    channel = subject.removeprefix(CHANNEL_PREFIX)
    is_channel = subject.startswith(CHANNEL_PREFIX) and channel in settings.channels
    if is_channel:
        return "RECOVERED", "works again"
    if subject in settings.services or subject == CLUSTER_SUBJECT or subject.startswith(DRILL_PREFIX):
        return "RECOVERED", "is up again"
    return "CLOSED", "is no longer watched"


def _still_failing(it: Telling) -> str:
    """Dependents that did not come back with what they need: the next thing to look at."""
    found = dependencies.impact(it.state, it.settings, it.item.service)
    names = [row.title for row in found.rows if row.is_failing][: surroundings.NAMED_MAX]
    rest = f" and {found.failing - len(names)} more" if found.failing > len(names) else ""
    return clean(", ".join(names) + rest, LINE_MAX)


_KINDS: Final[dict[NoticeKind, Callable[[Telling], Message]]] = {
    NoticeKind.FIRING: _firing,
    NoticeKind.WORSENED: _worsened,
    NoticeKind.RESOLVED: _resolved,
    NoticeKind.REMINDER: _reminder,
    NoticeKind.ESCALATION: _escalation,
    NoticeKind.FLAPPING: _flapping,
    NoticeKind.SETTLED: _settled,
}


# ---- the parts


def _bad(it: Telling, state: str, headline: str, summary: str) -> Message:
    """What every message but the end has: the headline with cause and score, and the facts below it."""
    notice, subject = it.item.notice, it.item.service
    around, groups = surroundings.impact(subject, it.item.incident, it.state, it.settings)
    cause = it.cause
    parts = [headline, f"({cause})" if cause else "", evidence.score(notice.evidence)]
    facts = (
        ("Since", _since(it)),
        ("Votes", evidence.votes(notice.evidence)),
        ("Why", clean(notice.reason, LINE_MAX)),
        ("Cause", surroundings.root_cause(subject, notice.level, it.state, it.settings)),
        *around,
        ("Not told on it", _not_told(it)),
        ("Before", surroundings.before(it.item.kind, notice, it.incident, it.state, it.settings)),
        ("Acknowledged", _acknowledged(it)),
        ("Means", _means(it)),
        ("Severity", notice.severity.value),
    )
    return Message(
        state=state,
        tone=_TONE[notice.level],
        subject=subject_line(parts, it.settings),
        summary=clean(summary, LINE_MAX),
        facts=tuple(fact for fact in facts if fact[1]),
        groups=groups,
        sights=evidence.sights(notice.evidence, it.settings),
        since_wall=notice.since_wall,
    )


def _how(it: Telling, word: str) -> str:
    """`is still down`, `still fails from some places`."""
    verb, _, rest = it.phrase.partition(" ")
    return f"{verb} {word} {rest}" if verb in ("is", "does") else f"{word} {it.phrase}"


def _because(it: Telling, said: str) -> str:
    return f"{said}: {it.cause}." if it.cause else f"{said}."


def _nobody(it: Telling) -> str:
    return "Nobody has acknowledged it." if it.incident is None or it.incident.ack is None else ""


def _since(it: Telling) -> str:
    notice = it.item.notice
    ago = span(notice.at_wall - notice.since_wall)
    return f"{moment(notice.since_wall, it.settings.alerting.timezone)} ({ago} before this alert)"


def _acknowledged(it: Telling) -> str:
    ack = it.incident.ack if it.incident else None
    if ack is None:
        return ""
    note = f": {ack.note}" if ack.note else ""
    return clean(f"by {ack.by}, {moment(ack.at_wall, it.settings.alerting.timezone)}{note}", LINE_MAX)


def _not_told(it: Telling) -> str:
    """Which alerts a channel in trouble owes: how many, and the first of them."""
    channel = it.item.service.removeprefix(CHANNEL_PREFIX)
    if channel == it.item.service:
        return ""
    owed = [item for item in untold.untold(it.state) if item.channel == channel]
    if not owed:
        return ""
    first = owed[0]
    name = f"#{first.incident} {name_of(first.service, it.settings)} {first.notice.level.value.upper()}"
    said = f"1 alert: {name}" if len(owed) == 1 else f"{len(owed)} alerts, the first: {name}"
    return clean(said, LINE_MAX)


def _means(it: Telling) -> str:
    """What the loss of a peer or a channel means for the watching itself."""
    settings = it.settings
    if it.item.service.startswith(CHANNEL_PREFIX) and it.item.notice.level is Level.DEGRADED:
        return _MEANS_UNPROVEN
    text = next((text for prefix, text in _MEANS.items() if it.item.service.startswith(prefix)), "")
    return text.format(majority=settings.majority, peers=len(settings.cluster.peers))


def _as_drill(it: Telling, message: Message) -> Message:
    """A drill is an ordinary message that nobody can take for a real one."""
    channel, drill = it.item.service.removeprefix(DRILL_PREFIX), it.state.drill
    reason = clean(it.item.notice.reason, 150)
    tone, head, said = Tone.INFO, "please acknowledge", "This is only a fire drill"
    if it.item.kind is NoticeKind.RESOLVED:
        has_arrived = drill.channel == channel and drill.arrived_wall > 0
        tone, head, said = Tone.SUCCESS if has_arrived else Tone.WARNING, reason, "The fire drill is over"
    return replace(
        message,
        state="DRILL",
        tone=tone,
        subject=subject_line([f"[DRILL] Fire drill on {clean(channel, 60)}: {head}"], it.settings),
        summary=clean(f"{said}, nothing is broken. {reason[:1].upper()}{reason[1:]}.", LINE_MAX),
        facts=tuple(fact for fact in message.facts if fact[0] in ("Since", "Lasted")),
        groups=(),
    )
