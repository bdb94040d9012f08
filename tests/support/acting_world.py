"""A made-up cluster in which acts take effect: what is proposed is applied as the ledger applies it.

For tests that look at what people see after they acted. It delivers nothing and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from support.web_support import World, world

from watchtower.core import requests as r
from watchtower.core.applying import proving, quieting
from watchtower.core.commands import Answer, Command
from watchtower.core.model import State
from watchtower.web.server import WebServer

_EFFECTS: Final[dict[type, Callable[[State, Any], tuple[State, Answer]]]] = {
    r.Acknowledge: quieting.acknowledge,
    r.SetSilence: quieting.set_silence,
    r.EndSilence: quieting.end_silence,
    r.TryChannels: proving.try_channels,
    r.StartDrill: proving.start_drill,
}


class ActingWorld(World):
    """A World whose commands are applied; `server`, once it is set, hears of every new state."""

    server: WebServer | None = None

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Apply it, unless the test wants another answer."""
        answer = await super().submit(command, timeout_s=timeout_s)
        if answer is None or not answer.ok:
            return answer
        state, answer = _EFFECTS[type(command)](self.snap.state, command)
        self.apply(state)
        return answer

    def apply(self, state: State | None = None) -> None:
        """A new state, which the pages hear of."""
        index = self.snap.cluster.applied_index + 1
        cluster = replace(self.snap.cluster, applied_index=index)
        self.turn(cluster=cluster, state=state or self.snap.state)
        if self.server is not None:
            self.server.on_standings(self.standings)
            self.server.on_state(self.snap.state, index)


def acting_world(**http: Any) -> ActingWorld:
    """The usual three peers, with a cluster that does as it is told."""
    return ActingWorld(world(**http).snap.settings)
