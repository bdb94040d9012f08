"""A minute after the last fault all is at rest: one leader, equal states, nothing unfinished, no untruth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Replay
from simulation.scene import FALLBACKS

from watchtower.core.channel_rows import ChannelRow
from watchtower.core.model import Level, State

SETTLED_S: Final = 8.0
"""What was written so shortly before the end may still be on its way."""
LEVELS: Final = {"well": (None,), "refuses": (Level.DOWN,), "hangs": (Level.DOWN,), "slow": (Level.DEGRADED,)}


def check(history: History, replay: Replay) -> Iterator[str]:
    """Everything that is not as it should be in a cluster in which nothing is wrong."""
    yield from _apart(history)
    state = max(history.finals.values(), key=lambda one: one.entries, default=None)
    if state is None:
        return
    for name in state.members:
        if not state.row(name).boot_id:
            yield f"{name} has no session"
    if state.lease.released or not state.lease.holder:
        yield "nobody holds the lease"
    yield from _unfinished(state, history)
    yield from _untrue(state, history)


def _apart(history: History) -> Iterator[str]:
    leaders = [name for name, status in history.statuses.items() if status.startswith("leader")]
    if len(leaders) != 1:
        yield f"leaders: {', '.join(leaders) or 'none'}"
    for name, status in history.statuses.items():
        if status == "not running" or "quarantine" in status:
            yield f"{name} is {status}"
    newest = max((state.entries for state in history.finals.values()), default=0)
    for name, state in history.finals.items():
        if newest - state.entries > 5:
            yield f"{name} is at entry {state.entries}, the newest is {newest}"


def _unfinished(state: State, history: History) -> Iterator[str]:
    newest_wall = max((row.reported_wall for row in state.peers.values()), default=0.0)
    for item in state.notifications.values():
        row = state.channels.get(item.channel, ChannelRow())
        if row.trouble and item.channel in FALLBACKS:
            continue  # left alone for minutes, while its fallback tells people
        if not item.stage.finished and newest_wall - item.created_wall > SETTLED_S:
            yield (
                f"{item.kind.value} #{item.incident} of {item.service} on {item.channel} is "
                f"{item.stage.value}, sender {item.sender}, {item.failures} failures"
            )


def _untrue(state: State, history: History) -> Iterator[str]:
    changed = {service: at for at, service, _ in history.truth}
    for service, condition in history.final_conditions.items():
        incident = state.open_incident(service)
        level = incident.level if incident is not None else None
        if service == "nightly" or history.ended_at - changed[service] < SETTLED_S * 2:
            continue
        if level not in LEVELS[condition]:
            shown = level.value if level is not None else "no incident"
            yield f"{service} is {condition}, and the ledger says {shown}"
    for name in state.members:
        if state.open_incident(f"peer/{name}") is not None:
            yield f"peer/{name} is well, and its incident is open"
