"""The JSON API of the real server on loopback.

The cluster behind it is made up (support.web_support); paths, shapes and status codes are the contract.
"""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from msgspec.structs import replace
from support.web_support import READ, WRITE, World, bearer, http_service, serving, settings, world

from watchtower.core.model import Level, Opinion, Stage
from watchtower.errors import ClusterError
from watchtower.history.off import NoHistory
from watchtower.web.server import WebServer


def test_the_status_tells_the_whole_picture() -> None:
    """Cluster, peers with reasons, verdicts with votes, open incidents, and the headers of every answer."""

    async def main() -> None:
        made = world()
        made.vote("a", "shop", Opinion.DOWN, "timeout after 10 s")
        made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
        made.open("shop", 17)
        async with serving(made) as (_, http), http.get("/api/v1/status") as answer:
            doc = await answer.json()
            headers = answer.headers
        assert (doc["cluster"], doc["peer"], doc["leader"], doc["alerter"]) == ("prod", "a", "b", "b")
        assert (doc["quorum"], doc["index"], doc["epoch"]) == (True, 4711, 4)
        assert doc["summary"] == {
            "services": 3, "up": 2, "degraded": 0, "partial": 0, "down": 1, "unknown": 0, "incidents_open": 1,
            "acknowledged": 0, "flapping": 0, "withheld": {},
        }  # fmt: skip
        shop = doc["services"][0]
        assert (shop["name"], shop["verdict"], shop["incident"]) == ("shop", "down", 17)
        assert shop["votes"][0]["text"] == "timeout after 10 s"
        assert shop["since"].endswith("Z")
        assert [peer["eligible"] for peer in doc["peers"]] == [True] * 3
        assert doc["incidents"][0]["number"] == 17
        assert headers["X-Watchtower-Peer"] == "a"
        assert headers["X-Watchtower-Leader"] == "b"
        assert headers["X-Watchtower-Index"] == "4711"
        assert headers["X-Watchtower-Lag-Ms"] == "1400"
        assert headers["Server"] == "watchtower"

    asyncio.run(main())


def test_an_unchanged_status_is_304_and_a_changed_one_is_not() -> None:
    """The ETag stands still while time passes and entries without meaning come, and moves on a vote."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            async with http.get("/api/v1/status") as answer:
                etag = answer.headers["ETag"]
            made.turn(cluster=replace(made.snap.cluster, applied_index=4799, last_commit_age_s=0.3))
            async with http.get("/api/v1/status", headers={"If-None-Match": f'"x", {etag}'}) as answer:
                assert answer.status == 304
                assert answer.headers["X-Watchtower-Index"] == "4799"
                assert await answer.read() == b""
            made.vote("a", "shop", Opinion.DOWN, "refused")
            async with http.get("/api/v1/status", headers={"If-None-Match": etag}) as answer:
                assert answer.status == 200
                assert answer.headers["ETag"] != etag
                assert (await answer.json())["index"] == 4799

    asyncio.run(main())


def test_without_quorum_the_status_still_answers_and_says_how_old_it_is() -> None:
    """Status 200, quorum false, no leader, the age of the knowledge, and who is silent."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            made.lose_quorum(age_s=134.0)
            async with http.get("/api/v1/status") as answer:
                doc = await answer.json()
                assert answer.status == 200
                assert answer.headers["X-Watchtower-Leader"] == ""
                assert answer.headers["X-Watchtower-Lag-Ms"] == "134000"
        assert (doc["quorum"], doc["leader"], doc["knowledge_age_s"]) == (False, None, 134.0)
        assert [peer["reason"] for peer in doc["peers"]] == ["", "silent", "silent"]

    asyncio.run(main())


def test_match_narrows_by_labels() -> None:
    """All pairs must hold; what is no pair is a 400 that says what would be one."""

    async def main() -> None:
        made = world(
            http_service("shop", labels=(("team", "shop"), ("tier", "1"))),
            http_service("blog", labels=(("team", "web"), ("tier", "1"))),
        )
        async with serving(made) as (_, http):
            for path in ("/api/v1/status", "/api/v1/services"):
                async with http.get(f"{path}?match=tier=1&match=team=web") as answer:
                    assert [found["name"] for found in (await answer.json())["services"]] == ["blog"]
                async with http.get(f"{path}?match=nonsense") as answer:
                    assert answer.status == 400
                    assert "label=value" in (await answer.json())["detail"]

    asyncio.run(main())


def test_one_service_and_names_with_a_slash() -> None:
    """`peer/b` is found with its slash and with %2F; a missing one is a JSON 404."""

    async def main() -> None:
        made = world()
        made.result("shop")
        async with serving(made) as (_, http):
            async with http.get("/api/v1/services/shop") as answer:
                doc = await answer.json()
            assert doc["result"]["facts"]["status"] == 200
            assert doc["result"]["phases_ms"]["tls"] == 22.0
            for path in ("peer/b", "peer%2Fb"):
                async with http.get(f"/api/v1/services/{path}") as answer:
                    assert (await answer.json())["name"] == "peer/b"
            for path in ("/api/v1/services/nope", "/api/v1/nope", "/api/v1/incidents/99"):
                async with http.get(path) as answer:
                    assert answer.status == 404
                    assert set(await answer.json()) == {"error", "detail"}

    asyncio.run(main())


def test_incidents_and_the_delivery_ledger() -> None:
    """Open first, pages by cursor, timeline, and who sent what by which channel with which answer."""

    async def main() -> None:
        made = world()
        for number, service in ((1, "shop"), (2, "orders-db"), (3, "nightly")):
            made.open(service, number)
        made.close(3)
        made.tell(1)
        made.tell(2, Stage.PENDING, "mail")
        async with serving(made) as (_, http):
            async with http.get("/api/v1/incidents?limit=2") as answer:
                page = await answer.json()
            assert [found["number"] for found in page["incidents"]] == [2, 1]
            async with http.get("/api/v1/incidents", params={"cursor": page["next"]}) as answer:
                rest = await answer.json()
            assert ([found["number"] for found in rest["incidents"]], rest["next"]) == ([3], None)
            async with http.get("/api/v1/incidents?state=open") as answer:
                assert len((await answer.json())["incidents"]) == 2
            async with http.get("/api/v1/incidents/1") as answer:
                detail = await answer.json()
            assert detail["timeline"][0]["level"] == "down"
            assert detail["notifications"][0]["channel"] == "chat"
            async with http.get("/api/v1/notifications") as answer:
                ledger = (await answer.json())["notifications"]
            assert [item["stage"] for item in ledger] == ["pending", "delivered"]
            sent = ledger[1]
            assert (sent["schema"], sent["receipt"]) == ("slack", "slack: ok")
            assert sent["attempts"][0]["peer"] == "b"
            assert sent["attempts"][0]["detail"] == "200 ok"
            for path in ("incidents?state=x", "incidents?cursor=z", "notifications?limit=0", "incidents/x"):
                async with http.get(f"/api/v1/{path}") as answer:
                    assert answer.status == 400, path

    asyncio.run(main())


def test_peers_tell_version_config_role_lease_clock_and_link() -> None:
    """Everything an operator asks about a peer."""

    async def main() -> None:
        async with serving(world()) as (_, http), http.get("/api/v1/peers") as answer:
            peers = (await answer.json())["peers"]
        assert [peer["role"] for peer in peers] == ["follower", "leader", "follower"]
        assert peers[1]["lease"] == {"epoch": 4, "renewals": 0, "length_ms": 6000}
        assert peers[1]["clock_offset_s"] == 0.012
        assert peers[1]["config_in_force"] is True
        assert peers[1]["command_version"] == 1

    asyncio.run(main())


def test_a_look_out_of_turn_is_asked_for() -> None:
    """202 and a look; 404 for a stranger, 409 for what this peer does not look at, 403 for a reader."""

    async def run() -> None:
        made = world(http_service("shop"), replace(http_service("theirs"), voters=("b", "c")))
        async with serving(made) as (_, http):
            for name, status in (("shop", 202), ("theirs", 409), ("nobody", 404)):
                async with http.post(f"/api/v1/services/{name}/probe", headers=bearer(WRITE)) as answer:
                    assert answer.status == status, await answer.text()
            async with http.post("/api/v1/services/shop/probe", headers=bearer(READ)) as answer:
                assert answer.status == 403
        assert made.acts == [("look", "shop")]

    asyncio.run(run())


def test_reload_takes_the_file_or_says_what_is_wrong() -> None:
    """200 with the hash, or 422 with the text of every error."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            async with http.post("/-/reload", headers=bearer(WRITE)) as answer:
                assert (answer.status, (await answer.json())["reloaded"]) == (200, True)
            made.reload_says = "watchtower.yaml:3: unknown key 'servces', did you mean 'services'?"
            async with http.post("/-/reload", headers=bearer(WRITE)) as answer:
                assert answer.status == 422
                assert (await answer.json())["detail"] == made.reload_says
        assert len(made.reloads) == 2

    asyncio.run(main())


def test_a_fault_of_our_own_is_a_plain_500_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    """No stack trace leaves; the log has it."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            good = made.snap
            broken = replace(good, state=replace(good.state, incidents={1: None}))
            made.snap = broken
            async with http.get("/api/v1/incidents") as answer:
                assert answer.status == 500
                assert (await answer.json())["error"] == "internal error"
            made.snap = good
            async with http.get("/metrics") as answer:
                assert "watchtower_http_failed_total 1" in await answer.text()

    asyncio.run(main())
    assert "could not be answered" in caplog.text


def test_what_is_too_large_or_of_the_wrong_method_is_refused_in_json() -> None:
    """413 and 405, both as {error, detail}."""

    async def main() -> None:
        made = world()
        async with serving(made) as (_, http):
            async with http.post("/login", data={"token": "x" * 40_000}) as answer:
                assert (answer.status, (await answer.json())["error"]) == (413, "request entity too large")
            async with http.post("/api/v1/status") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET,HEAD")

    asyncio.run(main())


def test_everything_stands_behind_the_base_path_and_health_also_without() -> None:
    """The proxy adds the path; peers and orchestrators do not know it."""

    async def main() -> None:
        made = world(base_path="/watch/")
        async with serving(made) as (_, http):
            for path, status in (
                ("/watch/api/v1/status", 200), ("/watch/", 200), ("/watch/readyz", 200), ("/readyz", 200),
                ("/api/v1/status", 404), ("/watch/static/style.css", 200),
            ):  # fmt: skip
                async with http.get(path) as answer:
                    assert answer.status == status, path
            async with http.get("/watch/") as answer:
                page = await answer.text()
            assert 'href="/watch/static/style.css"' in page
            assert 'href="/static' not in page

    asyncio.run(main())


def test_a_port_in_use_is_said_with_host_and_port() -> None:
    """And what to do about it."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as held:
            port = held.getsockname()[1]
            made = World(settings(listen_port=port))
            server = WebServer(made.snap.settings, made.look, made.doors(), NoHistory())
            with pytest.raises(ClusterError, match=f"127.0.0.1:{port}.*http.listen"):
                await server.start()
            await server.stop()

    asyncio.run(main())


def test_stop_ends_open_streams_at_once() -> None:
    """A listener does not hold up a shutdown."""

    async def main() -> None:
        made = world()
        server = WebServer(made.snap.settings, made.look, made.doors(), NoHistory())
        await server.start()
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http,
            http.get("/api/v1/events") as stream,
        ):
            await stream.content.readline()
            async with asyncio.timeout(3):
                await server.stop()
            assert await stream.content.read() is not None

    asyncio.run(main())
