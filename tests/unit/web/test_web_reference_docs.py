"""The reference of paths is complete, in both directions, and so is the rule of who may.

Compares the tables of docs/reference/http.md with the table of routes.
"""

from __future__ import annotations

import re
from pathlib import Path

from support.web_support import world

from watchtower.history.off import NoHistory
from watchtower.web.access import Scope
from watchtower.web.routes import NAME, Route
from watchtower.web.server import WebServer

DOC = Path(__file__).parents[3] / "docs" / "reference" / "http.md"


def _routes() -> list[Route]:
    made = world()
    return WebServer(made.snap.settings, made.look, made.doors(), NoHistory()).routes()


def test_every_path_is_documented_and_every_documented_path_exists() -> None:
    """Method and path, as they stand in the tables."""
    documented = set(re.findall(r"^\| (GET|POST|DELETE) \| `([^`?]+)[^`]*`", DOC.read_text(), re.MULTILINE))
    served = {
        (
            route.method,
            route.path.replace(NAME, "{name}").replace(
                "/ping/{ping_key}/{name}", "/ping/{ping_key}/{service}"
            ),
        )
        for route in _routes()
    }
    assert documented == served


def test_what_is_open_is_exactly_what_the_reference_says() -> None:
    """Adding a path without a scope by mistake fails here."""
    open_paths = {route.path.replace(NAME, "{name}") for route in _routes() if route.scope is None}
    assert open_paths == {
        "/livez", "/readyz", "/leader", "/alerter", "/quorum", "/ping/{ping_key}/{name}",
        "/ping/{ping_key}/{name}/{signal}",
        "/login", "/logout", "/static/{file}", "/a/{number}/{code}",
    }  # fmt: skip
    acts = {route.path for route in _routes() if route.scope is Scope.WRITE}
    assert acts == {
        "/-/reload", f"/api/v1/services/{NAME}/probe",
        "/api/v1/incidents/{number}/ack", "/api/v1/silences", "/api/v1/silences/{id}", "/api/v1/maintenance",
        "/api/v1/maintenance/{id}", "/api/v1/channels/test", "/api/v1/drills",
        "/incidents/{number}/ack", "/silences", "/silences/{id}/end",
    }  # fmt: skip
    assert {route.path for route in _routes() if route.scope is Scope.ADMIN} == {
        "/api/v1/cluster/backup", "/api/v1/cluster/transfer", "/api/v1/cluster/resize",
        "/-/drain", "/-/undrain",
    }  # fmt: skip
