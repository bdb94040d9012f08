"""What passes between the sender and the courier: the orders of one step, and what a claim of ours is.

Plain values and the spans they are made of; no rule of sending is here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchtower.core.commands import Claim, Settle
from watchtower.core.model import Notification
from watchtower.core.settings import Channel
from watchtower.delivery.trace import Found

BUDGET_S: Final = 10.0
"""From the fence to the last byte of an attempt."""
HOLD_S: Final = 15.0
"""A claim is a right for so long: time to commit it, then the budget."""
SEARCH_S: Final = 5.0
"""What may have arrived is looked for so long at most; such a claim holds longer by as much."""


class Phase(StrEnum):
    """Where a claim of ours stands."""

    CLAIMING = "claiming"
    RECONCILING = "reconciling"
    SENDING = "sending"
    SETTLING = "settling"


class Held(Struct):
    """A claim this process proposed. `attempt` is the number it will have once applied."""

    id: str
    channel: str
    claim_id: str
    attempt: int
    t0_boot: float
    hold_s: float
    is_takeover: bool
    phase: Phase = Phase.CLAIMING
    is_proposing: bool = True
    found: Found | None = None
    settle: Settle | None = None
    not_before_boot: float = 0.0

    @property
    def send_until_boot(self) -> float:
        """The fence: no first byte later than this."""
        return self.t0_boot + self.hold_s - BUDGET_S


class Search(Struct, frozen=True, kw_only=True):
    """An order to look in the channel for an earlier copy, and to give up at `until_boot`."""

    item: Notification
    channel: Channel
    claim_id: str
    until_boot: float


class Sending(Struct, frozen=True, kw_only=True):
    """An order to send: the item as applied, and the right it rests on.

    `may_repeat`: nobody knows whether an earlier copy arrived, and the message says so. `is_last`: one more
    refusal for good ends it.
    """

    item: Notification
    channel: Channel
    claim_id: str
    send_until_boot: float
    is_takeover: bool
    may_repeat: bool
    is_last: bool = False


class Orders(Struct, frozen=True, kw_only=True):
    """What to do after one step, and when to step again at the latest."""

    claims: tuple[Claim, ...] = ()
    searches: tuple[Search, ...] = ()
    sends: tuple[Sending, ...] = ()
    settles: tuple[Settle, ...] = ()
    wake_boot: float = 0.0
