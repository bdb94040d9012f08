"""What this peer has kept of a service: samples, transitions, uptime and latencies by window.

Only chooses and shapes; the reading happens off the loop, behind `HistoryReader`. A peer that keeps
nothing answers 404 and says why, one whose disk does not answer 503.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

from aiohttp import web
from msgspec import Struct

from watchtower.core.ports import HistoryReader, Snapshot
from watchtower.core.samples import Figures
from watchtower.errors import HistoryError
from watchtower.web.access import Scope
from watchtower.web.answers import json_answer, problem
from watchtower.web.paging import BadQuery, limit_of, page_size, whole_number
from watchtower.web.routes import NAME, Handler, Route
from watchtower.web.times import moment

WINDOWS: Final = ("24h", "7d", "30d", "90d")
WINDOWS_MAX: Final = 8
SAMPLES_MAX: Final = 1_000
_UNITS_S: Final = {"h": 3_600, "d": 86_400}
_LONGEST_S: Final = 731 * 86_400


class SampleDoc(Struct, frozen=True):
    """One look that is over."""

    at: datetime | None
    opinion: str
    kind: str
    latency_ms: float


class TransitionDoc(Struct, frozen=True):
    """A look that found something else than the one before."""

    at: datetime | None
    before: str | None
    after: str
    kind: str
    text: str


class WindowDoc(Struct, frozen=True, kw_only=True):
    """Figures of one window."""

    window: str
    from_at: datetime | None
    to_at: datetime | None
    uptime: float | None
    up_s: float
    down_s: float
    unwatched_s: float
    samples: int
    failed: int
    unknown: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class HistoryApi:
    """Handlers of what history knows of a service."""

    def __init__(self, snapshot: Callable[[], Snapshot], history: HistoryReader) -> None:
        self._snapshot = snapshot
        self._history = history

    def routes(self) -> list[Route]:
        """Three paths below each service."""
        reads: list[tuple[str, Callable[[HistoryReader, str, web.Request], Awaitable[dict[str, Any]]]]] = [
            ("results", _results),
            ("transitions", _transitions),
            ("uptime", _uptime),
        ]
        return [
            Route("GET", f"/api/v1/services/{NAME}/{path}", Scope.READ, self._asking(read))
            for path, read in reads
        ]

    def _asking(
        self, read: Callable[[HistoryReader, str, web.Request], Awaitable[dict[str, Any]]]
    ) -> Handler:
        async def asked(request: web.Request) -> web.StreamResponse:
            snap, name = self._snapshot(), request.match_info["name"]
            if name not in snap.settings.services:
                return problem(404, "not found", "no service of that name in the config of this peer")
            if snap.history.off:
                return problem(404, "no history", snap.history.off)
            try:
                found = await read(self._history, name, request)
            except BadQuery as fault:
                return problem(400, "bad query", str(fault))
            except HistoryError as error:
                return problem(503, "history does not answer", str(error))
            frame = {"service": name, "peer": snap.settings.me, "trouble": snap.history.trouble}
            return json_answer({**frame, **found})

        return asked


async def figures_of(history: HistoryReader, service: str) -> list[WindowDoc]:
    """The usual windows of a service; none when nothing was seen or history cannot answer."""
    try:
        found = await history.uptime(service, tuple(_window_s(window) for window in WINDOWS))
    except HistoryError:
        return []
    docs = [_window_doc(window, one) for window, one in zip(WINDOWS, found, strict=True)]
    return docs if any(doc.samples for doc in docs) else []


async def _results(history: HistoryReader, name: str, request: web.Request) -> dict[str, Any]:
    """Samples, newest first."""
    limit = limit_of(request.query.get("limit", "100"), SAMPLES_MAX)
    cursor = whole_number(request.query.get("cursor", ""), "cursor")
    page = await history.results(name, before=cursor, limit=limit)
    docs = [
        SampleDoc(moment(one.at_wall), one.opinion, one.kind, round(one.latency_ms, 3))
        for one in page.samples
    ]
    return {"results": docs, "next": None if page.following is None else str(page.following)}


async def _transitions(history: HistoryReader, name: str, request: web.Request) -> dict[str, Any]:
    """Changes, newest first."""
    limit = page_size(request.query.get("limit", ""))
    found = await history.transitions(name, limit=limit)
    docs = [
        TransitionDoc(moment(one.at_wall), one.before or None, one.after, one.kind, one.text) for one in found
    ]
    return {"transitions": docs}


async def _uptime(history: HistoryReader, name: str, request: web.Request) -> dict[str, Any]:
    """Figures by window."""
    asked = request.query.get("window", "")
    windows = tuple(asked.split(",")) if asked else WINDOWS
    if len(windows) > WINDOWS_MAX:
        raise BadQuery(f"at most {WINDOWS_MAX} windows at once")
    found = await history.uptime(name, tuple(_window_s(window) for window in windows))
    return {"windows": [_window_doc(window, one) for window, one in zip(windows, found, strict=True)]}


def _window_s(text: str) -> float:
    """Seconds of `24h` or `7d`. Raises BadQuery."""
    match = re.fullmatch(r"([1-9]\d{0,4})([hd])", text, re.ASCII)
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not 0 < seconds <= _LONGEST_S:
        raise BadQuery("window is a list of times like 24h or 7d, from 1h to 731d, as in ?window=24h,30d")
    return seconds


def _window_doc(window: str, found: Figures) -> WindowDoc:
    uptime = found.uptime
    return WindowDoc(
        window=window,
        from_at=moment(found.from_wall),
        to_at=moment(found.to_wall),
        uptime=None if uptime is None else round(uptime, 8),
        up_s=round(found.up_s, 3),
        down_s=round(found.down_s, 3),
        unwatched_s=round(found.unwatched_s, 3),
        samples=found.samples,
        failed=found.failed,
        unknown=found.unknown,
        mean_ms=_short(found.mean_ms),
        p50_ms=_short(found.p50_ms),
        p95_ms=_short(found.p95_ms),
        p99_ms=_short(found.p99_ms),
        max_ms=_short(found.max_ms),
    )


def _short(latency_ms: float | None) -> float | None:
    return None if latency_ms is None else round(latency_ms, 3)
