"""One table of what is served: method, path, who may, and which handler answers.

The table is the only way a path comes into being, so the documentation and the access rules can be
checked against it. It adds the base path in front and the scope check around; it knows no handler.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web
from msgspec import Struct

from watchtower.web.access import Access, Scope

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

CALLER: Final = web.RequestKey("caller", str)
"""Under this key a request that was let in holds the name of its token, "" for whoever needed none."""

NAME: Final = r"{name:(?:peer/)?[^/]+}"
"""A service name in a path: the reserved prefix `peer/` is the only slash that may be in it."""


class Route(Struct, frozen=True):
    """One path. `scope` None means open to everybody; GET answers HEAD as well."""

    method: str
    path: str
    scope: Scope | None
    handler: Handler


def register(app: web.Application, base_path: str, routes: Iterable[Route], access: Access) -> None:
    """Put `routes` into `app` below `base_path`, each behind the scope it asks for."""
    for route in routes:
        handler = route.handler if route.scope is None else _guarded(route.scope, route.handler, access)
        path = base_path + route.path
        if route.method == "GET":
            app.router.add_get(path, handler, allow_head=True)
        else:
            app.router.add_route(route.method, path, handler)


def _guarded(scope: Scope, handler: Handler, access: Access) -> Handler:
    """`handler` behind a check that the caller has `scope`; `access.admit` raises when not."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        request[CALLER] = access.admit(request, scope)
        return await handler(request)

    return guarded
