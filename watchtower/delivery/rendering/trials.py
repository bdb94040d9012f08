"""Messages about the telling itself: a test of a channel, and that a channel has had its share of an hour.

Neither is of an incident, so each is a thread of its own.
"""

from __future__ import annotations

from watchtower.core.model import Notification
from watchtower.core.settings import Settings
from watchtower.delivery.message import LINE_MAX, Message, Tone, clean, moment
from watchtower.delivery.rendering.names import NAME_MAX, subject_line


def test(item: Notification, settings: Settings) -> Message:
    """From which peer, on which channel, who asked for it: nothing is broken."""
    channel, asked = clean(item.channel, NAME_MAX), clean(item.notice.reason, LINE_MAX)
    when = moment(item.notice.at_wall, settings.alerting.timezone)
    return Message(
        state="TEST",
        tone=Tone.INFO,
        subject=subject_line([f"[TEST] Channel {channel} works from peer {settings.me}"], settings),
        summary=f"This is only a test: alerts sent by peer {settings.me} reach you on channel {channel}.",
        facts=(("Test", asked), ("Asked", when), ("Path", f"peer {settings.me}, channel {channel}")),
        root=f"test-{item.id}",
    )


def ceiling(item: Notification, settings: Settings) -> Message:
    """Why it is quiet from here on, and where the rest is to be read."""
    channel = clean(item.channel, NAME_MAX)
    return Message(
        state="CEILING",
        tone=Tone.WARNING,
        subject=subject_line([f"[CEILING] Channel {channel} is full for this hour"], settings),
        summary=clean(f"Channel {channel}: {item.notice.reason}.", LINE_MAX),
        facts=(("At", moment(item.notice.at_wall, settings.alerting.timezone)),),
        root=f"ceiling-{item.id}",
    )
