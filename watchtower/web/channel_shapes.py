"""The shapes of what is shown of a channel.

As in shapes.py, names here are a contract with users (docs/reference/http.md), and nothing computes.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class RateDoc(Struct, frozen=True, kw_only=True):
    """How much a channel is sent: one message every so many seconds, so many at once, so many in an hour."""

    every_s: float
    burst: int
    hour: int


class ChannelDoc(Struct, frozen=True, kw_only=True):
    """How a channel is. `trouble`: why it takes nothing until somebody mends it; `paths`: peer -> why not.

    `incident`: the open one about it; `full_until`: it has had its share of this hour.

    Nothing here says where it leads: the address is a secret.
    """

    name: str
    schema: str
    fallback: str
    rate: RateDoc
    sent_this_hour: int
    full_until: datetime | None
    rest_until: datetime | None
    incident: int | None
    trouble: str
    trouble_since: datetime | None
    last_accepted_at: datetime | None
    waiting: int
    waiting_since: datetime | None
    paths: dict[str, str]
