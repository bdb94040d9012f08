"""What the ledger remembers of a channel, whoever sent: its wish to rest, how much it got, what ails it.

One row per channel that was ever sent to, written when an attempt is settled and by nothing else. Knows
neither the configured rates nor a clock; what follows from a row is attempts.py's.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

RECENT_KEPT: Final = 20
HOUR_S: Final = 3_600.0
RETRY_AFTER_MAX_S: Final = 900.0
UNPROVEN_KEPT: Final = 50
DRILL_PREFIX: Final = "drill/"
"""A fire drill on the channel `chat` is an incident of the subject `drill/chat`."""


class ChannelRow(Struct, frozen=True, kw_only=True):
    """Times are Unix seconds by the clock of whoever settled.

    `rest_until_wall`: the channel asked not to be called before, `rest_s` is how long it asked for.
    `recent`: when the latest attempts reached it. `hour` counts hours since 1970, `hour_sent` what it took,
    or may have taken, within it. `trouble`: "" or why it cannot work until somebody mends it, since
    `trouble_wall`; `accepted_wall`: when it last took something.
    """

    rest_until_wall: float = 0.0
    rest_s: float = 0.0
    settled_wall: float = 0.0
    recent: tuple[float, ...] = ()
    hour: int = 0
    hour_sent: int = 0
    trouble: str = ""
    trouble_wall: float = 0.0
    accepted_wall: float = 0.0


class Drill(Struct, frozen=True, kw_only=True):
    """The latest fire drill; zeros mean never, and not yet. `arrived_wall`: when its arrival was proven.

    These outlive later drills: `last_arrived_wall`, when any last arrived; `planned_wall`, when the schedule
    last started one; `unproven`, for each channel when the first drill on it started of those that have not
    arrived since.
    """

    channel: str = ""
    by: str = ""
    started_wall: float = 0.0
    arrived_wall: float = 0.0
    last_arrived_wall: float = 0.0
    planned_wall: float = 0.0
    unproven: dict[str, float] = {}


def drilled(drill: Drill, channel: str, by: str, at_wall: float, *, is_planned: bool) -> Drill:
    """The row once a drill on `channel` has started; what has not arrived on it or others stays so."""
    # The first of them; but one from the future was started by a wrong clock, and would excuse this one.
    first_wall = min(at_wall, drill.unproven.get(channel, at_wall))
    unproven = {**drill.unproven, channel: first_wall}
    if len(unproven) > UNPROVEN_KEPT:
        oldest = min((name for name in unproven if name != channel), key=lambda name: unproven[name])
        del unproven[oldest]
    return replace(
        drill,
        channel=channel,
        by=by,
        started_wall=at_wall,
        arrived_wall=0.0,
        planned_wall=at_wall if is_planned else drill.planned_wall,
        unproven=unproven,
    )


def proven(drill: Drill, channel: str, at_wall: float) -> Drill:
    """The row once a drill on `channel` has arrived."""
    unproven = {name: since_wall for name, since_wall in drill.unproven.items() if name != channel}
    arrived_wall = at_wall if channel == drill.channel else drill.arrived_wall
    return replace(drill, arrived_wall=arrived_wall, last_arrived_wall=at_wall, unproven=unproven)


def settled(
    row: ChannelRow, at_wall: float, *, has_reached: bool, is_taken: bool, is_accepted: bool
) -> ChannelRow:
    """The row after an attempt that ended at `at_wall`; `has_reached`: the channel saw something of it.

    `is_taken`: people may have got a message. What is refused uses up nothing of their hour.
    """
    row = replace(row, settled_wall=max(at_wall, row.settled_wall))
    if has_reached:
        row = replace(row, recent=(*row.recent, at_wall)[-RECENT_KEPT:])
    if is_taken:
        hour = _hour(row, at_wall)
        row = replace(row, hour=hour, hour_sent=row.hour_sent + 1 if hour == row.hour else 1)
    if is_accepted:
        row = replace(
            row, trouble="", trouble_wall=0.0, rest_until_wall=0.0, rest_s=0.0, accepted_wall=at_wall
        )
    return row


def _hour(row: ChannelRow, at_wall: float) -> int:
    """The later of two hours, as clocks differ a little; one that lies further ahead was a wrong clock's."""
    hour = int(at_wall // HOUR_S)
    return row.hour if hour <= row.hour <= hour + 1 else hour


def refused(row: ChannelRow, at_wall: float, *, retry_after_s: float, trouble: str) -> ChannelRow:
    """The row after a refusal that asked to wait, or that nothing but a person can mend (`trouble`).

    The channel's latest word counts, also when it is shorter: a wish that was written down by a clock that
    is wrong must not outlive it.
    """
    if retry_after_s > 0:
        rest_s = min(retry_after_s, RETRY_AFTER_MAX_S)
        row = replace(row, rest_until_wall=at_wall + rest_s, rest_s=rest_s)
    if trouble:
        row = replace(row, trouble=trouble[:200], trouble_wall=row.trouble_wall or at_wall)
    return row
