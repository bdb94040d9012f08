"""The graph of `needs:`: what a service rests on, which cause explains a failure, what a cause takes along.

Pure questions about Settings and about what fails; whether anybody is told is suppression.py's. A failing
subject is one with an open incident whose verdict is not `unknown`: what nobody can judge explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct

from watchtower.core.model import Level, State
from watchtower.core.settings import Need, Service, Settings
from watchtower.core.view import Standing

AFFECTED_SHOWN_MAX: Final = 50
_GRAPHS_KEPT: Final = 8
_MILD: Final = (Level.DEGRADED, Level.PARTIAL)


class Graph(Struct, frozen=True):
    """What needs what. `depths`: the longest way down from a service to one that needs nothing.

    `alike`: the first service with the very same needs, so that thousands behind one cause cost one answer.
    """

    needs: dict[str, tuple[Need, ...]]
    dependents: dict[str, tuple[str, ...]]
    depths: dict[str, int]
    alike: dict[str, str]


_graphs: list[tuple[dict[str, Service], Graph]] = []


def graph_of(settings: Settings) -> Graph:
    """The graph of these settings, made once for as long as they are in use."""
    services = settings.services
    for known, graph in _graphs:
        if known is services:
            return graph
    graph = _graph(services)
    _graphs.insert(0, (services, graph))
    del _graphs[_GRAPHS_KEPT:]
    return graph


def _graph(services: Mapping[str, Service]) -> Graph:
    needs = {name: service.needs for name, service in services.items() if service.needs}
    first: dict[tuple[Need, ...], str] = {}
    alike = {name: first.setdefault(groups, name) for name, groups in needs.items()}
    dependents: dict[str, dict[str, None]] = {}
    for name, groups in needs.items():
        for needed in _names(groups):
            dependents.setdefault(needed, {})[name] = None
    return Graph(needs, {name: tuple(some) for name, some in dependents.items()}, _depths(needs), alike)


def _depths(needs: Mapping[str, tuple[Need, ...]]) -> dict[str, int]:
    """Without recursion: the depth of a file is whatever people write."""
    depths: dict[str, int] = {}
    for start in needs:
        way = [start]
        while way:
            below = dict.fromkeys(_names(needs.get(way[-1], ())))
            missing = [name for name in below if name in needs and name not in depths]
            if missing:
                way.append(missing[0])
                continue
            depths[way.pop()] = 1 + max((depths.get(name, 0) for name in below), default=-1)
    return depths


def _names(groups: Iterable[Need]) -> Iterator[str]:
    for need in groups:
        yield from need.names


class Causes:
    """What explains what, while just these subjects fail at these levels. Answers are worked out once.

    Only what is `heard` can be a root (None: all that fails); the rest still leads to what it rests on.
    """

    def __init__(
        self, graph: Graph, failing: Mapping[str, Level], heard: AbstractSet[str] | None = None
    ) -> None:
        self._graph = graph
        self._failing = failing
        self._heard = failing.keys() if heard is None else heard
        self._roots: dict[tuple[str, bool], tuple[str, ...]] = {}

    def unmet(self, name: str, level: Level) -> tuple[Need, ...]:
        """The needs of `name` whose failing explains that it is at `level`.

        What is down explains anything; what is merely degraded or partial explains no more than that.
        """
        return tuple(need for need in self._graph.needs.get(name, ()) if self._is_unmet(need, level))

    def roots(self, name: str, level: Level) -> tuple[str, ...]:
        """The deepest failing needs that explain `name` at `level` and are heard; empty: none."""
        alike = self._graph.alike.get(name)
        if alike is None:
            return ()
        key = (alike, level is Level.DOWN)
        known = self._roots.get(key)
        if known is None:
            found: dict[str, None] = {}
            for cause in self._direct(alike, level):
                own = (cause,) if cause in self._heard else ()
                found.update(dict.fromkeys(self.roots(cause, self._failing[cause]) or own))
            known = self._roots[key] = tuple(found)
        return known

    def _direct(self, name: str, level: Level) -> Iterator[str]:
        for needed in dict.fromkeys(_names(self.unmet(name, level))):
            if self._explains(needed, level):
                yield needed

    def _is_unmet(self, need: Need, level: Level) -> bool:
        left = sum(not self._explains(name, level) for name in need.names)
        return left < need.at_least

    def _explains(self, name: str, level: Level) -> bool:
        own = self._failing.get(name)
        return own is Level.DOWN or (own in _MILD and level is not Level.DOWN)


def failing(state: State, standings: Mapping[str, Standing] | None = None) -> dict[str, Level]:
    """Every subject with an open incident and its level, but what the `standings` call unknown.

    What flaps is down for whoever needs it, at every moment.
    """
    levels: dict[str, Level] = {
        incident.service: Level.DOWN if incident.is_flapping else incident.level
        for incident in state.incidents.values()
        if incident.closed_wall == 0.0
    }
    if standings is None:
        return levels
    return {name: level for name, level in levels.items() if not _is_unknown(standings.get(name))}


def _is_unknown(standing: Standing | None) -> bool:
    return standing is None or standing.level is Level.UNKNOWN


def needed_by(settings: Settings, name: str) -> tuple[str, ...]:
    """Everything that `name` needs, directly or not, the nearest first."""
    graph, found, ring = graph_of(settings), dict[str, None](), [name]
    while ring:
        ring = [n for one in ring for n in dict.fromkeys(_names(graph.needs.get(one, ()))) if n not in found]
        found.update(dict.fromkeys(ring))
    return tuple(found)


def dependents_of(settings: Settings, name: str) -> tuple[str, ...]:
    """Everything that needs `name`, directly or not, the nearest first."""
    graph, found, ring = graph_of(settings), dict[str, None](), [name]
    while ring:
        ring = [n for one in ring for n in graph.dependents.get(one, ()) if n not in found]
        found.update(dict.fromkeys(ring))
    return tuple(found)


class Affected(Struct, frozen=True, kw_only=True):
    """A service that suffers from a failure. `degraded`: how it is meanwhile, as the file says; "" unsaid.

    `distance` 1: it needs the cause itself. `is_failing`: it has an open incident now.
    """

    service: str
    title: str
    degraded: str
    distance: int
    is_failing: bool


class Impact(Struct, frozen=True, kw_only=True):
    """What depends on a subject. `rows` are the first AFFECTED_SHOWN_MAX of `count`, what fails first.

    `failing` of the `count` have an open incident now.
    """

    rows: tuple[Affected, ...] = ()
    count: int = 0
    failing: int = 0


def impact(state: State, settings: Settings, subject: str) -> Impact:
    """What suffers when `subject` is lost, beside what fails already; so also what outlasted it.

    A group with enough left is not affected, and what merely goes on without (`degraded:`) takes nothing
    along unless it fails.
    """
    graph = graph_of(settings)
    if subject not in graph.dependents:
        return Impact()
    bad, gone, found = failing(state), {subject: 0}, dict[str, Affected]()
    # What is needed comes before what needs it, so that each is looked at once.
    for name in sorted(dependents_of(settings, subject), key=lambda one: graph.depths[one]):
        need = _lacking(graph.needs[name], gone, bad)
        if need is None:
            continue
        distance = 1 + min(gone[one] for one in need.names if one in gone)
        if name in bad or not need.degraded:
            gone[name] = distance
        found[name] = Affected(
            service=name,
            title=settings.services[name].shown_as,
            degraded=need.degraded,
            distance=distance,
            is_failing=name in bad,
        )
    rows = sorted(found.values(), key=lambda row: (not row.is_failing, row.distance, row.service))
    count = sum(row.is_failing for row in rows)
    return Impact(rows=tuple(rows[:AFFECTED_SHOWN_MAX]), count=len(rows), failing=count)


def _lacking(groups: tuple[Need, ...], gone: Mapping[str, int], bad: Mapping[str, Level]) -> Need | None:
    """The worst need that is not met for want of what is `gone`: one with no going on comes first."""
    unmet = [
        need
        for need in groups
        if any(name in gone for name in need.names)
        and sum(name not in gone and name not in bad for name in need.names) < need.at_least
    ]
    return min(unmet, key=lambda need: bool(need.degraded), default=None)
