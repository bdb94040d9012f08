"""The pages from which people act: an incident, the delivery ledger, silences. Forms, no script needed.

Reading is for whoever may read; a form is shown to, and taken from, whoever is logged in with scope write.
A silence is shown with what it hits before it is set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from watchtower.core.policies import SilenceKind
from watchtower.core.ports import Snapshot
from watchtower.web import deliveries, incidents, silences, wishes
from watchtower.web.access import Scope
from watchtower.web.bodies import BadBody
from watchtower.web.desk import Desk, Refused, author
from watchtower.web.frame import Frame
from watchtower.web.paging import BadQuery, whole_number
from watchtower.web.routes import CALLER, Route
from watchtower.web.windows import window_docs
from watchtower.web.wishes import form_body


class ActingPages:
    """Handlers of the pages with forms."""

    def __init__(self, snapshot: Callable[[], Snapshot], frame: Frame, desk: Desk) -> None:
        self._snapshot = snapshot
        self._frame = frame
        self._desk = desk

    def routes(self) -> list[Route]:
        """Every path here."""
        return [
            Route("GET", "/incidents/{number}", Scope.READ, self.incident),
            Route("POST", "/incidents/{number}/ack", Scope.WRITE, self.acknowledge),
            Route("GET", "/notifications", Scope.READ, self.notifications),
            Route("GET", "/notifications/{id}", Scope.READ, self.notification),
            Route("GET", "/silences", Scope.READ, self.silences),
            Route("POST", "/silences", Scope.WRITE, self.silence),
            Route("POST", "/silences/{id}/end", Scope.WRITE, self.end),
        ]

    async def incident(self, request: web.Request) -> web.Response:
        """One incident: what was seen, what happened, who was told, and why nobody is."""
        return self._incident(request)

    async def acknowledge(self, request: web.Request) -> web.Response:
        """The form of an incident."""
        form = _texts(await request.post())
        by = author(form.get("by", ""), request[CALLER])
        try:
            number = whole_number(request.match_info["number"], "the number") or 0
            is_withdrawal = form.get("withdraw") == "yes"
            await self._desk.acknowledge(number, by, form.get("note", ""), withdraw=is_withdrawal)
        except BadQuery:
            return self._frame.nothing(request, "No incident of that number is kept here.")
        except Refused as refused:
            return self._incident(request, status=refused.status, said=f"Not done: {refused.detail}.")
        return self._frame.back(f"/incidents/{number}")

    async def notifications(self, request: web.Request) -> web.Response:
        """The delivery ledger, and how each channel is."""
        snap, query = self._snapshot(), request.query
        stage, channel, cursor = (query.get(key, "") for key in ("stage", "channel", "cursor"))
        try:
            page, following = deliveries.notification_page(
                snap.state, stage=stage, channel=channel, cursor=cursor
            )
        except BadQuery as fault:
            return self._frame.nothing(request, f"That page cannot be shown: {fault}.")
        return self._frame.page(
            "notifications.html",
            request,
            items=deliveries.notification_docs(snap, page),
            channels=deliveries.channel_docs(snap),
            following=following,
            stage=stage,
            channel=channel,
        )

    async def notification(self, request: web.Request) -> web.Response:
        """One notification with its attempts; a digest with every service that it tells."""
        detail = deliveries.notification_detail(self._snapshot(), request.match_info["id"])
        if detail is None:
            return self._frame.nothing(request, "No notification of that id is kept here.")
        return self._frame.page("notification.html", request, item=detail)

    async def silences(self, request: web.Request) -> web.Response:
        """Silences and maintenance, and the form for a new one."""
        asked = {"matchers": request.query.get("matchers", "")[:500]}
        return self._silences(request, asked)

    async def silence(self, request: web.Request) -> web.Response:
        """The form of a new silence: first what it hits, then, confirmed, the silence."""
        form, snap = _texts(await request.post()), self._snapshot()
        is_maintenance = form.get("kind") == "maintenance"
        kind = SilenceKind.MAINTENANCE if is_maintenance else SilenceKind.SILENCE
        try:
            asked = form_body(form)
            wished = wishes.silence(asked, kind, author(asked.author, request[CALLER]), snap)
            if form.get("confirmed") == "yes":
                await self._desk.silence(wished)
                return self._frame.back("/silences")
        except BadBody as fault:
            return self._silences(request, form, status=400, said=f"Not set: {fault}.")
        except Refused as refused:
            return self._silences(request, form, status=refused.status, said=f"Not set: {refused.detail}.")
        hits = silences.preview_doc(snap, wished.matchers)
        return self._silences(request, form, hits=hits, wished=silences.silence_doc(snap, wished))

    async def end(self, request: web.Request) -> web.Response:
        """The button beside a silence."""
        form, name = _texts(await request.post()), request.match_info["id"]
        kind = SilenceKind.MAINTENANCE if form.get("kind") == "maintenance" else SilenceKind.SILENCE
        try:
            await self._desk.end(name, kind, request[CALLER])
        except Refused as refused:
            return self._silences(request, {}, status=refused.status, said=f"Not ended: {refused.detail}.")
        return self._frame.back("/silences")

    def _incident(self, request: web.Request, *, status: int = 200, said: str = "") -> web.Response:
        number = request.match_info["number"]
        is_number = number.isascii() and number.isdigit() and len(number) <= 15
        detail = incidents.incident_detail(self._snapshot(), int(number)) if is_number else None
        if detail is None:
            return self._frame.nothing(request, "No incident of that number is kept here.")
        here = f"{self._frame.base}/incidents/{detail.number}"
        return self._frame.page(
            "incident.html",
            request,
            status=status,
            incident=detail,
            has_page=detail.service in self._snapshot().settings.services,
            said=said,
            path=here,
        )

    def _silences(
        self,
        request: web.Request,
        form: Mapping[str, str],
        *,
        status: int = 200,
        said: str = "",
        hits: object = None,
        wished: object = None,
    ) -> web.Response:
        snap = self._snapshot()
        return self._frame.page(
            "silences.html",
            request,
            status=status,
            said=said,
            form=form,
            hits=hits,
            wished=wished,
            quiet=silences.silence_docs(snap, SilenceKind.SILENCE),
            maintenance=silences.silence_docs(snap, SilenceKind.MAINTENANCE),
            windows=window_docs(snap),
            **({"path": f"{self._frame.base}/silences"} if request.method == "POST" else {}),
        )


def _texts(form: Mapping[str, object]) -> dict[str, str]:
    """The fields of a form that are texts."""
    return {key: value for key, value in form.items() if isinstance(value, str)}
