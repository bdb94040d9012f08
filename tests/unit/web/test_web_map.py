"""The graph of needs in the API: who needs whom, what is unmet, and what explains what fails."""

from __future__ import annotations

import asyncio

from support.web_support import World, http_service, serving, world

from watchtower.core.model import Level
from watchtower.core.settings import Need
from watchtower.web.needs_map import map_doc


def _made() -> World:
    """A shop on a database and one of two payment providers; a blog that needs nobody."""
    either = Need(names=("pay-a", "pay-b"))
    search = Need(names=("search",), degraded="no suggestions")
    return world(
        http_service("db"),
        http_service("pay-a"),
        http_service("pay-b"),
        http_service("search"),
        http_service("shop", title="Shop", group="web", needs=(Need(names=("db",)), either, search)),
        http_service("admin", needs=(Need(names=("shop",)),)),
        http_service("blog"),
    )


def test_the_map_has_the_graph_and_what_explains_what_fails() -> None:
    """The deepest cause is the root of all that fails above it; what nobody needs is not there."""

    async def scenario() -> None:
        made = _made()
        for number, name in enumerate(("db", "shop", "pay-a"), 1):
            made.judge(name, Level.DOWN, "3 of 3 peers see it down", down=3)
            made.open(name, number)
        async with serving(made) as (_, client), client.get("/api/v1/map") as response:
            assert response.status == 200
            doc = await response.json()
        nodes = {node["service"]: node for node in doc["nodes"]}
        assert set(nodes) == {"db", "pay-a", "pay-b", "search", "shop", "admin"}
        assert nodes["shop"] == {
            "service": "shop",
            "title": "Shop",
            "group": "web",
            "level": "down",
            "incident": 2,
            "unmet": [0],
            "roots": ["db"],
        }
        assert (nodes["admin"]["incident"], nodes["admin"]["unmet"], nodes["admin"]["roots"]) == (
            None,
            [0],
            [],
        )
        drawn = [(edge["source"], edge["target"], edge["index"]) for edge in doc["edges"]]
        assert drawn == [
            ("shop", "db", 0),
            ("shop", "pay-a", 1),
            ("shop", "pay-b", 1),
            ("shop", "search", 2),
            ("admin", "shop", 0),
        ]
        assert (doc["edges"][1]["at_least"], doc["edges"][1]["of"]) == (1, 2)
        assert doc["edges"][3]["degraded"] == "no suggestions"
        assert [(root["service"], root["affected"], root["failing"]) for root in doc["roots"]] == [
            ("db", 2, 1),
            ("pay-a", 0, 0),
        ]

    asyncio.run(scenario())


def test_what_cannot_be_judged_explains_nothing_on_the_map_either() -> None:
    """A database in unknown is no root, whatever its incident was."""
    made = _made()
    made.open("db", 1)
    made.judge("db", Level.UNKNOWN, "no 2 of 3 peers agree")
    made.open("shop", 2)
    doc = map_doc(made.snap)
    assert {node.service: node.roots for node in doc.nodes}["shop"] == ()
    assert [root.service for root in doc.roots] == ["shop"]
