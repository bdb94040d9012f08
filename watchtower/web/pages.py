"""The page: overview, a service, incidents, log in. Rendered here, readable without JavaScript.

Everything foreign goes through jinja2's autoescaping; there is no other way into a page. The overview
is rendered at most as often as the status document is built, however many look at it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from aiohttp import web

from watchtower.core.ports import HistoryReader, Snapshot
from watchtower.web import documents, incidents
from watchtower.web.access import Access, Denied, Scope
from watchtower.web.answers import large_answer
from watchtower.web.api import Picture
from watchtower.web.history import figures_of
from watchtower.web.overview import headline, overview
from watchtower.web.routes import NAME, Route
from watchtower.web.shapes import NotificationDoc
from watchtower.web.times import lasting

_HERE: Final = Path(__file__).parent
_STATIC: Final = {
    "style.css": "text/css",
    "live.js": "text/javascript",
    "up.svg": "image/svg+xml",
    "trouble.svg": "image/svg+xml",
    "blind.svg": "image/svg+xml",
}
LATEST: Final = 8
TOKEN_CHARS_MAX: Final = 1_024


class Pages:
    """Handlers of everything that answers with HTML."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        picture: Picture,
        access: Access,
        base_path: str,
        history: HistoryReader,
    ) -> None:
        self._snapshot = snapshot
        self._picture = picture
        self._access = access
        self._base = base_path
        self._history = history
        self._fragment: tuple[object, int, str] = (None, 0, "")
        self._static = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(base=base_path, lasting=lasting, service_path=self._service_path)
        self._templates.filters["utc"] = _utc
        self._templates.filters["share"] = _share
        self._templates.filters["latency"] = _latency
        self._templates.tests["web_link"] = _is_web_link

    def routes(self) -> list[Route]:
        """Every path of the page."""
        return [
            Route("GET", "/", Scope.READ, self.overview),
            Route("GET", "/fragment/overview", Scope.READ, self.fragment),
            Route("GET", "/services/" + NAME, Scope.READ, self.service),
            Route("GET", "/incidents", Scope.READ, self.incidents),
            Route("GET", "/incidents/{number}", Scope.READ, self.incident),
            Route("GET", "/login", None, self.login_form),
            Route("POST", "/login", None, self.log_in),
            Route("POST", "/logout", None, self.log_out),
            Route("GET", "/static/{file}", None, self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        """The whole page."""
        return self._page("overview.html", request, fragment=self._overview_fragment())

    async def fragment(self, _request: web.Request) -> web.Response:
        """Only what changes, for the page to put in place."""
        return _html(self._overview_fragment())

    async def service(self, request: web.Request) -> web.Response:
        """One service: votes, this peer's latest look, its uptime, incidents."""
        snap = self._snapshot()
        detail = documents.service_detail(snap, request.match_info["name"])
        if detail is None:
            return self._nothing(request, "No service of that name is in the config of this peer.")
        page, _ = incidents.incident_page(snap.state, service=detail.name, limit=20)
        docs = [incidents.incident_doc(snap, incident) for incident in page]
        windows = await figures_of(self._history, detail.name)
        return self._page("service.html", request, service=detail, incidents=docs, windows=windows)

    async def incidents(self, request: web.Request) -> web.Response:
        """All incidents that are kept, open ones first."""
        snap = self._snapshot()
        try:
            page, following = incidents.incident_page(snap.state, cursor=request.query.get("cursor", ""))
        except incidents.BadQuery as fault:
            return self._nothing(request, f"That page cannot be shown: {fault}.")
        docs = [incidents.incident_doc(snap, incident) for incident in page]
        return self._page("incidents.html", request, incidents=docs, following=following)

    async def incident(self, request: web.Request) -> web.Response:
        """One incident: what was seen, what happened, who was told."""
        number = request.match_info["number"]
        is_number = number.isascii() and number.isdigit() and len(number) <= 15
        detail = incidents.incident_detail(self._snapshot(), int(number)) if is_number else None
        if detail is None:
            return self._nothing(request, "No incident of that number is kept here.")
        return self._page("incident.html", request, incident=detail)

    async def login_form(self, request: web.Request) -> web.Response:
        """The form for a token."""
        return self._page("login.html", request, refused=False)

    async def log_in(self, request: web.Request) -> web.Response:
        """Trade a token for a cookie."""
        presented = (await request.post()).get("token", "")
        cookie = None
        if isinstance(presented, str) and len(presented) <= TOKEN_CHARS_MAX:
            cookie = self._access.log_in(presented.strip())
        if cookie is None:
            return self._page("login.html", request, status=401, refused=True)
        response = web.Response(status=303, headers={"Location": self._base + "/"})
        self._access.set_cookie(request, response, cookie)
        return response

    async def log_out(self, _request: web.Request) -> web.Response:
        """Take the cookie back."""
        response = web.Response(status=303, headers={"Location": self._base + "/login"})
        self._access.clear_cookie(response)
        return response

    async def static(self, request: web.Request) -> web.Response:
        """Style, script and icons: a fixed list of files."""
        name = request.match_info["file"]
        if name not in self._static:
            raise web.HTTPNotFound
        return web.Response(
            body=self._static[name],
            content_type=_STATIC[name],
            charset="utf-8",
            headers={"Cache-Control": "max-age=300"},
        )

    def denied(self, request: web.Request, denied: Denied) -> web.Response | None:
        """The form instead of JSON, for a browser that wants to read a page without a token."""
        wants_page = "text/html" in request.headers.get("Accept", "") and request.method == "GET"
        if denied.status != 401 or not wants_page:
            return None
        return self._page("login.html", request, status=401, refused=False)

    def _overview_fragment(self) -> str:
        """The overview as HTML, rendered anew when the document or the second has changed."""
        snap = self._picture.look()
        doc, second = self._picture.doc, int(snap.now.boot)
        if self._fragment[0] is doc and self._fragment[1] == second:
            return self._fragment[2]
        fresh = documents.freshness(snap)
        page, _ = incidents.notification_page(snap.state, limit=LATEST)
        html = self._templates.get_template("_overview.html").render(
            status=doc,
            fresh=fresh,
            now=fresh.at,
            view=overview(doc, fresh.knowledge_age_s),
            latest=[_told(incidents.notification_doc(snap, item)) for item in page],
        )
        self._fragment = (doc, second, html)
        return html

    def _page(self, template: str, request: web.Request, *, status: int = 200, **values: Any) -> web.Response:
        """A page with its frame; for whoever may not read, the frame tells nothing of the cluster."""
        snap = self._picture.look()
        fresh = documents.freshness(snap)
        frame = {
            "status": self._picture.doc,
            "fresh": fresh,
            "now": fresh.at,
            "headline": headline(self._picture.doc, fresh.knowledge_age_s),
            "path": self._base + request.path[len(self._base) :],
        }
        return _html(self._templates.get_template(template).render(**frame, **values), status)

    def _nothing(self, request: web.Request, text: str) -> web.Response:
        return self._page("nothing.html", request, status=404, text=text)

    def _service_path(self, name: str) -> str:
        """The page of a service; the slash of a peer's name stays a slash."""
        return f"{self._base}/services/{quote(name, safe='/')}"


def _told(item: NotificationDoc) -> tuple[NotificationDoc, str]:
    """A notification and in words what became of it."""
    last = item.attempts[-1] if item.attempts else None
    who = last.peer if last else item.owner or item.sender
    return item, who


def _html(text: str, status: int = 200) -> web.Response:
    answer = large_answer(text.encode(), "text/html; charset=utf-8")
    answer.set_status(status)
    return answer


def _utc(at: datetime) -> str:
    """`2026-11-01 12:00:05 UTC`."""
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _share(share: float | None) -> str:
    """`99.98 %`, never rounded up to a whole that it is not."""
    return "not known" if share is None else f"{int(share * 10_000) / 100:.2f} %"


def _latency(latency_ms: float | None) -> str:
    """`81 ms`, `0.4 ms`; a dash when there is none."""
    if latency_ms is None:
        return "–"  # noqa: RUF001 - a dash for people
    return f"{latency_ms:.0f} ms" if latency_ms >= 10 else f"{latency_ms:.1f} ms"


def _is_web_link(url: str) -> bool:
    """True for what may become a link: a `javascript:` URL in a config must not."""
    return url.startswith(("https://", "http://"))
