"""What a message says, before any channel shapes it, and how hostile text is made harmless.

One typed Message is rendered from a notification (render.py) or made directly (`direct`) and then
shaped per channel (shapes/). All text in a Message is already clean: one line each, no control or
direction characters, capped. Markup is not escaped here, because every channel escapes its own way.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from msgspec import Struct

from watchtower.core.settings import Settings
from watchtower.core.text import clean as text_clean
from watchtower.core.text import sight

SUBJECT_MAX: Final = 150
LINE_MAX: Final = 300
_MENTION: Final = re.compile(
    r"@(?=(?:everyone|here|channel|all|room)\b)|(?<![\w.+-])@(?=[\w!&])", re.IGNORECASE
)
"""What notifies a group anywhere, and a person where a word begins: `ops@example.com` is neither."""
_LOOKALIKE: Final = "\N{FULLWIDTH COMMERCIAL AT}"


class Tone(StrEnum):
    """The colour of a message: red, orange, green, blue. The values are the notify types of apprise."""

    FAILURE = "failure"
    WARNING = "warning"
    SUCCESS = "success"
    INFO = "info"


class Sight(Struct, frozen=True, kw_only=True):
    """What one peer saw. `zone` and `text` may be empty."""

    peer: str
    opinion: str
    zone: str = ""
    text: str = ""
    latency_ms: float = 0.0
    suspect: bool = False

    @property
    def told(self) -> str:
        """What it saw in a few words: `down: timeout after 10 s`."""
        text = sight(self.opinion, self.text, is_suspect=self.suspect)
        return f"{text} ({self.latency_ms:.0f} ms)" if self.latency_ms >= 1 else text


class Link(Struct, frozen=True, kw_only=True):
    """A place to look at. `url` comes from the configuration, never from a probed service."""

    label: str
    url: str


class Group(Struct, frozen=True, kw_only=True):
    """A heading with lines below it: the parts of a digest, what a failure affects."""

    title: str
    lines: tuple[str, ...]


class Member(Struct, frozen=True, kw_only=True):
    """One incident that a digest tells of, for machines. `cause` is the service that explains it, if any."""

    incident: int
    service: str
    kind: str
    level: str
    severity: str
    cause: str = ""


class Opened(Struct, frozen=True, kw_only=True):
    """The first message of an incident in the same channel, which the later ones belong to."""

    delivery_id: str
    receipt: str = ""


class Message(Struct, frozen=True, kw_only=True):
    """Everything a channel may show. Times are Unix seconds; empty strings and zeros mean "nothing to say".

    `subject` carries everything a phone's lock screen must; `summary` is one sentence; `notes` are
    cautions about the delivery itself. `body` is text of the channel's own template, in the place of
    summary, facts, groups, sights and links. The fields below `delivery_id` are for machines.
    """

    state: str
    tone: Tone
    subject: str
    summary: str
    facts: tuple[tuple[str, str], ...] = ()
    groups: tuple[Group, ...] = ()
    members: tuple[Member, ...] = ()
    sights: tuple[Sight, ...] = ()
    notes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    footer: str = ""
    body: str = ""
    delivery_id: str = ""
    attempt: int = 0
    is_repeat: bool = False
    cluster: str = ""
    peer: str = ""
    incident: int = 0
    service: str = ""
    title: str = ""
    kind: str = ""
    level: str = ""
    severity: str = ""
    reason: str = ""
    since_wall: float = 0.0
    at_wall: float = 0.0
    opened: Opened | None = None
    is_broadcast: bool = False
    root: str = ""
    timezone: str = "UTC"

    @property
    def thread(self) -> str:
        """Messages with the same thread belong together: one per incident, or as `root` says."""
        return self.root or (f"incident-{self.incident}" if self.incident else self.kind or "notice")


def direct(
    *,
    settings: Settings,
    kind: str,
    title: str,
    lines: tuple[str, ...],
    delivery_id: str,
    at_wall: float,
    tone: Tone = Tone.WARNING,
) -> Message:
    """A message that is no notification: the blind notice, a test. Written to no ledger.

    `title` is the subject as it stands; the first of `lines` is the summary, the others follow below
    it. `kind` (`notice`, `test`) tells machines what it is.
    """
    me, cluster = settings.me, settings.cluster.name
    return Message(
        state=kind.upper(),
        tone=tone,
        subject=clean(title, SUBJECT_MAX),
        summary=clean(lines[0] if lines else title, LINE_MAX),
        notes=tuple(clean(line, LINE_MAX) for line in lines[1:]),
        footer=clean(f"sent by peer {me} | cluster {cluster} | delivery {delivery_id}", LINE_MAX),
        delivery_id=delivery_id,
        cluster=cluster,
        peer=me,
        kind=kind,
        title=clean(title, SUBJECT_MAX),
        at_wall=at_wall,
    )


def clean(text: str, limit: int) -> str:
    """`text` as one harmless line of at most `limit` characters (core/text.py).

    Mentions (`@everyone`, `@ops-lead`, `<@123>`) lose their at sign to one that no channel reads as such.
    """
    return _MENTION.sub(_LOOKALIKE, text_clean(text, limit))


def utc(at_wall: float) -> str:
    """`2026-01-31 09:16:04 UTC`."""
    return datetime.fromtimestamp(at_wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def moment(at_wall: float, timezone: str = "UTC") -> str:
    """`2026-01-31 09:16:04 UTC`, with the local time of `timezone` behind it: ` = 10:16:04 CET`."""
    here = datetime.fromtimestamp(at_wall, UTC)
    try:
        there = here.astimezone(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError):
        # The file was checked where it was written; this host may lack the zone, and an alert does not wait.
        return utc(at_wall)
    if there.utcoffset() == here.utcoffset():
        return utc(at_wall)
    is_same_day = there.date() == here.date()
    return f"{utc(at_wall)} = {there.strftime('%H:%M:%S %Z' if is_same_day else '%Y-%m-%d %H:%M:%S %Z')}"


def rfc3339(at_wall: float) -> str | None:
    """`2026-01-31T09:16:04Z`; None for "never"."""
    if not at_wall:
        return None
    return datetime.fromtimestamp(at_wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """A duration in its two largest units: `4 min 12 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = max(0, round(seconds))
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    units = ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s"))
    first = next((place for place, (count, _) in enumerate(units) if count), 3)
    shown = [f"{count} {unit}" for count, unit in units[first : first + 2] if count]
    return " ".join(shown) or "0 s"
