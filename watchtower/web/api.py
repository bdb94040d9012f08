"""`/api/v1`: what this peer knows as JSON; a look out of turn, and reload.

Handlers only choose a document and its page; shapes are in documents.py, incidents.py and deliveries.py, and
what people say about alerts is acts.py's. The status is encoded at most every quarter of a second and only
when something changed, with an ETag over everything but its age.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from aiohttp import web

from watchtower.core.ports import Snapshot
from watchtower.web import deliveries, documents, incidents
from watchtower.web.access import Scope
from watchtower.web.answers import json_answer, large_answer, not_modified, problem
from watchtower.web.cluster import Doors
from watchtower.web.paging import BadQuery, page_size, whole_number
from watchtower.web.routes import NAME, Handler, Route
from watchtower.web.shapes import ServiceDoc, StatusDoc

REBUILD_S: Final = 0.25
STALE_S: Final = 1.0

_encoder = msgspec.json.Encoder()


class Picture:
    """The status document of the moment, kept for a quarter of a second and while nothing changes."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._seen: tuple[object, ...] = ()
        self._built_boot = float("-inf")
        self._wire: bytes | None = None
        self.etag = ""
        self.doc: StatusDoc

    def look(self) -> Snapshot:
        """Bring `doc` up to date and return the snapshot it may be shown with."""
        snap = self._snapshot()
        age_s = snap.now.boot - self._built_boot
        if 0 <= age_s < REBUILD_S:
            return snap
        seen = _seen(snap)
        # Eligibility runs out by the clock alone, hence the second limit.
        if age_s >= STALE_S or not _same_objects(seen, self._seen):
            self.doc = documents.status_doc(snap)
            self._wire = None
            self._seen = seen
            self._built_boot = snap.now.boot
        return snap

    def wire(self) -> bytes:
        """`doc` as JSON; encoded once, with `etag` over it."""
        if self._wire is None:
            self._wire = _encoder.encode(self.doc)
            self.etag = f'W/"{hashlib.blake2b(self._wire, digest_size=12).hexdigest()}"'
        return self._wire


class Api:
    """Handlers of `/api/v1` and of reload."""

    def __init__(self, snapshot: Callable[[], Snapshot], picture: Picture, doors: Doors) -> None:
        self._snapshot = snapshot
        self._picture = picture
        self._doors = doors

    def routes(self) -> list[Route]:
        """Every path of the API but the event stream."""
        reads: list[tuple[str, Handler]] = [
            ("/api/v1/status", self.status),
            ("/api/v1/services", self.services),
            ("/api/v1/services/" + NAME, self.service),
            ("/api/v1/incidents", self.incidents),
            ("/api/v1/incidents/{number}", self.incident),
            ("/api/v1/notifications", self.notifications),
            ("/api/v1/notifications/{id}", self.notification),
            ("/api/v1/peers", self.peers),
        ]
        routes = [Route("GET", path, Scope.READ, _asked_well(handler)) for path, handler in reads]
        acts: list[tuple[str, Handler]] = [
            ("/api/v1/services/" + NAME + "/probe", self.probe),
            ("/-/reload", self.reload),
        ]
        return [*routes, *(Route("POST", path, Scope.WRITE, handler) for path, handler in acts)]

    async def status(self, request: web.Request) -> web.Response:
        """The whole picture, with ETag; `match=label=value` (repeatable) narrows the services."""
        snap = self._picture.look()
        wanted = request.query.getall("match", [])
        if wanted:
            doc = msgspec.structs.replace(
                self._picture.doc, services=_matching(self._picture.doc.services, wanted)
            )
            return _json(_with_freshness(snap, _encoder.encode(doc)))
        body = self._picture.wire()
        headers = {"ETag": self._picture.etag, "Cache-Control": "no-cache"}
        if not_modified(request, self._picture.etag):
            return web.Response(status=304, headers=headers)
        return _json(_with_freshness(snap, body), headers)

    async def services(self, request: web.Request) -> web.Response:
        """Every service with verdict and votes."""
        self._picture.look()
        wanted = request.query.getall("match", [])
        return json_answer({"services": _matching(self._picture.doc.services, wanted)})

    async def service(self, request: web.Request) -> web.Response:
        """One service, with this peer's latest result."""
        detail = documents.service_detail(self._snapshot(), request.match_info["name"])
        return _found(detail, "no service of that name in the config of this peer")

    async def probe(self, request: web.Request) -> web.Response:
        """Look at a service now, from this peer; what is seen counts like any look."""
        settings, name = self._snapshot().settings, request.match_info["name"]
        if name not in settings.services:
            return problem(404, "not found", "no service of that name in the config of this peer")
        if all(service.name != name for service in settings.looked_at_by(settings.me)):
            return problem(409, "not looked at", f"peer {settings.me} does not look at {name}: ask another")
        self._doors.look((name,))
        return json_answer({"service": name, "peer": settings.me}, status=202)

    async def incidents(self, request: web.Request) -> web.Response:
        """Incidents, open ones first."""
        snap = self._snapshot()
        query = request.query
        page, following = incidents.incident_page(
            snap.state,
            wanted=query.get("state", ""),
            service=query.get("service", ""),
            cursor=query.get("cursor", ""),
            limit=page_size(query.get("limit", "")),
        )
        docs = incidents.incident_docs(snap, page)
        return json_answer({"incidents": docs, "next": following})

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with timeline and notifications."""
        number = whole_number(request.match_info["number"], "the number of an incident") or 0
        detail = incidents.incident_detail(self._snapshot(), number)
        return _found(detail, "no incident of that number is kept here")

    async def notifications(self, request: web.Request) -> web.Response:
        """The delivery ledger, newest first."""
        snap = self._snapshot()
        query = request.query
        page, following = deliveries.notification_page(
            snap.state,
            stage=query.get("stage", ""),
            channel=query.get("channel", ""),
            incident=whole_number(query.get("incident", ""), "incident"),
            cursor=query.get("cursor", ""),
            limit=page_size(query.get("limit", "")),
        )
        docs = deliveries.notification_docs(snap, page)
        return json_answer({"notifications": docs, "next": following})

    async def notification(self, request: web.Request) -> web.Response:
        """One notification; a digest with all that it tells."""
        detail = deliveries.notification_detail(self._snapshot(), request.match_info["id"])
        return _found(detail, "no notification of that id is kept here")

    async def peers(self, _request: web.Request) -> web.Response:
        """Every peer with clock, lease and link."""
        return json_answer({"peers": documents.peer_details(self._snapshot())})

    async def reload(self, _request: web.Request) -> web.Response:
        """Read the config again; a file with errors leaves the old one in force and says what is wrong."""
        refusal = await self._doors.reload()
        if refusal:
            return problem(422, "config refused", refusal)
        snap = self._snapshot()
        return json_answer(
            {
                "reloaded": True,
                "config_hash": snap.settings.config_hash,
                "waits_for_start": snap.waits_for_start,
            }
        )


def _seen(snap: Snapshot) -> tuple[object, ...]:
    """What a status document is made of."""
    cluster = snap.cluster
    plain = (cluster.leader, cluster.role, cluster.has_quorum, tuple(cluster.links.items()))
    texts = (snap.is_alerter, snap.ready_reason, snap.doubt, snap.reload_error)
    return (snap.state, snap.view.standings, snap.settings, *plain, *texts)


def _same_objects(left: tuple[object, ...], right: tuple[object, ...]) -> bool:
    """Equal, where the first three, large and immutable, are compared by identity."""
    if len(left) != len(right):
        return False
    return all(a is b for a, b in zip(left[:3], right[:3], strict=True)) and left[3:] == right[3:]


def _with_freshness(snap: Snapshot, body: bytes) -> bytes:
    """The document's JSON with how old it is put in front."""
    return _encoder.encode(documents.freshness(snap))[:-1] + b"," + body[1:]


def _json(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return large_answer(body, "application/json; charset=utf-8", headers)


def _matching(services: Iterable[ServiceDoc], wanted: list[str]) -> list[ServiceDoc]:
    """Services that bear every wanted `label=value`. Raises BadQuery for what is no such pair."""
    pairs = [text.partition("=") for text in wanted]
    if not all(label and equals for label, equals, _ in pairs):
        raise BadQuery("match is label=value, as in ?match=team=shop")
    return [doc for doc in services if all(doc.labels.get(label) == value for label, _, value in pairs)]


def _found(doc: object | None, otherwise: str) -> web.Response:
    return problem(404, "not found", otherwise) if doc is None else json_answer(doc)


def _asked_well(handler: Handler) -> Handler:
    """`handler`, with a query that cannot be understood answered by 400."""

    async def asked(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadQuery as fault:
            return problem(400, "bad query", str(fault))

    return asked
