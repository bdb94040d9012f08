"""Turns a notification into a Message: what, since when, who saw it, why we believe it, where to look.

`render` is a function of the notification, the applied state and the settings alone, so every
attempt on every peer says the same except for its sender. It shapes for no channel and sends nothing;
the words of each kind are in rendering/.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from watchtower.core.applying import outbox, standins
from watchtower.core.model import Doubt, NoticeKind, Notification, Outcome, State
from watchtower.core.policies import Severity
from watchtower.core.settings import Settings
from watchtower.delivery.message import LINE_MAX, Link, Message, Tone, clean
from watchtower.delivery.rendering import digest, incident, trials
from watchtower.delivery.rendering.links import links, overview
from watchtower.delivery.rendering.names import NAME_MAX, name_of
from watchtower.delivery.threads import opened

STOPPED_NOTE: Final = "This may be a repeat: the previous sender stopped during delivery."
LOST_NOTE: Final = "This may be a repeat: the answer to an earlier attempt was lost."
UNHEARD_NOTE: Final = "The alert itself may not have reached you."


def render(
    notification: Notification, state: State, settings: Settings, *, may_repeat: bool = True
) -> Message:
    """The message of one attempt at `notification`. Total: nothing in the three can make it raise.

    `may_repeat` False: the channel has been searched, so an earlier doubt is settled.
    """
    is_repeat = may_repeat and notification.doubt is not Doubt.NO
    message, notice = _told(notification, state, settings), notification.notice
    is_of_incident = notification.kind.is_of_incident
    return replace(
        message,
        notes=_notes(notification, state, is_repeat=is_repeat),
        links=_links(notification, message.tone, settings),
        footer=_footer(notification, settings),
        delivery_id=notification.id,
        attempt=notification.attempt,
        is_repeat=is_repeat,
        cluster=settings.cluster.name,
        peer=settings.me,
        incident=notification.incident,
        service=clean(notification.service, LINE_MAX) if is_of_incident else "",
        title=name_of(notification.service, settings) if is_of_incident else "",
        kind=notification.kind.value,
        level=notice.level.value,
        severity=notice.severity.value,
        reason=clean(notice.reason, LINE_MAX),
        at_wall=notice.at_wall,
        timezone=settings.alerting.timezone,
        opened=opened(notification, state),
        is_broadcast=notice.severity is Severity.CRITICAL,
    )


def _told(item: Notification, state: State, settings: Settings) -> Message:
    if item.kind is NoticeKind.DIGEST:
        return digest.told(item, state, settings)
    if item.kind is NoticeKind.TEST:
        return trials.test(item, settings)
    if item.kind is NoticeKind.CEILING:
        return trials.ceiling(item, settings)
    return incident.told(item, state.incidents.get(item.incident), state, settings)


def _links(item: Notification, tone: Tone, settings: Settings) -> tuple[Link, ...]:
    if item.kind is NoticeKind.TEST:
        return ()
    if not item.kind.is_of_incident:
        return overview(settings)
    may_act = tone is not Tone.SUCCESS and item.kind is not NoticeKind.RESOLVED
    return links(item.service, item.incident, settings, may_act=may_act)


def _notes(notification: Notification, state: State, *, is_repeat: bool) -> tuple[str, ...]:
    notes = []
    if is_repeat:
        lost = any(attempt.outcome is Outcome.AMBIGUOUS for attempt in notification.attempts)
        notes.append(LOST_NOTE if lost else STOPPED_NOTE)
    if notification.kind is NoticeKind.RESOLVED and _announcement_is_doubtful(notification, state):
        notes.append(UNHEARD_NOTE)
    if unheard := _unheard_members(notification, state):
        names = f"{', '.join(unheard[:5])}{f' and {len(unheard) - 5} more' if len(unheard) > 5 else ''}"
        notes.append(clean(f"{UNHEARD_NOTE.removesuffix('.')}: {names}.", LINE_MAX))
    if notification.notice.instead_of:
        channel = clean(notification.notice.instead_of, NAME_MAX)
        because = clean(notification.notice.instead_because, LINE_MAX - 25)
        notes.append(f"Sent here because {because}." if because else f"Sent here instead of {channel}.")
    return (*notes, *_meanwhile(notification, state))


def _meanwhile(item: Notification, state: State) -> Iterator[str]:
    """Who has been told by another channel already, while this one took nothing."""
    if item.kind is not NoticeKind.DIGEST:
        for name in standins.told_elsewhere(state, [item]):
            yield f"Sent by {clean(name, NAME_MAX)} meanwhile."
        return
    members = [state.notifications[name] for name in item.members if name in state.notifications]
    for name, count in sorted(Counter(standins.told_elsewhere(state, members)).items()):
        much = "All of this was" if count == len(members) else f"{count} of these {len(members)} were"
        yield f"{much} sent by {clean(name, NAME_MAX)} meanwhile."


def _unheard_members(digest: Notification, state: State) -> list[str]:
    """Services of which a digest tells the end, and perhaps nobody heard the beginning."""
    members = (state.notifications[name] for name in digest.members if name in state.notifications)
    ends = (member for member in members if member.kind is NoticeKind.RESOLVED)
    return [member.service for member in ends if _announcement_is_doubtful(member, state)]


def _announcement_is_doubtful(notification: Notification, state: State) -> bool:
    """Nothing of the incident is known to have arrived on this channel, though something may have."""
    earlier = [
        item
        for item in state.notifications.values()
        if item.lane == notification.lane
        and item.incident == notification.incident
        and item.kind is not NoticeKind.RESOLVED
    ]
    return bool(earlier) and not any(outbox.has_arrived(state, item) for item in earlier)


def _footer(notification: Notification, settings: Settings) -> str:
    parts = (
        f"incident {notification.incident}" if notification.incident else "",
        f"delivery {notification.id}",
        f"attempt {notification.attempt}",
        f"sent by peer {settings.me}",
        f"cluster {settings.cluster.name}",
    )
    return clean(" | ".join(part for part in parts if part), LINE_MAX)
