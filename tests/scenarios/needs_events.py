"""What a scenario about needs can say beside failing and recovering: somebody has a first, unconfirmed doubt.

Each `on_<word>` is the event of that word in script.py.
"""

from __future__ import annotations

from typing import Any

from scenarios.script import Event

from watchtower.core.model import Opinion, Vote


class NeedsEvents:
    """Mixed into the world, which has the rest."""

    script: Any
    seen: Any

    def on_suspected(self, event: Event) -> None:
        """The latest look contradicts a vote that is still good."""
        for peer in event.args or self.script.peers:
            self.seen[peer, event.subject] = Vote(opinion=Opinion.UP, suspect=True)
