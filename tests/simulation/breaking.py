"""Rules of the product that can be switched off for a run, by name: what the harness must notice.

guard_off.py holds the rules between pysyncobj and the wire or the disk, mutants.py those of lease, ledger,
courier and reports. Each is a small change of the real code, undone when the run is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

Change = tuple[Any, Any, Any]
"""Whose attribute (or key), which, and what it becomes."""


class Broken(Struct, frozen=True, kw_only=True):
    """A rule switched off. `says`: what the code does without it."""

    name: str
    says: str
    changes: Callable[[], tuple[Change, ...]]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The rule is off within the block."""
        undo = []
        try:
            for owner, name, value in self.changes():
                undo.append((owner, name, owner[name] if isinstance(owner, dict) else owner.__dict__[name]))
                _put(owner, name, value)
            yield
        finally:
            for owner, name, value in reversed(undo):
                _put(owner, name, value)


def _put(owner: Any, name: Any, value: Any) -> None:
    if isinstance(owner, dict):
        owner[name] = value
    else:
        setattr(owner, name, value)
