"""What the bodies of acts hold, read strictly: matchers, times, names. All else is refused, with the way.

Turns JSON (or the fields of a form, which become the same) into what the ledger keeps. Raises BadBody.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, field

from watchtower.config.problems import Wrong
from watchtower.config.units import parse_duration
from watchtower.core.alerting import matching
from watchtower.core.nearest import shown_key
from watchtower.core.policies import AUTHOR_MAX, MATCHERS_MAX, REASON_MAX, Matcher, Silence, SilenceKind
from watchtower.core.ports import Snapshot
from watchtower.core.text import clean
from watchtower.web.bodies import BadBody

SILENCE_MAX_S: Final = 366 * 86_400.0
STARTS_WITHIN_S: Final = 366 * 86_400.0
Word = Annotated[str, Meta(max_length=200)]
Line = Annotated[str, Meta(max_length=500)]
FOR: Final[Any] = field(name="for", default="")
"""`for` is a word of Python's."""
_Matchers = Annotated[list[Line], Meta(max_length=MATCHERS_MAX)]


class AckBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Who takes the incident, "" for the token's own name, and a word about it."""

    by: Word = ""
    note: Line = ""


class SilenceBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be quiet: `for` a while, or `until` a time. `id` names one that this is to replace."""

    matchers: _Matchers
    for_: Word = FOR
    until: datetime | None = None
    starts: datetime | None = None
    reason: Line = ""
    author: Word = ""
    id: Word = ""


class PreviewBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What would be quiet."""

    matchers: _Matchers


class TestBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Channels and peers to be tested; without any, all of them."""

    channels: Annotated[list[Word], Meta(max_length=200)] = []
    peers: Annotated[list[Word], Meta(max_length=50)] = []
    by: Word = ""


class DrillBody(Struct, frozen=True, forbid_unknown_fields=True):
    """On which channel, "" for the configured one."""

    channel: Word = ""
    by: Word = ""


def matchers(texts: list[str], snap: Snapshot) -> tuple[Matcher, ...]:
    """The matchers of a body. What nothing could ever fit is refused. Raises BadBody."""
    known = matching.known(snap.settings)
    found: list[Matcher] = []
    for text in texts:
        try:
            found += matching.read_text(text, known)
        except matching.NoMatcher as wrong:
            raise BadBody(f"matcher {shown_key(text)}: {wrong.what}; {wrong.fix}") from None
    if not 1 <= len(found) <= MATCHERS_MAX:
        raise BadBody(f"1 to {MATCHERS_MAX} matchers say what is meant, as in team=shop or service=shop-*")
    return tuple(found)


def silence(asked: SilenceBody, kind: SilenceKind, author: str, snap: Snapshot) -> Silence:
    """The silence that is wished for. Raises BadBody."""
    known = snap.state.silences.get(asked.id)
    if asked.id and (known is None or known.kind is not kind):
        raise BadBody(f"id: no {kind} has that id; leave it out for a new one")
    return timed(asked, matchers(asked.matchers, snap), kind, author, snap)


def timed(
    asked: SilenceBody, what: tuple[Matcher, ...], kind: SilenceKind, author: str, snap: Snapshot
) -> Silence:
    """A silence of `what`, at the times that are wished for. Raises BadBody."""
    now_wall, known = snap.now.wall, snap.state.silences.get(asked.id)
    starts_wall = _wall(asked.starts, "starts") if asked.starts else now_wall
    if starts_wall > now_wall + STARTS_WITHIN_S:
        raise BadBody("starts: at most a year from now")
    ends_wall = _ends_wall(asked, max(starts_wall, now_wall))
    if ends_wall <= max(starts_wall, now_wall):
        raise BadBody("until: this is over before it begins")
    if ends_wall - starts_wall > SILENCE_MAX_S:
        raise BadBody("a silence lasts at most 366 days: what is to be quiet for ever belongs in the config")
    return Silence(
        id=asked.id or secrets.token_hex(6),
        kind=kind,
        matchers=what,
        author=author,
        reason=clean(asked.reason, REASON_MAX),
        starts_wall=round(starts_wall, 3),
        ends_wall=round(ends_wall, 3),
        created_wall=known.created_wall if known else now_wall,
    )


def form_body(values: Mapping[str, object]) -> SilenceBody:
    """The same wish out of a form's fields, where a time is in UTC. Raises BadBody."""
    text = {key: value.strip() for key, value in values.items() if isinstance(value, str)}
    if any(len(value) > REASON_MAX * 5 for value in text.values()):
        raise BadBody("one of the fields is too long")
    until = text.get("until", "")
    return SilenceBody(
        matchers=text.get("matchers", "").split()[: MATCHERS_MAX + 1],
        for_="" if until else text.get("for", ""),
        until=_form_time(until) if until else None,
        reason=text.get("reason", ""),
        author=text.get("author", "")[:AUTHOR_MAX],
    )


def _form_time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadBody("until: write it like 2026-11-01 18:00, in UTC") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _ends_wall(asked: SilenceBody, begins_wall: float) -> float:
    if bool(asked.for_) is bool(asked.until):
        raise BadBody("say how long: for, as in 2h, or until, as in 2026-11-01T18:00:00Z")
    if asked.until is not None:
        return _wall(asked.until, "until")
    try:
        for_s = parse_duration(asked.for_)
    except Wrong as wrong:
        raise BadBody(f"for: {wrong.what}; {wrong.fix}") from None
    return begins_wall + for_s


def _wall(at: datetime, key: str) -> float:
    if at.tzinfo is None:
        raise BadBody(f"{key}: say the time zone too, as in 2026-11-01T18:00:00Z or +01:00")
    return at.timestamp()
