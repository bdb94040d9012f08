"""Server-sent events over a real connection: what comes, in which order, and how to come back.

Slow, late and lost listeners are real connections; only the waiting times are shortened.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import msgspec
import pytest
from msgspec.structs import replace
from support.web_support import World, eventually, serving, standing, world

from watchtower.core.model import Level
from watchtower.web import stream
from watchtower.web.server import WebServer


async def _read(answer: aiohttp.ClientResponse, count: int) -> list[tuple[int, str, dict[str, Any]]]:
    """The next `count` events as (id, kind, data); comments and greetings are left out."""
    events: list[tuple[int, str, dict[str, Any]]] = []
    async with asyncio.timeout(5):
        fields: dict[str, str] = {}
        while len(events) < count:
            line = (await answer.content.readline()).decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
                continue
            if "data" in fields:
                data = msgspec.json.decode(fields["data"])
                events.append((int(fields["id"]), fields.get("event", ""), data))
            fields = {}
    return events


def _apply(server: WebServer, made: World, index: int) -> None:
    """Tell the server what the world now is, as peer.py does."""
    made.turn(cluster=replace(made.snap.cluster, applied_index=index))
    server.on_state(made.snap.state, index)


async def _listening(server: WebServer) -> None:
    await eventually(lambda: b"watchtower_event_listeners 1" in server._metrics.render())


def test_what_is_applied_becomes_events_with_the_index_as_id() -> None:
    """Incident, notification and verdict arrive in order, each with its whole truth."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http), http.get("/api/v1/events") as answer:
            assert answer.content_type == "text/event-stream"
            await _listening(server)
            made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
            server.on_standings(made.standings)
            made.open("shop", 17)
            _apply(server, made, 4712)
            made.tell(17)
            _apply(server, made, 4713)
            events = await _read(answer, 3)
        assert [(index, kind) for index, kind, _ in events] == [
            (4711, "verdict"), (4712, "incident"), (4713, "notification"),
        ]  # fmt: skip
        assert events[0][2]["verdict"] == "down"
        assert events[1][2]["change"] == "opened"
        assert events[2][2]["stage"] == "delivered"

    asyncio.run(main())


def test_entries_that_change_nothing_are_silent() -> None:
    """A report every five seconds from each peer must not become traffic to every listener."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http), http.get("/api/v1/events") as answer:
            await _listening(server)
            for index in range(4712, 4722):
                _apply(server, made, index)
            made.open("shop", 17)
            _apply(server, made, 4722)
            async with asyncio.timeout(5):
                said = await answer.content.readuntil(b"event: incident")
        assert said == b"retry: 2000\nid: 4711\n\nid: 4722\nevent: incident"

    asyncio.run(main())


def test_coming_back_with_the_last_id_tells_what_was_missed() -> None:
    """From that index on, that index included."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http):
            for number in (1, 2, 3):
                made.open("shop", number)
                _apply(server, made, 4711 + number)
            async with http.get("/api/v1/events", headers={"Last-Event-ID": "4713"}) as answer:
                events = await _read(answer, 2)
        assert [(index, data["number"]) for index, _, data in events] == [(4713, 2), (4714, 3)]

    asyncio.run(main())


@pytest.mark.parametrize("last", ["1", "999999", "nonsense", "-5"])
def test_coming_back_from_too_far_away_is_a_reset(last: str) -> None:
    """The listener is told to read everything anew, not left with a gap."""

    async def main() -> None:
        headers = {"Last-Event-ID": last}
        async with serving(world()) as (_, http), http.get("/api/v1/events", headers=headers) as answer:
            events = await _read(answer, 1)
        assert [(index, kind) for index, kind, _ in events] == [(4711, "reset")]

    asyncio.run(main())


def test_a_quiet_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments come, so that no proxy closes the connection."""
    monkeypatch.setattr(stream, "KEEP_ALIVE_S", 0.05)

    async def main() -> None:
        async with serving(world()) as (_, http), http.get("/api/v1/events") as answer:
            async with asyncio.timeout(5):
                while not (await answer.content.readline()).startswith(b": "):
                    pass

    asyncio.run(main())


def test_a_listener_that_reads_nothing_is_cut_off_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its bytes pile up in nobody's memory; a metric counts it."""
    monkeypatch.setattr(stream, "WRITE_S", 0.2)

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
            writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
            await writer.drain()
            await reader.readline()
            await _listening(server)
            ballast = "x" * 60_000

            def flood() -> bool:
                for step in range(20):
                    mark = standing(Level.DOWN, f"{ballast}{step}", down=step % 3)
                    server.on_standings({**made.standings, "shop": mark})
                return b"watchtower_event_listeners_dropped_total 1" in server._metrics.render()

            await eventually(flood, within_s=20)
            async with http.get("/api/v1/events") as answer:
                await _listening(server)
                made.open("shop", 17)
                _apply(server, made, 4712)
                assert (await _read(answer, 1))[0][1] == "incident"
            writer.close()

    asyncio.run(main())


def test_too_many_listeners_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """503 with the advice to try another peer."""
    monkeypatch.setattr(stream, "LISTENERS_MAX", 1)

    async def main() -> None:
        async with serving(world()) as (server, http), http.get("/api/v1/events"):
            await _listening(server)
            async with http.get("/api/v1/events") as second:
                assert second.status == 503
                assert "another peer" in (await second.json())["detail"]

    asyncio.run(main())


def test_a_lost_quorum_is_an_event_although_nothing_is_applied() -> None:
    """The server looks once a second at what no log entry tells."""

    async def main() -> None:
        made = world()
        async with serving(made) as (server, http), http.get("/api/v1/events") as answer:
            await _listening(server)
            made.lose_quorum()
            events = await _read(answer, 3)
        assert {kind for _, kind, _ in events} == {"cluster", "peer"}
        assert events[0][2] == {"quorum": False, "leader": None}

    asyncio.run(main())


def test_events_need_the_right_to_read() -> None:
    """Like everything that tells of the cluster."""

    async def main() -> None:
        made = world(anonymous_read=False)
        async with serving(made) as (_, http), http.get("/api/v1/events") as answer:
            assert answer.status == 401

    asyncio.run(main())
