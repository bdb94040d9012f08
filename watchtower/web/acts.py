"""`/api/v1` for people who act on alerts: acknowledge, silence, maintenance, test a channel, drill.

Reads need scope read, acts scope write; who acts is named by the token, and by what it says of itself.
Handlers read the body, have the desk do it, and show how it is then.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from watchtower.core.policies import SilenceKind
from watchtower.core.ports import Snapshot
from watchtower.web import deliveries, incidents, silences, wishes
from watchtower.web.access import Scope
from watchtower.web.answers import json_answer, problem
from watchtower.web.bodies import BadBody, body
from watchtower.web.desk import Desk, Refused, author
from watchtower.web.paging import BadQuery, whole_number
from watchtower.web.quiet_shapes import TestDoc
from watchtower.web.routes import CALLER, Handler, Route
from watchtower.web.windows import window_docs
from watchtower.web.wishes import AckBody, DrillBody, PreviewBody, SilenceBody, TestBody

_INCIDENT_ACK = "/api/v1/incidents/{number}/ack"


class ActsApi:
    """Handlers of what people say about alerts."""

    def __init__(self, snapshot: Callable[[], Snapshot], desk: Desk) -> None:
        self._snapshot = snapshot
        self._desk = desk

    def routes(self) -> list[Route]:
        """Every path here; each act behind scope write."""
        silence, maintenance = SilenceKind.SILENCE, SilenceKind.MAINTENANCE
        reads: list[tuple[str, Handler]] = [
            ("/api/v1/silences", self.silences),
            ("/api/v1/silences/{id}", self.one(silence)),
            ("/api/v1/maintenance", self.maintenance),
            ("/api/v1/maintenance/{id}", self.one(maintenance)),
            ("/api/v1/channels", self.channels),
            ("/api/v1/drills", self.drills),
        ]
        acts: list[tuple[str, str, Handler]] = [
            ("POST", _INCIDENT_ACK, self.acknowledge),
            ("DELETE", _INCIDENT_ACK, self.withdraw),
            ("POST", "/api/v1/silences", self.quiet(silence)),
            ("POST", "/api/v1/silences/preview", self.preview),
            ("DELETE", "/api/v1/silences/{id}", self.loud(silence)),
            ("POST", "/api/v1/maintenance", self.quiet(maintenance)),
            ("DELETE", "/api/v1/maintenance/{id}", self.loud(maintenance)),
            ("POST", "/api/v1/channels/test", self.try_channels),
            ("POST", "/api/v1/drills", self.drill),
        ]
        routes = [Route("GET", path, Scope.READ, _answered(handler)) for path, handler in reads]
        scopes = {"/api/v1/silences/preview": Scope.READ}
        return routes + [
            Route(method, path, scopes.get(path, Scope.WRITE), _answered(handler))
            for method, path, handler in acts
        ]

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Somebody takes the incident."""
        said, number = await body(request, AckBody), _number(request)
        incident = await self._desk.acknowledge(number, author(said.by, request[CALLER]), said.note)
        return json_answer(incidents.incident_docs(self._snapshot(), [incident])[0])

    async def withdraw(self, request: web.Request) -> web.Response:
        """Somebody leaves it again."""
        said, number = await body(request, AckBody), _number(request)
        by = author(said.by, request[CALLER])
        incident = await self._desk.acknowledge(number, by, withdraw=True)
        return json_answer(incidents.incident_docs(self._snapshot(), [incident])[0])

    async def silences(self, request: web.Request) -> web.Response:
        """Silences, those that are on first."""
        wanted = _state(request)
        return json_answer(
            {"silences": silences.silence_docs(self._snapshot(), SilenceKind.SILENCE, wanted=wanted)}
        )

    async def maintenance(self, request: web.Request) -> web.Response:
        """Maintenance that somebody began, and the windows of the config with their next start."""
        snap = self._snapshot()
        begun = silences.silence_docs(snap, SilenceKind.MAINTENANCE, wanted=_state(request))
        return json_answer({"maintenance": begun, "windows": window_docs(snap)})

    def one(self, kind: SilenceKind) -> Handler:
        """A handler that shows one silence of a kind."""

        async def show(request: web.Request) -> web.StreamResponse:
            silence = self._desk.known_silence(request.match_info["id"], kind)
            return json_answer(silences.silence_doc(self._snapshot(), silence))

        return show

    def quiet(self, kind: SilenceKind) -> Handler:
        """A handler that sets a silence of a kind."""

        async def set_one(request: web.Request) -> web.StreamResponse:
            asked, snap = await body(request, SilenceBody), self._snapshot()
            wished = wishes.silence(asked, kind, author(asked.author, request[CALLER]), snap)
            hit = silences.preview_doc(snap, wished.matchers)
            await self._desk.silence(wished)
            doc = silences.silence_doc(self._snapshot(), wished)
            return json_answer({"silence": doc, "hits": hit}, status=200 if asked.id else 201)

        return set_one

    def loud(self, kind: SilenceKind) -> Handler:
        """A handler that ends a silence of a kind."""

        async def end(request: web.Request) -> web.StreamResponse:
            silence = await self._desk.end(request.match_info["id"], kind, request[CALLER])
            return json_answer(silences.silence_doc(self._snapshot(), silence))

        return end

    async def preview(self, request: web.Request) -> web.Response:
        """What matchers hit now."""
        asked, snap = await body(request, PreviewBody), self._snapshot()
        return json_answer(silences.preview_doc(snap, wishes.matchers(asked.matchers, snap)))

    async def channels(self, _request: web.Request) -> web.Response:
        """How each channel is."""
        return json_answer({"channels": deliveries.channel_docs(self._snapshot())})

    async def try_channels(self, request: web.Request) -> web.Response:
        """Test messages, in turn; what becomes of them stands in the notifications."""
        asked = await body(request, TestBody)
        by = author(asked.by, request[CALLER])
        name, tests = await self._desk.try_channels(asked.channels, asked.peers, by)
        docs = [TestDoc(id=key, channel=channel, peer=peer) for key, (channel, peer) in tests.items()]
        return json_answer({"test": name, "tests": docs}, status=202)

    async def drills(self, _request: web.Request) -> web.Response:
        """The latest drill."""
        return json_answer(silences.drill_doc(self._snapshot()))

    async def drill(self, request: web.Request) -> web.Response:
        """A fire drill now; whether it arrives shows at the same path."""
        asked = await body(request, DrillBody)
        await self._desk.drill(asked.channel, author(asked.by, request[CALLER]))
        return json_answer(silences.drill_doc(self._snapshot()), status=202)


def _number(request: web.Request) -> int:
    return whole_number(request.match_info["number"], "the number of an incident") or 0


def _state(request: web.Request) -> str:
    wanted = request.query.get("state", "")
    if wanted not in {"", "active", "waits", "over"}:
        raise BadQuery("state is 'active', 'waits' or 'over'")
    return wanted


def _answered(handler: Handler) -> Handler:
    """`handler`, with every way not to do it answered by its reason."""

    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except BadBody as fault:
            return problem(400, "bad body", str(fault))
        except BadQuery as fault:
            return problem(400, "bad query", str(fault))
        except Refused as refused:
            return problem(refused.status, refused.error, refused.detail)

    return answered
