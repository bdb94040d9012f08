"""When this process may claim a notification, on its own clock: claims of others, failures, resting channels.

A claim's timer starts when this process first sees the claim id, never earlier, so after a restart it
starts anew. What the ledger says has happened (a failure, a channel's wish to rest, an attempt that reached
it) has happened when its writer's wall clock said, but not before the last look that did not show it, nor in
the future: no clock that is wrong shortens or prolongs a wait by more than one look. What waits for what is
attempts.py's; here its times are only put on this machine's own clock. Reads no clock.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.alerting.attempts import ChannelState, channel_state, next_attempt
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Instant, Notification, Stage, State
from watchtower.core.settings import Settings

MARGIN_S: Final = 1.0
CLOCK_RATE_ERROR: Final = 0.001
REPROPOSE_S: Final = 0.5


def rival_wait_s(hold_ms: int) -> float:
    """How long a rival waits, on its own clock, after it saw a claim of `hold_ms` (protocol.md, Rival)."""
    r = CLOCK_RATE_ERROR
    return hold_ms / 1000 * (1 + r) / (1 - r) + MARGIN_S


class _Seen(Struct):
    """When this process first saw an item's latest claim, and when its latest failure happened."""

    claim_id: str = ""
    claim_boot: float = 0.0
    failures: int = 0
    failure_boot: float = 0.0


class _Row(Struct):
    """A channel's row as the ledger has it, and when its rest began and its attempts ended by our clock."""

    row: ChannelRow = ChannelRow()
    rest_boot: float = 0.0
    recent_boot: dict[float, float] = {}


class Timers:
    """One timer for every claim, every failure and every channel in the ledger, whoever made them."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._rows: dict[str, _Row] = {}
        self._refused: dict[str, float] = {}
        self._looked_boot = -math.inf

    def look(self, state: State, now: Instant) -> None:
        """Start timers for what `state` shows for the first time. Call it before anything else."""
        known, self._seen = self._seen, {}
        for item in state.notifications.values():
            if item.stage.finished:
                continue
            seen = known.get(item.id) or _Seen()
            if seen.claim_id != item.claim_id:
                seen.claim_id, seen.claim_boot = item.claim_id, now.boot
            if seen.failures != item.failures:
                seen.failures, seen.failure_boot = item.failures, self._boot_of(item.settled_wall, now)
            self._seen[item.id] = seen
        for name, row in state.channels.items():
            self._look_at(self._rows.setdefault(name, _Row()), row, now)
        self._refused = {key: boot for key, boot in self._refused.items() if boot > now.boot}
        self._looked_boot = now.boot

    def _look_at(self, seen: _Row, row: ChannelRow, now: Instant) -> None:
        if seen.row == row:
            return
        if (seen.row.rest_until_wall, seen.row.rest_s) != (row.rest_until_wall, row.rest_s):
            seen.rest_boot = self._boot_of(row.rest_until_wall - row.rest_s, now)
        known = seen.recent_boot
        seen.recent_boot = {wall: known.get(wall) or self._boot_of(wall, now) for wall in row.recent}
        seen.row = row

    def _boot_of(self, at_wall: float, now: Instant) -> float:
        """When it was, on our own clock, as well as one can know that sees it for the first time now."""
        return now.boot - min(max(0.0, now.wall - at_wall), now.boot - self._looked_boot)

    def refused(self, notification_id: str, now: Instant) -> None:
        """A claim was not granted: a peer behind the log does not flood it."""
        self._refused[notification_id] = now.boot + REPROPOSE_S

    def channel(self, name: str, me: str, settings: Settings, now: Instant) -> ChannelState:
        """The channel by itself, as `me` alone would send to it, by this machine's own clock."""
        seen = self._rows.get(name) or _Row()
        to_wall = now.wall - now.boot
        row = replace(
            seen.row,
            rest_until_wall=seen.rest_boot + to_wall + seen.row.rest_s,
            recent=tuple(seen.recent_boot[wall] + to_wall for wall in seen.row.recent),
        )
        configured = settings.channels.get(name)
        # Its own breaker is no business of the ledger: what that holds back, `step` is told.
        return channel_state(configured, name, row, turns=(me,), closed={}, now_wall=now.wall)

    def due_boot(self, item: Notification, channel: ChannelState, now: Instant) -> float:
        """When this process may claim the item."""
        seen = self._seen[item.id]
        if item.failures:
            item = replace(item, settled_wall=seen.failure_boot + now.wall - now.boot)
        wait_s = next_attempt(item, channel, now.wall).at_wall - now.wall
        due_boot = max(self._refused.get(item.id, now.boot), now.boot + wait_s)
        if item.stage in (Stage.CLAIMED, Stage.UNCERTAIN):
            due_boot = max(due_boot, seen.claim_boot + rival_wait_s(item.hold_ms))
        return due_boot
