"""`/a/{incident}/{code}`: act on one incident by the link of a message, without logging in.

Whoever holds the link may acknowledge that incident and silence its service for a while, nothing else, until
a day after its end (docs/decisions/0048-acting-on-alerts.md). GET changes nothing, because mail scanners
follow links; POST acts, from the form here or with JSON from whatever received the message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from watchtower.core import links
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.model import Incident
from watchtower.core.policies import Matcher, SilenceKind
from watchtower.core.ports import Snapshot
from watchtower.web import incidents, silences, wishes
from watchtower.web.access import is_same_site
from watchtower.web.answers import json_answer, problem
from watchtower.web.bodies import BadBody, body
from watchtower.web.desk import Desk, Refused, author
from watchtower.web.frame import Frame
from watchtower.web.routes import Route
from watchtower.web.wishes import SilenceBody

PATH: Final = "/a/{number}/{code}"
GOOD_AFTER_S: Final = 86_400.0
QUIET_MAX_S: Final = 7 * 86_400.0
BY_LINK: Final = "by link"


class EchoBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What a receiver of the message says: `act` is acknowledge or silence."""

    act: str = "acknowledge"
    by: wishes.Word = ""
    note: wishes.Line = ""
    for_: wishes.Word = wishes.FOR


class ActLinks:
    """Handlers of the link in a message."""

    def __init__(self, snapshot: Callable[[], Snapshot], frame: Frame, desk: Desk) -> None:
        self._snapshot = snapshot
        self._frame = frame
        self._desk = desk

    def routes(self) -> list[Route]:
        """Look, and act."""
        return [Route("GET", PATH, None, self.look), Route("POST", PATH, None, self.act)]

    async def look(self, request: web.Request) -> web.Response:
        """What the link is about, with the forms. Changes nothing."""
        incident = self._incident(request)
        if incident is None:
            return self._frame.page("act_gone.html", request, status=404)
        return self._page(request, incident)

    async def act(self, request: web.Request) -> web.Response:
        """Acknowledge, or silence the service."""
        incident, is_form = self._incident(request), request.content_type != "application/json"
        if incident is None:
            gone = problem(404, "not found", "this link is not good, or not any more")
            return self._frame.page("act_gone.html", request, status=404) if is_form else gone
        if not is_same_site(request):
            return problem(403, "not allowed", "the form of this very page is what counts")
        try:
            return await (self._form(request, incident) if is_form else self._echo(request, incident))
        except BadBody as fault:
            status, error, detail = 400, "bad body", str(fault)
        except Refused as refused:
            status, error, detail = refused.status, refused.error, refused.detail
        if is_form:
            return self._page(request, incident, status=status, said=f"Not done: {detail}.")
        return problem(status, error, detail)

    async def _form(self, request: web.Request, incident: Incident) -> web.Response:
        form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        by = author(form.get("by", ""), BY_LINK)
        if form.get("act") == "silence":
            await self._silence(incident, by, wishes.form_body({**form, "matchers": ""}))
        else:
            await self._desk.acknowledge(incident.number, by, form.get("note", ""), by_link=True)
        return self._frame.back(f"/a/{incident.number}/{request.match_info['code']}")

    async def _echo(self, request: web.Request, incident: Incident) -> web.Response:
        said = await body(request, EchoBody)
        by = author(said.by, BY_LINK)
        if said.act == "silence":
            asked = SilenceBody(matchers=[], for_=said.for_, reason=said.note)
            await self._silence(incident, by, asked)
        elif said.act == "acknowledge":
            incident = await self._desk.acknowledge(incident.number, by, said.note, by_link=True)
        else:
            raise BadBody("act: acknowledge, which is also meant by leaving it out, or silence")
        return json_answer({"done": said.act, "incident": incident.number, "by": by})

    async def _silence(self, incident: Incident, by: str, asked: SilenceBody) -> None:
        """Quiet for the service of this incident, and for nothing more."""
        if not links.may_silence(incident.service):
            raise Refused(409, "not set", f"{incident.service} can be acknowledged, not silenced")
        snap = self._snapshot()
        only = (Matcher(label="service", patterns=(incident.service,)),)
        wished = wishes.timed(asked, only, SilenceKind.SILENCE, by, snap)
        if wished.ends_wall - wished.starts_wall > QUIET_MAX_S:
            raise BadBody("by a link a silence lasts at most 7 days: log in for more")
        # One silence for each link, set anew: whoever holds it cannot fill the ledger.
        await self._desk.silence(replace(wished, id=f"link-{incident.number}"))

    def _incident(self, request: web.Request) -> Incident | None:
        """The incident of a link that is good now."""
        number, snap = request.match_info["number"], self._snapshot()
        if not (number.isascii() and number.isdigit() and len(number) <= 15):
            return None
        incident = snap.state.incidents.get(int(number))
        is_code = links.is_code(snap.settings, int(number), request.match_info["code"])
        if incident is None or not is_code:
            return None
        is_good = incident.is_open or snap.now.wall < incident.closed_wall + GOOD_AFTER_S
        return incident if is_good else None

    def _page(
        self, request: web.Request, incident: Incident, *, status: int = 200, said: str = ""
    ) -> web.Response:
        snap = self._snapshot()
        quiet: list[Any] = [
            silences.silence_doc(snap, one)
            for one in snap.state.silences.values()
            if silences.is_active(one, snap.now.wall)
            and one.matchers == (Matcher(label="service", patterns=(incident.service,)),)
        ]
        return self._frame.page(
            "act.html",
            request,
            status=status,
            said=said,
            incident=incidents.incident_docs(snap, [incident])[0],
            is_drill=incident.service.startswith(DRILL_PREFIX),
            may_be_silenced=links.may_silence(incident.service),
            quiet=quiet,
        )
