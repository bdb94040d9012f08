"""The peers themselves over HTTP: who counts, how each is, and the few deliberate acts on the cluster.

Every act needs scope admin and is done by the peer that is asked. What is refused is answered by 409 with
what to do, what is not known by 503. A step of a resize that would leave too few living peers for a
majority is not even proposed: the ledger would take it, and then nobody could take it back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from msgspec import Struct

from watchtower.config.problems import Wrong
from watchtower.config.units import parse_duration
from watchtower.core.commands import Resize
from watchtower.core.ports import Snapshot, Submit
from watchtower.web import members
from watchtower.web.access import Scope
from watchtower.web.answers import json_answer, problem
from watchtower.web.bodies import BadBody, body
from watchtower.web.routes import Handler, Route
from watchtower.web.times import moment

RESIZE_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Doors:
    """What a peer lets its HTTP server do. Each returns "" or why it was not done, unless it says otherwise.

    `submit` proposes a command, `backup` gives the bytes of a backup, `drain` takes seconds, `look` the names
    of services that are looked at out of turn.
    """

    submit: Submit
    reload: Callable[[], Awaitable[str]]
    look: Callable[[tuple[str, ...]], None]
    transfer: Callable[[str], Awaitable[str]]
    backup: Callable[[], Awaitable[bytes]]
    drain: Callable[[float], Awaitable[str]]
    undrain: Callable[[], Awaitable[str]]


class TransferBody(Struct, frozen=True, forbid_unknown_fields=True):
    """To whom Raft leadership is to go; "" to whoever is furthest along."""

    to: str = ""


class ResizeBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The members after one step, and the generation of those they replace."""

    members: tuple[str, ...]
    members_gen: int


class ClusterApi:
    """Handlers of `/api/v1/cluster` and of draining."""

    def __init__(self, snapshot: Callable[[], Snapshot], doors: Doors) -> None:
        self._snapshot = snapshot
        self._doors = doors

    def routes(self) -> list[Route]:
        """One read, and what only an admin may."""
        admin: list[tuple[str, str, Handler]] = [
            ("GET", "/api/v1/cluster/backup", self.backup),
            ("POST", "/api/v1/cluster/transfer", self.transfer),
            ("POST", "/api/v1/cluster/resize", self.resize),
            ("POST", "/-/drain", self.drain),
            ("POST", "/-/undrain", self.undrain),
        ]
        routes = [Route(method, path, Scope.ADMIN, _asked_well(handler)) for method, path, handler in admin]
        return [Route("GET", "/api/v1/cluster", Scope.READ, self.cluster), *routes]

    async def cluster(self, _request: web.Request) -> web.Response:
        """Who counts, and how this peer's disk and log are."""
        return json_answer(members.cluster_doc(self._snapshot()))

    async def backup(self, _request: web.Request) -> web.Response:
        """The applied state as a file for `watchtower cluster restore`."""
        snap = self._snapshot()
        name = f"watchtower-{snap.settings.cluster.name}-{snap.state.entries}.backup"
        return web.Response(
            body=await self._doors.backup(),
            content_type="application/octet-stream",
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{name}"',
            },
        )

    async def transfer(self, request: web.Request) -> web.Response:
        """Hand Raft leadership on; only the leader can."""
        asked = await body(request, TransferBody)
        cluster = self._snapshot().cluster
        if cluster.role != "leader":
            leader = f"ask {cluster.leader}" if cluster.leader else "there is no leader just now"
            return problem(409, "not transferred", f"this peer is not the leader: {leader}")
        reason = await self._doors.transfer(asked.to)
        return _done({"transferred": True, "to": asked.to}, "not transferred", reason)

    async def resize(self, request: web.Request) -> web.Response:
        """One peer more, or one less."""
        asked = await body(request, ResizeBody)
        snap = self._snapshot()
        if reason := members.resize_risk(snap, asked.members):
            return problem(409, "not resized", reason)
        command = Resize(
            members=tuple(sorted(asked.members)), members_gen=asked.members_gen, at_wall=snap.now.wall
        )
        answer = await self._doors.submit(command, timeout_s=RESIZE_S)
        if answer is None:
            detail = "it is not known whether the step was made: look at /api/v1/cluster before the next try"
            return problem(503, "not known", detail)
        doc = {"members": command.members, "members_gen": asked.members_gen + 1}
        return _done(doc, "not resized", "" if answer.ok else answer.reason)

    async def drain(self, request: web.Request) -> web.Response:
        """Step aside for as long as `for` says."""
        try:
            for_s = parse_duration(request.query.get("for", ""))
        except Wrong as wrong:
            return problem(400, "bad query", f"for: {wrong.what}; {wrong.fix}, as in /-/drain?for=10m")
        reason = await self._doors.drain(for_s)
        until = moment(self._snapshot().drained_until_wall)
        return _done({"draining": True, "until": until}, "not drained", reason)

    async def undrain(self, _request: web.Request) -> web.Response:
        """Come back before the time is up."""
        reason = await self._doors.undrain()
        return _done({"draining": False}, "not back yet", reason)


def _asked_well(handler: Handler) -> Handler:
    """`handler`, with a body that cannot be understood answered by 400."""

    async def asked(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadBody as fault:
            return problem(400, "bad body", str(fault))

    return asked


def _done(doc: object, error: str, reason: str) -> web.Response:
    """`doc` when there is no `reason` against it, else 409."""
    return problem(409, error, reason) if reason else json_answer(doc)
