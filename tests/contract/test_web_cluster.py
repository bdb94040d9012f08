"""The cluster over HTTP: who counts, and the deliberate acts, against every way they can be refused.

Real requests over loopback; behind the server is a made-up cluster that takes down what it is told.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.web_support import ADMIN, BOOT, READ, WRITE, World, bearer, serving, world

from watchtower.core.commands import Answer, Resize
from watchtower.core.model import Checkpoint
from watchtower.core.settings import PeerSettings

ACTS = (
    ("GET", "/api/v1/cluster/backup"),
    ("POST", "/api/v1/cluster/transfer"),
    ("POST", "/api/v1/cluster/resize"),
    ("POST", "/-/drain?for=10m"),
    ("POST", "/-/undrain"),
)


def _call(made: World, method: str, path: str, token: str = ADMIN, **more: Any) -> tuple[int, Any]:
    """Status and JSON of one call."""

    async def main() -> tuple[int, Any]:
        async with (
            serving(made) as (_, http),
            http.request(method, path, headers=bearer(token), **more) as answer,
        ):
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.read())

    return asyncio.run(main())


def with_d(made: World) -> World:
    """The file names a fourth peer that is no member."""
    cluster = made.snap.settings.cluster
    fourth = PeerSettings(name="d", raft_host="127.0.0.1", raft_port=7700, http_url="http://d.example.com")
    made.turn(
        settings=replace(made.snap.settings, cluster=replace(cluster, peers=(*cluster.peers, fourth))),
        mismatch="the file names a, b, c, d, the cluster has a, b, c",
    )
    return made


@pytest.mark.parametrize(("method", "path"), ACTS)
def test_only_an_admin_acts_on_the_cluster(method: str, path: str) -> None:
    """A backup holds what people were told, so it is an act too; nothing happens for anybody else."""
    made = world()
    for token, status in ((READ, 403), (WRITE, 403), ("no-such-token", 401)):
        assert _call(made, method, path, token)[0] == status
    assert (made.acts, made.submitted) == ([], [])


def test_the_cluster_shows_members_file_and_its_own_part() -> None:
    """A peer of the file that is no member is there, and so is why this peer must not vote."""
    made = with_d(world())
    rows = {**made.snap.state.peers}
    rows["b"] = replace(rows["b"], members_gen=0, checkpoint=Checkpoint(entries=512, hash="5f0c"))
    made.turn(
        state=replace(made.snap.state, peers=rows),
        cluster=replace(made.snap.cluster, quarantine="its data folder is empty", members=("a", "b", "c")),
    )
    status, doc = _call(made, "GET", "/api/v1/cluster", READ)
    assert status == 200
    assert (doc["members"], doc["members_gen"], doc["counted"]) == (["a", "b", "c"], 1, ["a", "b", "c"])
    assert doc["file_peers"] == ["a", "b", "c", "d"]
    assert doc["mismatch"].startswith("the file names")
    assert (doc["quarantine"], doc["gate"], doc["command_version"]) == ("its data folder is empty", 1, 1)
    peers = {peer["name"]: peer for peer in doc["peers"]}
    assert [peers[name]["member"] for name in "abcd"] == [True, True, True, False]
    assert [peers[name]["confirmed"] for name in "abcd"] == [True, False, True, False]
    assert peers["b"]["checkpoint"] == {"entries": 512, "hash": "5f0c"}
    assert peers["a"]["linked"] is None


def test_a_member_that_the_file_does_not_name_is_shown() -> None:
    """It counts, so it must not be hidden; nobody knows its address."""
    made = world()
    made.turn(state=replace(made.snap.state, members=("a", "b", "c", "z")))
    doc = _call(made, "GET", "/api/v1/cluster")[1]
    assert [(peer["name"], peer["http"]) for peer in doc["peers"] if peer["name"] == "z"] == [("z", "")]


def test_a_transfer_needs_the_leader() -> None:
    """Another peer says whom to ask; at the leader it is done, or refused with Raft's own reason."""
    made = world()
    status, doc = _call(made, "POST", "/api/v1/cluster/transfer")
    assert (status, doc["detail"]) == (409, "this peer is not the leader: ask b")
    made.turn(cluster=replace(made.snap.cluster, role="leader", leader="a"))
    assert _call(made, "POST", "/api/v1/cluster/transfer", json={"to": "c"})[0] == 200
    assert made.acts == [("transfer", "c")]
    made.act_says = "nobody is linked and caught up"
    status, doc = _call(made, "POST", "/api/v1/cluster/transfer", data=b"")
    assert (status, doc["detail"]) == (409, "nobody is linked and caught up")


@pytest.mark.parametrize("body", [b"[]", b'{"members": "abc"}', b'{"members": ["a"], "gen": 1}', b"{"])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    """With the keys that are wanted, and without a proposal."""
    made = world()
    status, doc = _call(made, "POST", "/api/v1/cluster/resize", data=body)
    assert (status, doc["error"]) == (400, "bad body")
    assert "members, members_gen" in doc["detail"]
    assert made.submitted == []


def _resize(made: World, *members: str) -> tuple[int, Any]:
    return _call(made, "POST", "/api/v1/cluster/resize", json={"members": members, "members_gen": 1})


def test_a_step_is_proposed_once_and_answered_by_its_fate() -> None:
    """Done, refused by the ledger, or not known: three answers that mean three different things."""
    made = with_d(world())
    status, doc = _resize(made, "d", "c", "b", "a")
    assert (status, doc) == (200, {"members": ["a", "b", "c", "d"], "members_gen": 2})
    wanted = Resize(members=("a", "b", "c", "d"), members_gen=1, at_wall=made.snap.now.wall)
    assert made.submitted == [wanted]
    made.answer = Answer(ok=False, reason="not confirmed the current members yet: b")
    assert _resize(made, "a", "b", "c", "d")[0] == 409
    made.answer = None
    status, doc = _resize(made, "a", "b", "c", "d")
    assert (status, doc["error"]) == (503, "not known")


def test_a_step_that_would_leave_too_few_alive_is_not_proposed() -> None:
    """With b silent, c may not be removed before b; b itself may."""
    made = world()
    made.turn(view=replace(made.snap.view, heard_boot={"a": BOOT + 1, "b": BOOT - 60, "c": BOOT + 1}))
    status, doc = _resize(made, "a", "b")
    assert status == 409
    assert doc["detail"] == (
        "without c only 1 of 2 members would be alive, and 2 are needed: start b or remove it first"
    )
    assert made.submitted == []
    assert _resize(made, "a", "c")[0] == 200


def test_a_peer_that_no_file_names_is_not_added() -> None:
    """Nobody could reach it."""
    made = world()
    status, doc = _resize(made, "a", "b", "c", "d")
    assert (status, doc["detail"]) == (409, "the file of peer a does not name d: reload it first")


def test_a_backup_is_a_file() -> None:
    """Bytes as they are, with a name that says what of."""
    made = world()

    async def main() -> None:
        async with (
            serving(made) as (_, http),
            http.get("/api/v1/cluster/backup", headers=bearer(ADMIN)) as answer,
        ):
            assert await answer.read() == b"watchtower-backup"
            assert answer.headers["Content-Disposition"].startswith('attachment; filename="watchtower-prod-')
            assert answer.headers["Cache-Control"] == "no-store"

    asyncio.run(main())


def test_draining_takes_a_duration() -> None:
    """And coming back takes nothing."""
    made = world()
    for path in ("/-/drain", "/-/drain?for=600", "/-/drain?for=soon"):
        status, doc = _call(made, "POST", path)
        assert (status, doc["error"]) == (400, "bad query"), path
    assert _call(made, "POST", "/-/drain?for=10m")[0] == 200
    assert _call(made, "POST", "/-/undrain")[0] == 200
    assert made.acts == [("drain", 600.0), ("undrain",)]
    made.act_says = "no other peer is fit to watch and alert meanwhile"
    assert _call(made, "POST", "/-/drain?for=10m") == (
        409,
        {"error": "not drained", "detail": "no other peer is fit to watch and alert meanwhile"},
    )


def test_readiness_names_disk_and_members() -> None:
    """As checks of their own beside the one reason."""
    made = world()
    made.turn(mismatch="the file names others", cluster=replace(made.snap.cluster, trouble="no space"))
    checks = _call(made, "GET", "/readyz")[1]
    assert b'"disk:trouble":[{"status":"fail","output":"no space"}]' in checks
    assert b'"cluster:members":[{"status":"warn","output":"the file names others"}]' in checks
