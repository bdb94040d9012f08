"""How long it may take at worst from a fault to the quorum's verdict: what `watchtower check` prints.

With all peers alive and none of them slow, for a target that hangs, the slowest way to fail:

    first   = gap + jitter * interval     until the next of the staggered peers looks
    last    = first + unanswered          until its look has waited so long that the others look too
                                          (suspect), or until enough of them have come to their own looks,
                                          if sooner; a look that fails sooner is suspect at once
    verdict = last
            + failures * timeout          until a majority has failed as often as it must,
            + (failures - 1) * recheck    with the pauses between
            + OVERHEAD_S                  report, log and decision

`gap` is interval / peers; more, when a peer that does not look at this service has its turn between two
that do. A target that refuses at once is found in the same time without the timeouts. A heartbeat is missed
after the period, or the longest time between two times of its schedule, and the grace.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from watchtower.core.schedules import longest_wait_s
from watchtower.core.settings import JITTER_MAX, UNANSWERED_AFTER_S, Service
from watchtower.core.targets import HeartbeatTarget

OVERHEAD_S: Final = 1.0
"""Of that, half a second is how long a verdict must stand before anybody is told."""


def detection_s(service: Service, peers: Sequence[str], everybody: Sequence[str] = ()) -> float:
    """Worst-case seconds from the fault to the verdict, for a target that hangs.

    `peers` are those that look (`service.voters`), `everybody` all that take turns, if they are more.
    """
    return _found_s(service, peers, everybody, service.timeout_s)


def refusal_s(service: Service, peers: Sequence[str], everybody: Sequence[str] = ()) -> float:
    """The same for a target that fails at once, as by refusing or with an error of its own."""
    return _found_s(service, peers, everybody, 0.0)


def _found_s(service: Service, peers: Sequence[str], everybody: Sequence[str], look_s: float) -> float:
    if isinstance(service.target, HeartbeatTarget):
        return longest_wait_s(service.target) + service.target.grace_s + OVERHEAD_S
    turns, confirm = _turns(peers, everybody), service.confirm
    majority = len(turns) // 2 + 1
    jitter_s = min(service.jitter, JITTER_MAX) * service.interval_s
    last_s = service.interval_s * _wait(turns, majority, len(everybody)) + jitter_s
    if majority > 1:
        first_s = service.interval_s * _wait(turns, 1, len(everybody)) + jitter_s
        last_s = min(first_s + min(look_s, UNANSWERED_AFTER_S), last_s)
    return last_s + confirm.failures * look_s + (confirm.failures - 1) * confirm.recheck_s + OVERHEAD_S


def _turns(peers: Sequence[str], everybody: Sequence[str]) -> list[int]:
    """Which of the equal parts of an interval belong to `peers`."""
    order = sorted(everybody or peers)
    return [number for number, name in enumerate(order) if name in peers] or [0]


def _wait(turns: list[int], looks: int, parts: int) -> float:
    """The longest time in which only `looks` of the turns come, as a share of the interval."""
    parts = parts or len(turns)
    waits = [(turns[(at + looks) % len(turns)] - turn) % parts or parts for at, turn in enumerate(turns)]
    return max(waits) / parts
