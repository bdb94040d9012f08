"""A provider's rate limit: so many messages at such a pace for each path, else 429 with Retry-After.

It remembers who came again before the time it was told to wait; whether that is wrong a test decides.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


@dataclass
class _Place:
    """What one path may still take, and until when it told callers to wait."""

    tokens: float
    at: float
    closed_until: float = 0.0


@dataclass
class Limit:
    """A bucket of `burst` that one token falls into every `every_s`; who is refused waits `retry_after_s`.

    As at Slack, nothing is taken until the wait is over. `hammered` are the times of requests that came
    before that.
    """

    every_s: float = 1.0
    burst: int = 1
    retry_after_s: float = 1.0
    refused: list[float] = field(default_factory=list)
    hammered: list[float] = field(default_factory=list)
    _places: dict[str, _Place] = field(default_factory=dict)

    def admits(self, path: str) -> bool:
        """Whether a message on this path is taken now."""
        now = time.monotonic()
        place = self._places.setdefault(path, _Place(self.burst, now))
        if now < place.closed_until:
            self.hammered.append(time.time())
            return False
        place.tokens = min(self.burst, place.tokens + (now - place.at) / self.every_s)
        place.at = now
        if place.tokens >= 1:
            place.tokens -= 1
            return True
        self.refused.append(time.time())
        place.closed_until = now + self.retry_after_s
        return False

    def wait_s(self, path: str) -> int:
        """What a refusal says: whole seconds, as the header has them."""
        place = self._places.get(path)
        left_s = place.closed_until - time.monotonic() if place else self.retry_after_s
        return max(1, math.ceil(left_s))
