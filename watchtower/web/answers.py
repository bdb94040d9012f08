"""How every answer looks: JSON, errors as {error, detail}, cluster headers, security headers, limits.

The middleware here is the outermost task root of a request: it turns every way a handler can fail
into an answer, refuses work over the limit, and never lets a text that a caller sent come back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
from aiohttp import web
from msgspec import Struct

from watchtower.core.ports import Snapshot
from watchtower.web.access import Denied
from watchtower.web.routes import Handler

log = logging.getLogger(__name__)

IN_FLIGHT_MAX: Final = 500
"""Requests at once. Those that wait (event streams, heartbeats) have smaller limits of their own."""

BODY_BYTES_MAX: Final = 16_384
COMPRESS_APART_BYTES: Final = 32_768

_encoder = msgspec.json.Encoder()

_SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": a browser would then send our own forms with the Origin "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "watchtower",
}

_WHAT_TO_DO: Final = {
    404: "nothing is here; the paths are listed in docs/reference/http.md",
    405: "the path exists, the method does not; see the Allow header",
    413: f"the body is over the limit of {BODY_BYTES_MAX} bytes",
}


class Problem(Struct, frozen=True):
    """The body of every error."""

    error: str
    detail: str


class Counters(Struct):
    """What the web shell itself refused or broke, for the metrics page."""

    requests_total: int = 0
    refused_total: int = 0
    failed_total: int = 0


def json_answer(doc: Any, *, status: int = 200, content_type: str = "application/json") -> web.Response:
    """`doc` (Structs, mappings, lists) as JSON; never cached by anything between."""
    return web.Response(
        body=_encoder.encode(doc),
        status=status,
        content_type=content_type,
        headers={"Cache-Control": "no-store"},
    )


def large_answer(body: bytes, content_type: str, headers: dict[str, str] | None = None) -> web.Response:
    """A body that grows with the number of services: compressed, off the loop, for whoever takes that."""
    answer = web.Response(
        body=body,
        headers={"Content-Type": content_type, **(headers or {"Cache-Control": "no-store"})},
        zlib_executor_size=COMPRESS_APART_BYTES,
    )
    answer.enable_compression()
    return answer


def problem(status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error answer."""
    answer = json_answer(Problem(error, detail), status=status)
    answer.headers.update(headers or {})
    return answer


def not_modified(request: web.Request, etag: str) -> bool:
    """True when the caller already holds what `etag` (weak, with quotes) names: RFC 9110, 13.1.2."""
    presented = request.headers.get("If-None-Match", "")
    return presented == "*" or etag in (part.strip() for part in presented.split(","))


def cluster_headers(snapshot: Callable[[], Snapshot]) -> Callable[[web.Request, web.StreamResponse], Any]:
    """The signal that marks every answer with who gave it and how fresh its knowledge is."""

    async def mark(_request: web.Request, response: web.StreamResponse) -> None:
        snap = snapshot()
        response.headers.update(_SECURITY_HEADERS)
        response.headers["X-Watchtower-Peer"] = snap.settings.me
        response.headers["X-Watchtower-Leader"] = snap.cluster.leader
        response.headers["X-Watchtower-Index"] = str(snap.cluster.applied_index)
        response.headers["X-Watchtower-Lag-Ms"] = str(int(snap.cluster.last_commit_age_s * 1000))

    return mark


def outermost(
    counters: Counters,
    denied_page: Callable[[web.Request, Denied], web.Response | None],
) -> Any:
    """The middleware around everything; `denied_page` may offer a browser a form instead of JSON."""
    in_flight = 0

    @web.middleware
    async def around(request: web.Request, handler: Handler) -> web.StreamResponse:
        nonlocal in_flight
        counters.requests_total += 1
        if in_flight >= IN_FLIGHT_MAX:
            counters.refused_total += 1
            return problem(503, "too busy", "too many requests at once; try again", {"Retry-After": "1"})
        in_flight += 1
        try:
            return await _answer(request, handler, counters, denied_page)
        finally:
            in_flight -= 1

    return around


async def _answer(
    request: web.Request,
    handler: Handler,
    counters: Counters,
    denied_page: Callable[[web.Request, Denied], web.Response | None],
) -> web.StreamResponse:
    try:
        return await handler(request)
    except Denied as denied:
        page = denied_page(request, denied)
        headers = {"WWW-Authenticate": 'Bearer realm="watchtower"'} if denied.status == 401 else {}
        error = "not allowed" if denied.status == 403 else "token needed"
        return page or problem(denied.status, error, denied.detail, headers)
    except web.HTTPException as fault:
        if fault.status < 400:
            raise
        allow = {"Allow": fault.headers["Allow"]} if "Allow" in fault.headers else {}
        detail = _WHAT_TO_DO.get(fault.status, "the request cannot be answered")
        return problem(fault.status, fault.reason.lower(), detail, allow)
    except Exception:  # the task root of a request: whatever breaks, the caller gets an answer
        counters.failed_total += 1
        log.exception("A request to %s could not be answered.", request.match_info.route.resource)
        return problem(500, "internal error", "this peer could not answer; its log says why")
