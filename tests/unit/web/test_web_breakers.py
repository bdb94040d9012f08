"""Circuit breakers as people and dashboards see them: in the API and as metrics, of this very peer."""

from __future__ import annotations

import asyncio
from datetime import datetime

from msgspec.structs import replace
from support.web_support import NOW, World, http_service, serving, world

from watchtower.web.breakers import breaker_families
from watchtower.web.times import moment


def _told() -> World:
    """Peer b has said that it cannot reach a channel."""
    made = world(http_service("shop"))
    rows = made.snap.state.peers
    blocked = replace(rows["b"], paths={"chat": "open: no answer in time"})
    made.turn(state=replace(made.snap.state, peers={**rows, "b": blocked}))
    return made


def test_the_api_shows_every_breaker_of_this_peer() -> None:
    """State, since when, when it may be tried, why, what it judged by, and what happened so far."""

    async def scenario() -> None:
        async with serving(_told()) as (_, client):
            async with client.get("/api/v1/breakers") as response:
                assert response.status == 200
                doc = await response.json()
            assert doc["peer"] == "a"
            assert doc["reported"] == {"b": {"chat": "open: no answer in time"}}
            shown = {one["name"]: one for one in doc["breakers"]}
            assert set(shown) == {"chat", "mail"}
            assert (shown["chat"]["state"], shown["chat"]["trial_at"], shown["chat"]["why"]) == (
                "closed",
                None,
                "",
            )
            mail = shown["mail"]
            assert (mail["purpose"], mail["state"], mail["why"]) == ("channel", "open", "connection refused")
            assert datetime.fromisoformat(mail["since"]) == moment(NOW - 12.0)
            assert datetime.fromisoformat(mail["trial_at"]) == moment(NOW + 18.0)
            assert (mail["window"]["fire"], mail["window"]["failure"]) == (5, 5)
            assert (mail["totals"]["open"], mail["totals"]["close"]) == (1, 0)

    asyncio.run(scenario())


def test_the_page_and_the_status_name_the_peer_that_cannot_reach_a_channel() -> None:
    """In the words of the report, on every peer."""

    async def scenario() -> None:
        async with serving(_told()) as (_, client):
            async with client.get("/") as response:
                page = await response.text()
            assert page.count("circuit breaker of channel chat is open: no answer in time") == 1
            async with client.get("/api/v1/status") as response:
                peers = (await response.json())["peers"]
            paths = {peer["name"]: peer["paths"] for peer in peers}
            assert paths == {"a": {}, "b": {"chat": "open: no answer in time"}, "c": {}}

    asyncio.run(scenario())


def test_exactly_one_state_of_a_breaker_is_set() -> None:
    """As with verdicts: 1 for the one it is in, so that sums and alerts need no mapping of words."""
    lines = "".join(breaker_families(world(http_service("shop")).snap)).splitlines()
    on = [line for line in lines if line.startswith("watchtower_breaker_state{") and line.endswith(" 1")]
    assert on == [
        'watchtower_breaker_state{purpose="channel",breaker="chat",state="closed"} 1',
        'watchtower_breaker_state{purpose="channel",breaker="mail",state="open"} 1',
    ]
    assert sum(line.startswith("watchtower_breaker_state{") for line in lines) == 6
    assert 'watchtower_breaker_events_total{purpose="channel",breaker="mail",event="failure"} 5' in lines
    assert 'watchtower_breaker_events_total{purpose="channel",breaker="mail",event="fallback"} 0' in lines
