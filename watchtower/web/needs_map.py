"""`/api/v1/map`: the graph of `needs:` as JSON, with what fails in it now and what explains that.

Shapes only; what explains what is dependencies.py's. Services that need nothing and are needed by nobody are
not in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from aiohttp import web
from msgspec import Struct

from watchtower.core.alerting import dependencies
from watchtower.core.alerting.dependencies import Causes, Graph
from watchtower.core.model import Level
from watchtower.core.ports import Snapshot
from watchtower.web.access import Scope
from watchtower.web.answers import large_answer
from watchtower.web.routes import Route

ROOTS_MAX: Final = 200
_encoder: Final = msgspec.json.Encoder()


class NodeDoc(Struct, frozen=True, kw_only=True):
    """A service. `unmet`: indices of its groups that are not met. `roots`: what explains that it fails."""

    service: str
    title: str
    group: str
    level: Level
    incident: int | None
    unmet: tuple[int, ...]
    roots: tuple[str, ...]


class EdgeDoc(Struct, frozen=True, kw_only=True):
    """`source` needs `target`, in its group of that index, of which `at_least` so many of `of` are needed."""

    source: str
    target: str
    index: int
    at_least: int
    of: int
    degraded: str


class RootDoc(Struct, frozen=True, kw_only=True):
    """A failing service that nothing explains. `affected` depend on it, `failing` of them fail now."""

    service: str
    level: Level
    incident: int | None
    affected: int
    failing: int


class MapDoc(Struct, frozen=True, kw_only=True):
    """The whole graph; the root that takes most along comes first."""

    peer: str
    nodes: list[NodeDoc]
    edges: list[EdgeDoc]
    roots: list[RootDoc]


class MapApi:
    """The handler of `/api/v1/map`."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route("GET", "/api/v1/map", Scope.READ, self.map)]

    async def map(self, _request: web.Request) -> web.Response:
        """What needs what, and what fails because of what."""
        body = _encoder.encode(map_doc(self._snapshot()))
        return large_answer(body, "application/json; charset=utf-8")


def map_doc(snap: Snapshot) -> MapDoc:
    """The graph of the peer's own settings, with the verdicts it knows."""
    graph = dependencies.graph_of(snap.settings)
    failing = dependencies.failing(snap.state, snap.view.standings)
    causes = Causes(graph, failing)
    names = [name for name in snap.settings.services if name in graph.needs or name in graph.dependents]
    nodes = [_node(name, snap, graph, causes, failing.get(name)) for name in names]
    causing = [
        node
        for node in nodes
        if node.service in failing and node.service in graph.dependents and not node.roots
    ]
    roots = [_root(node, snap) for node in causing[:ROOTS_MAX]]
    roots.sort(key=lambda root: (-root.failing, -root.affected, root.service))
    return MapDoc(peer=snap.settings.me, nodes=nodes, edges=_edges(graph, names), roots=roots)


def _node(name: str, snap: Snapshot, graph: Graph, causes: Causes, failing: Level | None) -> NodeDoc:
    service, standing = snap.settings.services[name], snap.view.standings.get(name)
    incident = snap.state.open_incident(name)
    # Of what does not fail all that is amiss below it is shown, however mild.
    unmet = causes.unmet(name, failing or Level.DEGRADED)
    return NodeDoc(
        service=name,
        title=service.shown_as,
        group=service.group,
        level=standing.level if standing else Level.UNKNOWN,
        incident=incident.number if incident else None,
        unmet=tuple(index for index, need in enumerate(graph.needs.get(name, ())) if need in unmet),
        roots=causes.roots(name, failing) if failing else (),
    )


def _edges(graph: Graph, names: list[str]) -> list[EdgeDoc]:
    return [
        EdgeDoc(
            source=name,
            target=needed,
            index=index,
            at_least=need.at_least,
            of=len(need.names),
            degraded=need.degraded,
        )
        for name in names
        for index, need in enumerate(graph.needs.get(name, ()))
        for needed in need.names
    ]


def _root(node: NodeDoc, snap: Snapshot) -> RootDoc:
    impact = dependencies.impact(snap.state, snap.settings, node.service)
    return RootDoc(
        service=node.service,
        level=node.level,
        incident=node.incident,
        affected=impact.count,
        failing=impact.failing,
    )
