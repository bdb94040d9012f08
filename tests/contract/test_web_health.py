"""Health paths: one status code each, for GET and HEAD, open to everybody.

Load balancers and orchestrators read nothing but the code, so each is checked in both directions.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.web_support import World, serving, world


def _ask(made: World, path: str) -> tuple[int, dict[str, Any]]:
    async def main() -> tuple[int, dict[str, Any]]:
        async with serving(made) as (_, http):
            async with http.head(path) as answer:
                status = answer.status
            async with http.get(path) as answer:
                assert answer.content_type == "application/health+json"
                assert answer.status == status
                return status, await answer.json()

    return asyncio.run(main())


def _turned(**cluster: Any) -> World:
    made = world(anonymous_read=False)
    made.turn(cluster=replace(made.snap.cluster, **cluster))
    return made


@pytest.mark.parametrize(
    ("path", "cluster", "status"),
    [
        ("/livez", {}, 200),
        ("/livez", {"leader": "", "links": {"b": False, "c": False}}, 200),
        ("/livez", {"tick_gap_s": 31.0}, 503),
        ("/leader", {}, 503),
        ("/leader", {"role": "leader", "leader": "a"}, 200),
        ("/leader", {"role": "leader", "leader": "a", "links": {"b": False, "c": False}}, 503),
        ("/quorum", {}, 200),
        ("/quorum", {"leader": ""}, 503),
        ("/quorum", {"links": {"b": False, "c": True}}, 200),
        ("/quorum", {"links": {"b": False, "c": False}}, 503),
    ],
)
def test_200_only_where_it_is_true(path: str, cluster: dict[str, Any], status: int) -> None:
    """A lost quorum does not make a peer dead, and a leader without a majority leads nobody."""
    found, doc = _ask(_turned(**cluster), path)
    assert found == status
    assert doc["status"] == ("pass" if status == 200 else "fail")


def test_ready_is_503_with_the_reason() -> None:
    """And a doubt is a warning: the peer goes on with its work."""
    made = world()
    assert _ask(made, "/readyz")[0] == 200
    made.turn(doubt="cannot reach 1.1.1.1")
    status, doc = _ask(made, "/readyz")
    assert (status, doc["status"], doc["output"]) == (200, "warn", "cannot reach 1.1.1.1")
    made.turn(ready_reason="not joined yet")
    status, doc = _ask(made, "/readyz")
    assert (status, doc["output"]) == (503, "not joined yet")


def test_the_alerter_is_where_the_lease_is_valid() -> None:
    """Holding it by the log is not enough: the holder itself must still count it as valid."""
    made = world()
    status, doc = _ask(made, "/alerter")
    assert (status, doc["holder"]) == (503, "b")
    made.turn(is_alerter=True)
    assert _ask(made, "/alerter")[0] == 200


def test_a_slow_loop_is_a_warning() -> None:
    """Alive, but somebody should look."""
    made = world()
    made.turn(loop_lag_s=0.9)
    status, doc = _ask(made, "/livez")
    assert (status, doc["status"]) == (200, "warn")
