"""The graph that `needs:` draws: every name is a service, none needs itself, and every chain ends.

It works on the raw content, so that a mistake elsewhere in a service does not hide one here. Shapes that are
wrong are told by needs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from watchtower.config.document import Path
from watchtower.config.faults import Faults
from watchtower.config.needs import KINDS, as_list
from watchtower.config.problems import Wrong
from watchtower.core.nearest import nearest, shown_key

DEPTH_MAX: Final = 50


def check_needs(services: Mapping[str, Any], faults: Faults) -> None:
    """Adds a fault for every need that is no service or the service itself, and for circles."""
    graph: dict[str, list[str]] = {}
    for name, content in services.items():
        given = as_list(content.get("needs", [])) if isinstance(content, Mapping) else []
        for path, needed in _named(given, ("services", name, "needs")):
            if needed == name:
                faults.at(path, Wrong("a service cannot need itself", "remove it"))
            elif needed in services:
                graph.setdefault(name, []).append(needed)
            else:
                others = [other for other in services if other != name]
                faults.at(path, Wrong("there is no such service", nearest(needed, others)))
    _check_shape(graph, faults)


def _named(given: object, path: Path) -> Iterator[tuple[Path, str]]:
    """Every name of a service below `needs`, with its place; shapes that are wrong are told elsewhere."""
    for index, entry in enumerate(given if isinstance(given, list) else ()):
        here = (*path, index)
        if isinstance(entry, str):
            yield here, entry
        for kind in KINDS if isinstance(entry, dict) else ():
            below = entry.get(kind, ())
            if isinstance(below, str) and kind == "service":
                yield (*here, kind), below
            if isinstance(below, dict) and len(below) == 1:
                ((number, below),) = below.items()
                yield from _members(below, (*here, kind, number))
            else:
                yield from _members(below, (*here, kind))


def _members(given: object, path: Path) -> Iterator[tuple[Path, str]]:
    for index, name in enumerate(given if isinstance(given, list) else ()):
        if isinstance(name, str):
            yield (*path, index), name


def _check_shape(graph: Mapping[str, list[str]], faults: Faults) -> None:
    """Every circle once, at the first of its services in the file; and no chain without an end."""
    depths: dict[str, int] = {}
    for start in graph:
        way, seen = [start], {start}
        while way:
            here = way[-1]
            following = next((name for name in graph.get(here, ()) if name not in depths), None)
            if following in seen:
                circle = way[way.index(following) :]
                words = " -> ".join(shown_key(name) for name in (*circle, following))
                what = Wrong(f"needs go in a circle: {words}", "end it: one of them goes on without another")
                faults.at(("services", following, "needs"), what, at_key=True)
            if following is None or following in seen:
                depths[here] = 1 + max((depths.get(name, 0) for name in graph.get(here, ())), default=-1)
                seen.discard(way.pop())
            else:
                way.append(following)
                seen.add(following)
        if depths[start] == DEPTH_MAX + 1:  # what stands above it goes too deep because of it
            what = Wrong(f"needs go {depths[start]} services deep", f"at most {DEPTH_MAX}")
            faults.at(("services", start, "needs"), what, at_key=True)
