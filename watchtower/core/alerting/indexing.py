"""Which of many rows of matchers fit? Hundreds of silences, asked for thousands of incidents in every pass.

Rows are kept by how a value must begin, or end, for them to fit, so that nearly none is tried in vain. What
fits is matching.py's to say; nothing here decides more than whom to ask. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from watchtower.core.alerting import matching
from watchtower.core.alerting.matching import Facts
from watchtower.core.policies import Matcher

_WILD: Final = re.compile(r"[*?]")


class Index:
    """Rows of matchers, each known by its place.

    `_edges`: label -> length -> how its value begins (ends, where the length is negative) -> places.
    """

    def __init__(self, rows: Iterable[tuple[Matcher, ...]]) -> None:
        self._rows = tuple(rows)
        self._always: list[int] = []
        self._edges: dict[str, dict[int, dict[str, list[int]]]] = {}
        for place, row in enumerate(self._rows):
            self._put(place, row)

    def fitting(self, found: Facts) -> list[int]:
        """The places of the rows that fit what has these facts, in order."""
        asked = set(self._always)
        for label, edges in self._edges.items():
            value = found.get(label)
            if value is None:
                continue
            for length, rows in edges.items():
                edge = value[:length] if length > 0 else value[length:]
                if edge in rows:
                    asked.update(rows[edge])
        return [place for place in sorted(asked) if matching.fits(self._rows[place], found)]

    def _put(self, place: int, row: tuple[Matcher, ...]) -> None:
        """By its first matcher that asks for something: without that, the row does not fit."""
        for matcher in row:
            edges = [_edge(pattern) for pattern in matcher.patterns]
            if matcher.is_not or not edges or any(length == 0 for length, _ in edges):
                continue
            known = self._edges.setdefault(matcher.label, {})
            for length, edge in edges:
                known.setdefault(length, {}).setdefault(edge, []).append(place)
            return
        self._always.append(place)


def _edge(pattern: str) -> tuple[int, str]:
    """How whatever fits must begin, or must end, and how much of it that is; a length of 0: it need not."""
    parts = _WILD.split(pattern)
    if parts[0]:
        return len(parts[0]), parts[0]
    return -len(parts[-1]), parts[-1]
