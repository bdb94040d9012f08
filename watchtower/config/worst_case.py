"""How long it may take at worst from a fault to the quorum's verdict: what `watchtower check` prints.

For a target that hangs, the slowest way to fail, with all peers alive and none of them slow:

    (interval / peers) * (1 + jitter)   until the next of the staggered peers looks
  + timeout                             until its first look has failed and it says so (suspect)
  + failures * timeout                  until every other peer has failed as often as it must,
  + (failures - 1) * recheck            with the pauses between
  + OVERHEAD_S                          report, log and decision

A lone peer has nobody to wait for, so the second line falls away. A target that refuses at once is found
in the same time without the timeouts. A heartbeat is missed after period + grace.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Final

from watchtower.core.settings import Service
from watchtower.core.targets import HeartbeatTarget

OVERHEAD_S: Final = 1.5


def detection_s(service: Service, peers: Sized) -> float:
    """Worst-case seconds from the fault to the verdict; `peers` are those that look (`service.voters`)."""
    if isinstance(service.target, HeartbeatTarget):
        return service.target.period_s + service.target.grace_s + OVERHEAD_S
    count = max(1, len(peers))
    confirm = service.confirm
    waiting_s = service.interval_s / count * (1 + service.jitter)
    suspicion_s = service.timeout_s if count > 1 else 0.0
    looking_s = confirm.failures * service.timeout_s + (confirm.failures - 1) * confirm.recheck_s
    return waiting_s + suspicion_s + looking_s + OVERHEAD_S
