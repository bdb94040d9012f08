"""`/api/v1/breakers` and the metrics of circuit breakers: this peer's own, and what the others reported.

Shapes and families only; what opens and closes is in breaker.py, who sends instead in the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from aiohttp import web
from msgspec import Struct

from watchtower.breaker import Event, Position
from watchtower.core.ports import Snapshot
from watchtower.core.stats import BreakerView
from watchtower.web.access import Scope
from watchtower.web.answers import json_answer
from watchtower.web.exposition import family, labels
from watchtower.web.routes import Route
from watchtower.web.times import moment


class BreakerDoc(Struct, frozen=True, kw_only=True):
    """One breaker. `trial_at`: when an open one lets one call through; `window` is what it judges by."""

    purpose: str
    name: str
    state: str
    since: datetime | None
    trial_at: datetime | None
    why: str
    window: Mapping[str, int]
    totals: Mapping[str, int]


class BreakersApi:
    """The handler of `/api/v1/breakers`."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route("GET", "/api/v1/breakers", Scope.READ, self.breakers)]

    async def breakers(self, _request: web.Request) -> web.Response:
        """All of this peer, and what the peers say in the ledger of theirs that are not closed."""
        snap = self._snapshot()
        rows = snap.state.peers.items()
        return json_answer(
            {
                "peer": snap.settings.me,
                "breakers": [_doc(view) for view in snap.delivery.breakers],
                "reported": {name: row.paths for name, row in sorted(rows) if row.paths},
            }
        )


def _doc(view: BreakerView) -> BreakerDoc:
    return BreakerDoc(
        purpose=view.purpose,
        name=view.name,
        state=view.state,
        since=moment(view.since_wall),
        trial_at=moment(view.trial_wall),
        why=view.why,
        window=view.window,
        totals=view.totals,
    )


def breaker_families(snap: Snapshot) -> Iterator[str]:
    """Position and events of every breaker of this peer."""
    shown = [(labels(purpose=view.purpose, breaker=view.name)[:-1], view) for view in snap.delivery.breakers]
    yield family(
        "watchtower_breaker_state",
        "gauge",
        "1 for the state that the circuit breaker is in, 0 for every other.",
        (
            (f'{text},state="{position}"}}', view.state == position)
            for text, view in shown
            for position in Position
        ),
    )
    yield family(
        "watchtower_breaker_events_total",
        "counter",
        "What happened at the circuit breaker, by event.",
        ((f'{text},event="{event}"}}', view.totals[event]) for text, view in shown for event in Event),
    )
