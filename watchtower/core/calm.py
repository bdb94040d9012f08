"""When a pass may be left out: all is up, and nothing that a pass reads has changed since the last one.

Four passes a second over thousands of services in which nothing happens are most of what an idle peer does.
In calm only news and time can change anything, and what time alone changes (a silent peer, a beat that does
not come) is counted in many seconds: one pass a second is enough. Pure; it judges no service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from watchtower.core.model import Level, State
from watchtower.core.view import Standing

PASS_AT_LEAST_EVERY_S: Final = 1.0
_READ: Final = tuple(name for name in State.__struct_fields__ if name not in ("entries", "lease"))
_OFFICE: Final = ("epoch", "holder", "session", "released")


def is_calm(state: State, standings: Mapping[str, Standing]) -> bool:
    """Nothing is open, nothing is to be told, and no subject is or seems anything but up or unknown."""
    if any(one.is_open for one in state.incidents.values()):
        return False
    if any(not one.stage.finished for one in state.notifications.values()):
        return False
    return all(
        standing.level is Level.UP or (standing.level is Level.UNKNOWN and standing.verdict.level is None)
        for standing in standings.values()
    )


def is_as_before(before: State, after: State) -> bool:
    """Nothing has changed but the count of entries and how long the lease lasts."""
    if before is after:
        return True
    if any(getattr(before.lease, name) != getattr(after.lease, name) for name in _OFFICE):
        return False
    return all(getattr(before, name) is getattr(after, name) for name in _READ)
