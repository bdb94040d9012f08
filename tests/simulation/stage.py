"""The world as faults change it, and what the acts on it have in common.

Nothing here happens by itself: wire_acts.py, host_acts.py and outside_acts.py hold one method for each kind
of fault, acts.py decides whom it strikes and when all of it ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Protocol

from simulation.channels import SimChannel
from simulation.faults import Fault
from simulation.history import History
from simulation.loop import Timeline
from simulation.network import Network, Way
from simulation.process import Host, Life
from simulation.targets import Targets


class Stage(Protocol):
    """The world as the faults change it."""

    time: Timeline
    network: Network
    channels: dict[str, SimChannel]
    targets: Targets
    history: History
    hosts: dict[str, Host]
    peers: tuple[str, ...]

    def start(self, host: Host) -> None:
        """Start a process there, if none runs."""

    def newest(self) -> Life | None:
        """The living process that has applied the most."""

    def alerter(self) -> str:
        """The peer in office, else whoever the ledger names."""

    def leader(self) -> str:
        """The Raft leader of the newest term, if any."""

    def sender(self) -> str:
        """Whoever is sending something just now."""


class StageHand:
    """What every act needs: the stage, dice, and a way to undo later what lasts."""

    def __init__(self, stage: Stage, random: Random) -> None:
        self._stage = stage
        self._random = random
        self._cuts: Counter[Way] = Counter()
        self._is_healed = False

    def _host(self, who: tuple[str, ...]) -> Host:
        return self._stage.hosts[who[0]]

    def _later(self, fault: Fault, undo: Callable[..., None], *arguments: object) -> None:
        def end() -> None:
            if not self._is_healed:
                self._stage.history.note(f"ends: {fault.line()}")
                undo(*arguments)

        self._stage.time.after(fault.for_s, end)


def pairs(names: tuple[str, ...]) -> list[Way]:
    """Every way between two of them."""
    return [(one, other) for one in names for other in names if one != other]
