"""The looking of a peer, in processes of its own: services shared out by name, results from all of them.

Looks like a Scheduler from outside. Who looks at which service depends on its name and the number of workers
alone, so that a restart moves nothing. Each worker gets its part of what may happen at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable
from typing import Final

from watchtower.core.model import Result
from watchtower.core.ports import Clock
from watchtower.core.settings import ProbeSettings, Service, Settings
from watchtower.core.stats import ProbeStats, Trouble
from watchtower.probes.working.keeper import Keeper
from watchtower.probes.working.messages import share_of

_COUNTERS: Final = ("started_total", "skipped_total", "stale_total", "in_flight", "waiting")


class Workers:
    """As many keepers as the settings had workers when the peer started."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        on_result: Callable[[Result], None],
        *,
        first: Callable[[], tuple[str, ...]],
        links: Callable[[], tuple[str, ...]],
        on_unanswered: Callable[[str], None],
    ) -> None:
        self._count = settings.probe.workers
        self._keepers = tuple(
            Keeper(
                number,
                share,
                clock,
                on_result=on_result,
                first=lambda number=number: self._of(number, first()),  # type: ignore[misc] # the default binds it
                links=links,
                on_unanswered=on_unanswered,
            )
            for number, share in enumerate(self._shares(settings))
        )

    @property
    def stats(self) -> ProbeStats:
        """Counters of all workers together; the lag is the worst."""
        counts = [keeper.counts for keeper in self._keepers]
        sums = {name: sum(getattr(one, name) for one in counts) for name in _COUNTERS}
        return ProbeStats(
            **sums,
            lag_s=max(one.lag_s for one in counts),
            workers=tuple(keeper.stats for keeper in self._keepers),
        )

    def trouble(self) -> Trouble:
        """The first worker's trouble that there is; blind are we only when all of them are."""
        troubles = [keeper.trouble() for keeper in self._keepers]
        reason = next((one.reason for one in troubles if one.reason), "")
        return Trouble(reason=reason, is_blind=all(one.is_blind for one in troubles))

    def reload(self, settings: Settings) -> None:
        """Take new settings; the number of workers stays what it was."""
        for keeper, share in zip(self._keepers, self._shares(settings), strict=True):
            keeper.reload(share)

    def probe_now(self, names: tuple[str, ...], in_s: float = 0.0) -> None:
        """Look at these services out of turn, in `in_s` seconds."""
        for number, keeper in enumerate(self._keepers):
            if mine := self._of(number, names):
                keeper.look_at(mine, in_s)

    async def run(self) -> None:
        """Keep all workers alive until cancelled."""
        async with asyncio.TaskGroup() as group:
            for keeper in self._keepers:
                group.create_task(keeper.run())

    def _of(self, number: int, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if _number_of(name, self._count) == number)

    def _shares(self, settings: Settings) -> list[Settings]:
        looked_at = settings.looked_at_by(settings.me)
        probe = ProbeSettings(
            concurrency=math.ceil(settings.probe.concurrency / self._count),
            per_host=math.ceil(settings.probe.per_host / self._count),
            workers=0,
        )
        shares: list[dict[str, Service]] = [{} for _ in range(self._count)]
        for service in looked_at:
            shares[_number_of(service.name, self._count)][service.name] = service
        return [share_of(settings, services, probe) for services in shares]


def _number_of(name: str, count: int) -> int:
    """Which of `count` workers looks at the service; the same in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) % count
