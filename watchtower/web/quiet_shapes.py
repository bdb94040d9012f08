"""The shapes of what people said about alerts: silences, maintenance, what they hit, tests, drills.

As in shapes.py, names here are a contract with users (docs/reference/http.md), and nothing computes.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from watchtower.core.policies import SilenceKind
from watchtower.web.shapes import IncidentDoc


class MatcherDoc(Struct, frozen=True, kw_only=True):
    """One condition: `label` fits one of the globs, or none of them."""

    label: str
    patterns: list[str]
    is_not: bool


class SilenceDoc(Struct, frozen=True, kw_only=True):
    """A silence, or maintenance that somebody began by hand. `state`: waits, active or over."""

    id: str
    kind: SilenceKind
    state: str
    text: str
    matchers: list[MatcherDoc]
    author: str
    reason: str
    starts_at: datetime | None
    ends_at: datetime | None
    created_at: datetime | None


class WindowDoc(Struct, frozen=True, kw_only=True):
    """Maintenance of the config. `open_until` while it is on; `starts_at` and `ends_at` are of the next."""

    text: str
    matchers: list[MatcherDoc]
    cron: str
    timezone: str
    reason: str
    active: bool
    open_until: datetime | None
    starts_at: datetime | None
    ends_at: datetime | None


class PreviewDoc(Struct, frozen=True, kw_only=True):
    """What matchers hit: services and other subjects that they could, open incidents that they do."""

    text: str
    services: list[str]
    others: list[str]
    incidents: list[IncidentDoc]
    count: int


class TestDoc(Struct, frozen=True, kw_only=True):
    """One test message on its way."""

    id: str
    channel: str
    peer: str


class DrillDoc(Struct, frozen=True, kw_only=True):
    """The latest fire drill. `state`: never, waiting, arrived or missed; `incident` while it is open."""

    state: str
    channel: str
    by: str
    started_at: datetime | None
    arrived_at: datetime | None
    last_arrived_at: datetime | None
    within_s: float
    incident: int | None
