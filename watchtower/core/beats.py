"""What the ledger keeps of heartbeats: the signals a service may send, the last ones it sent, who was there.

Times ending in `_wall` are Unix seconds as the proposing peer saw them. Nothing is decided here:
ledger.py takes signals in, heartbeats.py judges them.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Signal(StrEnum):
    """What a heartbeat service says: all is well, a run starts, it failed, or just some words."""

    BEAT = "beat"
    START = "start"
    FAIL = "fail"
    LOG = "log"


class Beat(Struct, frozen=True, kw_only=True):
    """What a heartbeat service said last: its last two beats, a run that goes on, a failure.

    `started_wall` is the first start since the last end, `failed_wall` the first failure since the last beat,
    `exit` and `text` what the latest failure said, or `text` the latest words without one. 0.0 is none.
    """

    at_wall: float = 0.0
    previous_wall: float = 0.0
    started_wall: float = 0.0
    failed_wall: float = 0.0
    exit: int = 0
    text: str = ""


class Watch(Struct, frozen=True, kw_only=True):
    """Since when the cluster has been watching without a gap of 30 s, by the reports in the log."""

    last_wall: float = 0.0
    since_wall: float = 0.0
