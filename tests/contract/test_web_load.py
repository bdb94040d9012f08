"""Overload is visible and bounded: many services, many requests at once, a slow log.

Limits are lowered to be reached at once; what counts is how the server behaves at them.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from support.web_support import PING_KEY, eventually, http_service, serving, world

from watchtower.web import answers, heartbeats


def test_too_many_requests_at_once_are_refused_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with Retry-After instead of a queue without end."""
    monkeypatch.setattr(answers, "IN_FLIGHT_MAX", 3)

    async def main() -> None:
        made = world()
        made.gate = asyncio.Event()
        async with serving(made) as (_, http):
            calls = [asyncio.create_task(http.get(f"/ping/{PING_KEY}/nightly")) for _ in range(8)]
            await eventually(lambda: sum(call.done() for call in calls) == 5)
            made.gate.set()
            statuses = Counter(answer.status for answer in await asyncio.gather(*calls))
            assert statuses == {503: 5, 200: 3}
            async with http.get("/metrics") as answer:
                assert "watchtower_http_refused_total 5" in await answer.text()

    asyncio.run(main())


def test_waiting_heartbeats_leave_room_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the log is silent, health and status still answer."""
    monkeypatch.setattr(heartbeats, "WAITING_MAX", 2)

    async def main() -> None:
        made = world()
        made.gate = asyncio.Event()
        async with serving(made) as (_, http):
            calls = [asyncio.create_task(http.get(f"/ping/{PING_KEY}/nightly")) for _ in range(6)]
            await eventually(lambda: sum(call.done() for call in calls) == 4)
            for path in ("/livez", "/api/v1/status"):
                async with http.get(path) as answer:
                    assert answer.status == 200
            made.gate.set()
            await asyncio.gather(*calls)

    asyncio.run(main())


def test_a_thousand_services_are_encoded_once_for_many_readers() -> None:
    """While nothing changes every reader gets the same bytes, not a new encoding."""

    async def main() -> None:
        made = world(*[http_service(f"s-{number:04}") for number in range(1000)])
        async with serving(made) as (server, http):
            first = await _body(http)
            picture = server._pages._frame.picture
            wire = picture.wire()
            assert first.endswith(wire[1:])
            for _ in range(5):
                await _body(http)
                assert picture.wire() is wire
            made.turn()
            async with http.get("/api/v1/status", headers={"If-None-Match": picture.etag}) as answer:
                assert answer.status == 304

    asyncio.run(main())


async def _body(http: aiohttp.ClientSession) -> bytes:
    async with http.get("/api/v1/status") as answer:
        return await answer.read()
