"""The answers about history of the real server, over a real history on disk, and how a page shows them.

Looks are given to the history directly; paths, shapes and status codes are the contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from support.history_support import SetClock, Stepped
from support.web_support import NOW, World, world

from watchtower.core.model import Opinion
from watchtower.core.ports import HistoryReader
from watchtower.core.samples import HistoryStats
from watchtower.history.off import WHY, NoHistory
from watchtower.web.server import WebServer

LOOKS = 120


def seen(folder: Path, made: World) -> Stepped:
    """Twenty minutes of looks at the shop, the last half of them failed, up to NOW."""
    config = replace(made.snap.settings, storage_path=str(folder))
    stepped = Stepped(config, SetClock(NOW - 10 * LOOKS))
    for place in range(LOOKS):
        is_up = place < LOOKS // 2
        stepped.look("shop", Opinion.UP if is_up else Opinion.DOWN, duration_ms=80.0 if is_up else 10_000.0)
        stepped.turn(10)
    return stepped


@asynccontextmanager
async def asking(made: World, history: HistoryReader) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the real server on loopback."""
    server = WebServer(made.snap.settings, made.look, made.doors(), history)
    await server.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield session
    finally:
        await server.stop()


def ask(made: World, history: HistoryReader, *paths: str) -> list[tuple[int, Any]]:
    """Status and document of each answer."""

    async def main() -> list[tuple[int, Any]]:
        found = []
        async with asking(made, history) as http:
            for path in paths:
                async with http.get(path) as answer:
                    is_json = answer.content_type == "application/json"
                    found.append((answer.status, await (answer.json() if is_json else answer.text())))
        return found

    return asyncio.run(main())


def test_uptime_tells_what_is_known_and_what_is_not(tmp_path: Path) -> None:
    """Share of the known time, counts, percentiles, and the rest of the window as not watched."""
    made = world()
    stepped = seen(tmp_path, made)
    ((status, doc), (_, usual)) = ask(
        made,
        stepped.history,
        "/api/v1/services/shop/uptime?window=1h,7d",
        "/api/v1/services/shop/uptime",
    )
    assert (status, doc["service"], doc["peer"], doc["trouble"]) == (200, "shop", "a", "")
    hour, week = doc["windows"]
    assert (hour["window"], week["window"]) == ("1h", "7d")
    assert (hour["samples"], hour["failed"], hour["unknown"]) == (LOOKS, LOOKS // 2, 0)
    assert hour["uptime"] == pytest.approx(0.5)
    assert (hour["up_s"], hour["down_s"]) == (600, 600)
    assert hour["unwatched_s"] == pytest.approx(3600 - 1200, abs=301)
    assert week["unwatched_s"] == pytest.approx(7 * 86_400 - 1200, abs=3601)
    assert hour["p95_ms"] == pytest.approx(80, rel=0.05)
    assert hour["max_ms"] == 80.0
    assert hour["to_at"].startswith("2026-")
    assert [one["window"] for one in usual["windows"]] == ["24h", "7d", "30d", "90d"]


def test_results_come_in_pages_newest_first(tmp_path: Path) -> None:
    """Every look once, with its words; the last page has no next."""
    made = world()
    stepped = seen(tmp_path, made)

    async def main() -> list[Any]:
        looks: list[Any] = []
        cursor = ""
        async with asking(made, stepped.history) as http:
            while True:
                path = f"/api/v1/services/shop/results?limit=50{cursor}"
                async with http.get(path) as answer:
                    doc = await answer.json()
                looks += doc["results"]
                if doc["next"] is None:
                    return looks
                cursor = f"&cursor={doc['next']}"

    looks = asyncio.run(main())
    assert len(looks) == LOOKS
    assert [one["at"] for one in looks] == sorted((one["at"] for one in looks), reverse=True)
    assert [one["opinion"] for one in looks] == ["down"] * (LOOKS // 2) + ["up"] * (LOOKS // 2)
    assert (looks[0]["kind"], looks[-1]["kind"]) == ("timeout", "ok")
    assert looks[-1]["latency_ms"] == pytest.approx(80, rel=0.002)


def test_transitions_are_told_with_their_evidence(tmp_path: Path) -> None:
    """Newest first; before the first look there was nothing."""
    made = world()
    ((status, doc),) = ask(made, seen(tmp_path, made).history, "/api/v1/services/shop/transitions")
    assert status == 200
    assert [(one["before"], one["after"], one["text"]) for one in doc["transitions"]] == [
        ("up", "down", "looked down"),
        (None, "up", "looked up"),
    ]


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("nothing/uptime", 404, "no service of that name"),
        ("shop/uptime?window=1y", 400, "24h or 7d"),
        ("shop/uptime?window=0h", 400, "24h or 7d"),
        ("shop/uptime?window=99999d", 400, "24h or 7d"),
        ("shop/uptime?window=" + ",".join(["1h"] * 9), 400, "at most 8"),
        ("shop/results?limit=x", 400, "limit"),
        ("shop/results?cursor=-1", 400, "cursor"),
        ("shop/results?limit=0", 400, "limit"),
        ("shop/transitions?limit=0", 400, "limit"),
    ],
)
def test_what_cannot_be_answered_says_why(tmp_path: Path, path: str, status: int, detail: str) -> None:
    """400 and 404 with the reason, never a traceback."""
    made = world()
    ((found, doc),) = ask(made, seen(tmp_path, made).history, f"/api/v1/services/{path}")
    assert found == status
    assert detail in doc["detail"]


def test_history_that_is_off_is_said_and_the_page_does_without(tmp_path: Path) -> None:
    """404 with the reason; the page of the service is there, without figures."""
    made = world()
    made.turn(history=HistoryStats(off=WHY))
    (uptime, results, page) = ask(
        made,
        NoHistory(),
        "/api/v1/services/shop/uptime",
        "/api/v1/services/shop/results",
        "/services/shop",
    )
    for status, doc in (uptime, results):
        assert (status, doc["error"]) == (404, "no history")
        assert "--no-history" in doc["detail"]
    assert page[0] == 200
    assert "Uptime as peer" not in page[1]


def test_a_history_that_cannot_be_read_is_503_and_the_page_does_without(tmp_path: Path) -> None:
    """No file where it should be: everything else is answered."""
    made = world()
    config = replace(made.snap.settings, storage_path=str(tmp_path))
    (uptime, page) = ask(made, Stepped(config).history, "/api/v1/services/shop/uptime", "/services/shop")
    assert (uptime[0], uptime[1]["error"]) == (503, "history does not answer")
    assert page[0] == 200


def test_the_page_of_a_service_shows_its_uptime(tmp_path: Path) -> None:
    """Share, looks, percentiles and what was not watched, by window."""
    made = world()
    ((status, page),) = ask(made, seen(tmp_path, made).history, "/services/shop")
    assert status == 200
    assert "Uptime as peer a saw it" in page
    assert "50.00 %" in page
    assert ">7d<" in page


def test_trouble_of_history_is_in_its_answers_and_in_the_metrics(tmp_path: Path) -> None:
    """Who reads figures must know when they stand still."""
    made = world()
    stepped = seen(tmp_path, made)
    made.turn(history=HistoryStats(trouble="disk is full", dropped_total=7, samples_total=9))
    (uptime, metrics) = ask(made, stepped.history, "/api/v1/services/shop/uptime", "/metrics")
    assert uptime[1]["trouble"] == "disk is full"
    for line in ("trouble 1", "dropped_total 7", "samples_total 9"):
        assert f"\nwatchtower_history_{line}\n" in metrics[1]
