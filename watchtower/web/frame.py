"""The frame around every page: templates, what the top of a page says, and who may act on it.

Everything foreign goes through jinja2's autoescaping; there is no other way into a page. Knows no path.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import jinja2
from aiohttp import web

from watchtower.core.text import sight
from watchtower.web import documents
from watchtower.web.access import Access, Scope
from watchtower.web.answers import large_answer
from watchtower.web.api import Picture
from watchtower.web.overview import headline
from watchtower.web.times import lasting

TEMPLATES: Final = Path(__file__).parent / "templates"


class Frame:
    """Renders templates with what all of them need."""

    def __init__(self, picture: Picture, access: Access, base_path: str) -> None:
        self.picture = picture
        self.base = base_path
        self._access = access
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.globals.update(
            base=base_path, lasting=lasting, sight=sight, service_path=self._service_path
        )
        self._templates.filters["utc"] = _utc
        self._templates.filters["share"] = _share
        self._templates.filters["latency"] = _latency
        self._templates.tests["web_link"] = _is_web_link

    def render(self, template: str, **values: Any) -> str:
        """A template as it is, without a frame."""
        return self._templates.get_template(template).render(**values)

    def page(self, template: str, request: web.Request, *, status: int = 200, **values: Any) -> web.Response:
        """A page in its frame. `who` is the name of whoever may act from it, "" when nobody may."""
        snap = self.picture.look()
        fresh = documents.freshness(snap)
        frame = {
            "status": self.picture.doc,
            "fresh": fresh,
            "now": fresh.at,
            "headline": headline(self.picture.doc, fresh.knowledge_age_s),
            # With its query: a filter must outlive a refresh. A form that was sent says where it stands.
            "path": str(request.rel_url) if request.method == "GET" else request.path,
            "who": self._access.who_may(request, Scope.WRITE),
            "said": "",
            **values,
        }
        return html(self.render(template, **frame), status)

    def nothing(self, request: web.Request, text: str) -> web.Response:
        """The page that says there is nothing."""
        return self.page("nothing.html", request, status=404, text=text)

    def back(self, path: str) -> web.Response:
        """The answer to a form that was good: go and look."""
        return web.Response(status=303, headers={"Location": self.base + path})

    def _service_path(self, name: str) -> str:
        """The page of a service; the slash of a peer's name stays a slash."""
        return f"{self.base}/services/{quote(name, safe='/')}"


def html(text: str, status: int = 200) -> web.Response:
    """An answer in HTML."""
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
