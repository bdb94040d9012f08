"""Looks at what stands beside a service in the graph of needs, once a look at that service has turned.

So the cause of a failure is known before the alert is due, and what a cause took along is seen to be well
again soon after it. Which services these are is dependencies.py's; here is how many looks at what time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower.core.alerting import dependencies
from watchtower.core.model import Instant, Opinion, Result
from watchtower.core.ports import SchedulerPort
from watchtower.core.settings import Settings

LOOKS_AT_ONCE: Final = 50
LOOKS_PER_S: Final = 200
LOOKS_MAX: Final = 2_000
"""Of one turn; what is beyond it is seen in its rhythm."""
AGAIN_AFTER_S: Final = 1.0
_BAD: Final = (Opinion.DOWN, Opinion.DEGRADED)


class Neighbours:
    """What was looked at lately for the sake of others: one cause of many failures once a second."""

    def __init__(self, scheduler: SchedulerPort) -> None:
        self._scheduler = scheduler
        self._looked_boot: dict[str, float] = {}
        self._free_boot = 0.0

    def seen(self, settings: Settings, result: Result, results: Mapping[str, Result], now: Instant) -> None:
        """A look of this peer has ended; `results` are the latest before it."""
        is_failing = result.opinion in _BAD
        if result.opinion is not Opinion.UNKNOWN and is_failing is not _fails(results, result.service):
            self.turned(settings, {result.service: is_failing}, results, now)

    def suspected(
        self, settings: Settings, names: tuple[str, ...], results: Mapping[str, Result], now: Instant
    ) -> None:
        """Others see these services otherwise than this peer does."""
        self.turned(settings, {name: not _fails(results, name) for name in names}, results, now)

    def turned(
        self, settings: Settings, turned: Mapping[str, bool], results: Mapping[str, Result], now: Instant
    ) -> None:
        """These services have begun to fail (True), or to be well again (False)."""
        if not dependencies.graph_of(settings).needs:
            return
        wanted: dict[str, None] = {}
        for name, is_failing in turned.items():
            if is_failing:
                wanted.update(dict.fromkeys(dependencies.needed_by(settings, name)))
            else:
                beside = dependencies.dependents_of(settings, name) + dependencies.needed_by(settings, name)
                wanted.update((one, None) for one in beside if _fails(results, one))
        self._look(tuple(wanted), now)

    def _look(self, names: tuple[str, ...], now: Instant) -> None:
        """At once as far as that is cheap, then so many a second."""
        floor = now.boot - AGAIN_AFTER_S
        self._looked_boot = {name: boot for name, boot in self._looked_boot.items() if boot > floor}
        due = [name for name in names if name not in self._looked_boot][:LOOKS_MAX]
        self._looked_boot.update(dict.fromkeys(due, now.boot))
        for begin in range(0, len(due), LOOKS_AT_ONCE):
            some = tuple(due[begin : begin + LOOKS_AT_ONCE])
            self._free_boot = max(self._free_boot, now.boot)
            self._scheduler.probe_now(some, self._free_boot - now.boot)
            self._free_boot += len(some) / LOOKS_PER_S


def _fails(results: Mapping[str, Result], name: str) -> bool:
    result = results.get(name)
    return result is not None and result.opinion in _BAD
