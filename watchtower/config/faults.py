"""Collects what is wrong with one file and finds the place of each fault in its text.

A value is wrong once: a later fault at the same path is dropped, and so is all at or below a value that
could not be expanded.
"""

from __future__ import annotations

from watchtower.config.document import Path, Scalar, Tree, find, locate, problem_at
from watchtower.config.expansion import part_of
from watchtower.config.problems import Problem, Wrong
from watchtower.config.validation import Fault


class Faults:
    """Problems of one tree in the order they were found."""

    def __init__(self, tree: Tree, dropped: set[Path]) -> None:
        self._tree = tree
        self._dropped = set(dropped)
        self._said: set[tuple[Path, bool]] = set()
        self.problems: list[Problem] = []

    def add(self, fault: Fault) -> None:
        """Keeps the fault unless its value is already known to be wrong."""
        path, wrong = fault.path, fault.wrong
        is_known = (path, fault.at_key) in self._said
        if is_known or any(path[: len(dropped)] == dropped for dropped in self._dropped):
            return
        self._said.add((path, fault.at_key))
        span = locate(self._tree, path, key=fault.at_key)
        node = find(self._tree, path)
        if isinstance(node, Scalar) and wrong.start is not None:
            span = part_of(node, wrong)
        self.problems.append(problem_at(span, self._written(path), wrong.what, wrong.fix))

    def _written(self, path: Path) -> Path:
        """The path without what the schema adds to a short form, like the `url` of a bare URL."""
        for length in range(len(path)):
            if isinstance(find(self._tree, path[:length]), Scalar):
                return path[:length]
        return path

    def at(self, path: Path, wrong: Wrong, *, at_key: bool = False) -> None:
        """Keeps `wrong` at `path`."""
        self.add(Fault(path, wrong, at_key))

    def drop(self, path: Path) -> None:
        """Says no more about `path` and what is below it."""
        self._dropped.add(path)
