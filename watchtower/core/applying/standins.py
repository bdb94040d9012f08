"""What another channel has told in the stead of a channel: of that, people know.

Asked by whoever is loud about what nobody knows, by the watchdog, and by messages that say so. Changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from watchtower.core.applying import outbox
from watchtower.core.applying.outbox import Told
from watchtower.core.model import Notification, State


def told_instead(state: State) -> dict[Told, str]:
    """The transitions that a stand-in is known to have told, each with the channel that stood in."""
    return {
        outbox.transition_told(item, item.notice.instead_of): item.channel
        for item in state.notifications.values()
        if item.notice.instead_of and outbox.has_arrived(state, item)
    }


def told_elsewhere(state: State, items: Iterable[Notification]) -> list[str]:
    """For each item of which another channel has heard instead, that channel."""
    heard = told_instead(state)
    keys = (outbox.transition_told(item, item.channel) for item in items)
    return [heard[key] for key in keys if key in heard]


def unknown_parts(state: State, item: Notification, heard: dict[Told, str]) -> list[Notification]:
    """Of what a message tells (itself, or a digest's members) all that no stand-in has told (`heard`)."""
    members = [state.notifications[key] for key in item.members if key in state.notifications]
    return [part for part in members or [item] if outbox.transition_told(part, part.channel) not in heard]
