"""Circuit breakers as people and dashboards see them: in the API and as metrics, of this very peer."""

from __future__ import annotations

import asyncio

from support.web_support import NOW, http_service, serving, world

from watchtower.web.breakers import breaker_families
from watchtower.web.times import moment


def test_the_api_shows_every_breaker_of_this_peer() -> None:
    """State, since when, when it may be tried, why, what it judged by, and what happened so far."""

    async def scenario() -> None:
        async with serving(world(http_service("shop"))) as (_, client):
            async with client.get("/api/v1/breakers") as response:
                assert response.status == 200
                doc = await response.json()
            assert doc["peer"] == "a"
            shown = {one["name"]: one for one in doc["breakers"]}
            assert set(shown) == {"chat", "mail"}
            assert (shown["chat"]["state"], shown["chat"]["trial_at"], shown["chat"]["why"]) == (
                "closed",
                None,
                "",
            )
            mail = shown["mail"]
            assert (mail["purpose"], mail["state"], mail["why"]) == ("channel", "open", "connection refused")
            opened, trial = moment(NOW - 12.0), moment(NOW + 18.0)
            assert opened is not None
            assert trial is not None
            assert mail["since"] == opened.isoformat().replace("+00:00", "Z")
            assert mail["trial_at"] == trial.isoformat().replace("+00:00", "Z")
            assert (mail["window"]["fire"], mail["window"]["failure"]) == (5, 5)
            assert (mail["totals"]["open"], mail["totals"]["close"]) == (1, 0)

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
