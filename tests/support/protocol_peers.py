"""The peers of a walk over the protocol: what each has, what it loses in a crash, which faults it meets.

Structs and bounds only; what peers do with them is in protocol_walk.py.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from support.core_support import NEVER_FLAPS, WALL, service, settings
from support.protocol_checks import SERVICES

from watchtower.core import commands as c
from watchtower.core.model import Opinion
from watchtower.core.settings import Alerting

PEERS: Final = ("a", "b", "c")
CONFIGS: Final = {
    (peer, config): settings(
        *map(service, SERVICES), me=peer, config_hash=config, alerting=Alerting(flap=NEVER_FLAPS)
    )
    for peer in PEERS
    for config in ("h1", "h2")
}
BOOT: Final = 1000.0
ALWAYS_YOUNG_WALL: Final = WALL + 1e9
"""Votes never get old enough to make a verdict partial: the walk knows up and down only.
Nor does anything flap, because without time it could not settle."""
FLIGHT_MAX: Final = 3
HEALING_SWEEPS: Final = 60
FAULTS: Final = {
    "crash": 4, "lose": 4, "double": 4, "lease": 12, "gone": 3, "reload": 2, "flip": 14, "expire": 6,
    "fault": 6, "silence": 6, "unsilence": 4, "ack": 4,
}  # fmt: skip
FAULTY_STEPS: Final = 0.07


class Right(Struct, kw_only=True):
    """A claim that a process has proposed: it may send while this is valid and the applied claim is it."""

    claim_id: str
    attempt: int
    is_valid: bool = True
    has_sent: bool = False


class Peer(Struct, kw_only=True):
    """One peer: its place in the log, and what it loses when it crashes."""

    name: str
    at: int = 0
    boot: int = 1
    is_up: bool = True
    opinion: Opinion = Opinion.UP
    turns: int = 0
    config: str = "h1"
    claims: int = 0
    rights: dict[str, Right] = {}
    results: list[c.Settle] = []

    @property
    def boot_id(self) -> str:
        """The id of this life."""
        return f"{self.name}{self.boot}"
