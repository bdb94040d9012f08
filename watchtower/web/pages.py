"""The pages that only show: overview, a service, incidents; log in. Readable without JavaScript.

What people act from is in acting_pages.py. The overview is rendered at most as often as the status
document is built, however many look at it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from watchtower.core.ports import HistoryReader, Snapshot
from watchtower.web import deliveries, documents, incidents
from watchtower.web.access import Access, Denied, Scope
from watchtower.web.frame import Frame, html
from watchtower.web.history import figures_of
from watchtower.web.overview import overview
from watchtower.web.paging import BadQuery
from watchtower.web.routes import NAME, Route
from watchtower.web.shapes import NotificationDoc

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
_OWN_PATH: Final = re.compile(r"/(?:(?:incidents|notifications|silences|services)[a-zA-Z0-9/._-]{0,200})?")


class Pages:
    """Handlers of the pages that only show, and of logging in."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], frame: Frame, access: Access, history: HistoryReader
    ) -> None:
        self._snapshot = snapshot
        self._frame = frame
        self._access = access
        self._history = history
        self._fragment: tuple[object, int, str] = (None, 0, "")
        self._static = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}

    def routes(self) -> list[Route]:
        """Every path of the page."""
        return [
            Route("GET", "/", Scope.READ, self.overview),
            Route("GET", "/fragment/overview", Scope.READ, self.fragment),
            Route("GET", "/services/" + NAME, Scope.READ, self.service),
            Route("GET", "/incidents", Scope.READ, self.incidents),
            Route("GET", "/login", None, self.login_form),
            Route("POST", "/login", None, self.log_in),
            Route("POST", "/logout", None, self.log_out),
            Route("GET", "/static/{file}", None, self.static),
        ]

    async def overview(self, request: web.Request) -> web.Response:
        """The whole page."""
        return self._frame.page("overview.html", request, fragment=self._overview_fragment())

    async def fragment(self, _request: web.Request) -> web.Response:
        """Only what changes, for the page to put in place."""
        return html(self._overview_fragment())

    async def service(self, request: web.Request) -> web.Response:
        """One service: votes, this peer's latest look, its uptime, incidents."""
        snap = self._snapshot()
        detail = documents.service_detail(snap, request.match_info["name"])
        if detail is None:
            return self._frame.nothing(request, "No service of that name is in the config of this peer.")
        page, _ = incidents.incident_page(snap.state, service=detail.name, limit=20)
        docs = incidents.incident_docs(snap, page)
        windows = await figures_of(self._history, detail.name)
        return self._frame.page("service.html", request, service=detail, incidents=docs, windows=windows)

    async def incidents(self, request: web.Request) -> web.Response:
        """All incidents that are kept, open ones first."""
        snap = self._snapshot()
        try:
            page, following = incidents.incident_page(snap.state, cursor=request.query.get("cursor", ""))
        except BadQuery as fault:
            return self._frame.nothing(request, f"That page cannot be shown: {fault}.")
        docs = incidents.incident_docs(snap, page)
        return self._frame.page("incidents.html", request, incidents=docs, following=following)

    async def login_form(self, request: web.Request) -> web.Response:
        """The form for a token; afterwards one is where `next` says."""
        onward = _own_path(request.query.get("next", ""))
        return self._frame.page("login.html", request, refused=False, onward=onward)

    async def log_in(self, request: web.Request) -> web.Response:
        """Trade a token for a cookie."""
        form = await request.post()
        presented, onward = form.get("token", ""), _own_path(form.get("next", ""))
        cookie = None
        if isinstance(presented, str) and len(presented) <= TOKEN_CHARS_MAX:
            cookie = self._access.log_in(presented.strip())
        if cookie is None:
            return self._frame.page("login.html", request, status=401, refused=True, onward=onward)
        response = self._frame.back(onward)
        self._access.set_cookie(request, response, cookie)
        return response

    async def log_out(self, _request: web.Request) -> web.Response:
        """Take the cookie back."""
        response = web.Response(status=303, headers={"Location": self._frame.base + "/login"})
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
        """The form instead of JSON, for a browser that wants a page, or has sent a form, without a token."""
        wants_page = "text/html" in request.headers.get("Accept", "")
        if denied.status != 401 or not wants_page or request.path.startswith(f"{self._frame.base}/api/"):
            return None
        here = request.path[len(self._frame.base) :] if request.method == "GET" else ""
        return self._frame.page("login.html", request, status=401, refused=False, onward=_own_path(here))

    def _overview_fragment(self) -> str:
        """The overview as HTML, rendered anew when the document or the second has changed."""
        snap = self._frame.picture.look()
        doc, second = self._frame.picture.doc, int(snap.now.boot)
        if self._fragment[0] is doc and self._fragment[1] == second:
            return self._fragment[2]
        fresh = documents.freshness(snap)
        page, _ = deliveries.notification_page(snap.state, limit=LATEST)
        text = self._frame.render(
            "_overview.html",
            status=doc,
            fresh=fresh,
            now=fresh.at,
            view=overview(doc, fresh.knowledge_age_s),
            latest=[_told(item) for item in deliveries.notification_docs(snap, page)],
        )
        self._fragment = (doc, second, text)
        return text


def _told(item: NotificationDoc) -> tuple[NotificationDoc, str]:
    """A notification and in words what became of it."""
    last = item.attempts[-1] if item.attempts else None
    who = last.peer if last else item.owner or item.sender
    return item, who


def _own_path(wanted: object) -> str:
    """`wanted` when it is a path of these pages, else that of the overview: nobody is led elsewhere."""
    is_path = isinstance(wanted, str) and _OWN_PATH.fullmatch(wanted)
    return str(wanted) if is_path else "/"
