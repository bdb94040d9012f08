"""What is wrong with the telling itself, loud on every page: what was not delivered, sick channels, drills.

Pure over one Snapshot; one sentence each, the gravest first. Whoever looks at a page must not believe that
people know when they do not. Decides nothing about what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from watchtower.core.alerting import untold
from watchtower.core.alerting.untold import Waiting
from watchtower.core.ports import Snapshot
from watchtower.core.proofs import drills
from watchtower.web.deliveries import title_of
from watchtower.web.shapes import Alarm
from watchtower.web.times import lasting

SHOWN_MAX: Final = 5


def alarms(snap: Snapshot) -> list[Alarm]:
    """All that is wrong now."""
    undelivered = [*_undelivered(snap)]
    more = len(undelivered) - SHOWN_MAX
    if more > 0:
        rest = Alarm(kind="undelivered", text=f"{more} more could not be delivered: see the notifications.")
        undelivered = [*undelivered[:SHOWN_MAX], rest]
    return [*_silent(snap), *undelivered, *_late(snap), *_channels(snap), *_drill(snap)]


def _silent(snap: Snapshot) -> Iterator[Alarm]:
    """Nobody at all can be told."""
    channels, rows = snap.settings.channels, snap.state.channels
    if not channels:
        yield Alarm(kind="silent", text="No channel is configured: nobody is told of anything.")
    elif all(name in rows and rows[name].trouble for name in channels):
        yield Alarm(kind="silent", text="No channel works just now: nobody is told of anything.")


def _undelivered(snap: Snapshot) -> Iterator[Alarm]:
    for item in untold.refused(snap.state):
        last = item.attempts[-1].detail if item.attempts else ""
        what = f"#{item.incident} {title_of(snap, item.service)}"
        yield Alarm(
            kind="undelivered",
            text=f"{what} could not be told on {item.channel} ({item.kind}){': ' if last else ''}{last}.",
            channel=item.channel,
            incident=item.incident,
        )


def _late(snap: Snapshot) -> Iterator[Alarm]:
    """Where something waits for longer than its severity may, all that waits, one sentence for a channel."""
    waiting: dict[str, list[Waiting]] = {}
    for one in untold.waiting(snap.state):
        waiting.setdefault(one.channel, []).append(one)
    for channel, ones in waiting.items():
        if snap.now.wall <= min(one.late_wall for one in ones):
            continue
        age_s = snap.now.wall - min(one.since_wall for one in ones)
        count = f"{len(ones)} notifications wait" if len(ones) > 1 else "1 notification waits"
        parts = sorted((part for one in ones for part in one.parts), key=lambda part: part.order)
        names = [*dict.fromkeys(title_of(snap, part.service) for part in parts if part.service)]
        more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
        about = f": {', '.join(names[:SHOWN_MAX])}{more}" if names else ""
        text = f"{count} for {channel}, the oldest for {lasting(age_s)}{about}."
        yield Alarm(kind="waiting", text=text, channel=channel)


def _channels(snap: Snapshot) -> Iterator[Alarm]:
    for name in snap.settings.channels:
        row = snap.state.channels.get(name)
        if row is not None and row.trouble:
            yield Alarm(
                kind="channel", text=f"Channel {name} does not work: {_ended(row.trouble)}", channel=name
            )


def _drill(snap: Snapshot) -> Iterator[Alarm]:
    for channel, since_wall in sorted(drills.missed(snap.state.drill, snap.settings, snap.now).items()):
        at = datetime.fromtimestamp(since_wall, UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = f"The fire drill of {at} on {channel} has not been confirmed by anybody."
        yield Alarm(kind="drill", text=text, channel=channel)


def _ended(text: str) -> str:
    """Foreign text as the end of a sentence; what was cut ends in its ellipsis."""
    return text if text.endswith(("…", ".")) else f"{text}."
