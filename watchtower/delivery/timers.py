"""When this process may claim a notification, on its own clock: claims of others, backoff, resting channels.

A claim's timer starts when this process first sees the claim id, never earlier, so after a restart it
starts anew. A failure's timer starts when it happened by the wall clock of who settled it, but not
before the last look that did not show it: no clock that is wrong shortens or prolongs a wait by more
than one look. Decides nothing but times; reads no clock.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from watchtower.core.model import Instant, Notification, Stage, State
from watchtower.core.outbox import next_attempt

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


class Timers:
    """One timer for every claim and every failure in the ledger, whoever made them."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._refused: dict[str, float] = {}
        self._looked_boot = -math.inf

    def look(self, state: State, now: Instant) -> None:
        """Start timers for what `state` shows for the first time. Call it before anything else."""
        known, self._seen = self._seen, {}
        for item in state.notifications.values():
            # What a finished one was told of its channel still holds for the others.
            if item.stage.finished and not item.retry_after_s:
                continue
            seen = known.get(item.id) or _Seen()
            if seen.claim_id != item.claim_id:
                seen.claim_id, seen.claim_boot = item.claim_id, now.boot
            if seen.failures != item.failures:
                age_s = min(max(0.0, now.wall - item.settled_wall), now.boot - self._looked_boot)
                seen.failures, seen.failure_boot = item.failures, now.boot - age_s
            self._seen[item.id] = seen
        self._refused = {key: boot for key, boot in self._refused.items() if boot > now.boot}
        self._looked_boot = now.boot

    def refused(self, notification_id: str, now: Instant) -> None:
        """A claim was not granted: a peer behind the log does not flood it."""
        self._refused[notification_id] = now.boot + REPROPOSE_S

    def due_boot(self, item: Notification, now: Instant) -> float:
        """When this process may claim the item, as far as the item itself goes."""
        seen = self._seen[item.id]
        due_boot = self._refused.get(item.id, now.boot)
        if item.failures:
            due_boot = max(due_boot, self._retry_boot(item))
        if item.stage in (Stage.CLAIMED, Stage.UNCERTAIN):
            due_boot = max(due_boot, seen.claim_boot + rival_wait_s(item.hold_ms))
        return due_boot

    def rests(self, state: State) -> dict[str, float]:
        """Until when channels rest that asked to wait: one message was told, and it holds for them all."""
        rests: dict[str, float] = {}
        for item in state.notifications.values():
            if item.retry_after_s:
                rests[item.channel] = max(rests.get(item.channel, 0.0), self._retry_boot(item))
        return rests

    def _retry_boot(self, item: Notification) -> float:
        pause_s = next_attempt(item).at_wall - item.settled_wall
        return self._seen[item.id].failure_boot + pause_s
