"""Reads single values that have rules of their own: each takes text, gives the typed value or raises Wrong.

The rules are those of docs/reference/config.md. schema.py says which key is read by which reader.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable
from datetime import datetime
from typing import Final

from watchtower.config import targets
from watchtower.config.problems import Wrong
from watchtower.config.strength import check_secret
from watchtower.config.units import duration_text, parse_count, parse_duration, parse_percent
from watchtower.core import schedules
from watchtower.core.nearest import nearest
from watchtower.core.policies import Severity
from watchtower.core.secret import Secret
from watchtower.core.settings import CLUSTER_SUBJECT, JITTER_MAX, PEER_PREFIX
from watchtower.core.targets import HeartbeatTarget

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_NAME_RULE: Final = "names match [a-z0-9][a-z0-9._-]{0,62}"
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,62}")
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,80}")
_DAY_S: Final = 86_400
_WHOLE_LINE: Final = 400
_PLAIN_TIME: Final = re.compile(
    r"(?P<day>day|daily|(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun)"
    r" (?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)"
)
_SHORTHANDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_RANGES: Final = {
    "minute": "0 to 59, *, */5, 0,30 or 10-20",
    "hour": "0 to 23, *, */2, 8,20 or 8-18",
    "day": "1 to 31, *, L for the last, 1,15 or 1-7",
    "month": "1 to 12, *, JAN to DEC",
    "weekday": "0 to 7 (0 and 7 are Sunday), *, SUN to SAT, MON-FRI or 5L for the last Friday",
}


def read_name(text: str) -> str:
    """The name of a peer, channel, token or cluster."""
    if not NAME.fullmatch(text):
        close = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:63]
        can_suggest = NAME.fullmatch(close) is not None and "://" not in text
        raise Wrong("this is no name", f"{_NAME_RULE}; try `{close}`" if can_suggest else _NAME_RULE)
    return text


def read_service_name(text: str) -> str:
    """The name of a service: `cluster` and `peer/...` are subjects of the cluster's own incidents."""
    if text == CLUSTER_SUBJECT or text.startswith(PEER_PREFIX):
        raise Wrong("this name is reserved for incidents about the cluster and its peers", "choose another")
    try:
        return read_name(text)
    except Wrong as wrong:
        raise Wrong("this is no name for a service", f"{wrong.fix}; `title:` is for people") from None


def read_label_name(text: str) -> str:
    """The name of a label, as Prometheus has them."""
    if not _LABEL.fullmatch(text):
        raise Wrong("this is no label name", "letters, digits and _, as in `team`")
    return text


def read_header_name(text: str) -> str:
    """The name of an HTTP header."""
    if not _HEADER.fullmatch(text):
        raise Wrong("this is no header name", "write it like Accept or X-Api-Version")
    return text


def duration_between(low: float, high: float) -> Callable[[str], float]:
    """A reader of durations from `low` to `high` seconds."""

    def read(text: str) -> float:
        seconds = parse_duration(text)
        if not low <= seconds <= high:
            raise Wrong("out of range", f"from {duration_text(low)} to {duration_text(high)}")
        return seconds

    return read


def count_between(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers from `low` to `high`."""

    def read(text: str) -> int:
        number = parse_count(text)
        if not low <= number <= high:
            raise Wrong("out of range", f"from {low} to {high}")
        return number

    return read


def line_of(longest: int) -> Callable[[str], str]:
    """A reader of one printable line of at most `longest` characters."""

    def read(text: str) -> str:
        if len(text) > longest:
            raise Wrong("too long", f"at most {longest} characters")
        if not text.isprintable():
            raise Wrong("line breaks or control characters", "write one plain line")
        return text

    return read


def one_of(*words: str) -> Callable[[str], str]:
    """A reader of one of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise Wrong("this word does not belong here", nearest(text, words))
        return text

    return read


def read_jitter(text: str) -> float:
    """A fraction of the interval."""
    fraction = parse_percent(text)
    if fraction > JITTER_MAX:
        raise Wrong("out of range", "from 0% to 50%")
    return fraction


def read_error_threshold(text: str) -> float:
    """A fraction of calls; at 100% a breaker would never open."""
    fraction = parse_percent(text)
    if not 0.01 <= fraction <= 0.99:
        raise Wrong("out of range", "from 1% to 99%")
    return fraction


def read_redirects(text: str) -> int:
    """How many redirects are followed."""
    if text in {"true", "false"}:
        return 5 if text == "true" else 0
    return count_between(0, 20)(text)


def read_secret(text: str) -> Secret:
    """A cluster secret of at least 128 bits."""
    check_secret(text)
    return Secret(text)


def read_token(text: str) -> Secret:
    """A bearer token."""
    if not re.fullmatch(r"[!-~]{16,200}", text):
        raise Wrong("a token has 16 to 200 characters and no blanks", "`openssl rand -hex 24` makes one")
    return Secret(text)


def read_ping_key(text: str) -> Secret:
    """The key in the URLs that heartbeats call."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,128}", text):
        fix = "it becomes part of a URL: `openssl rand -hex 16` makes one"
        raise Wrong("a ping key has 16 to 128 letters, digits, - or _", fix)
    return Secret(text)


def read_base_path(text: str) -> str:
    """The path under which everything is served, without the final slash."""
    if text in {"", "/"}:
        return ""
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+/?", text):
        raise Wrong("this is no path", "write it like /watchtower")
    return text.rstrip("/")


def read_header_value(text: str) -> Secret:
    """The value of an HTTP header; any header may be a credential."""
    if len(text) > 4096 or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text):
        raise Wrong("too long, or a control character", "write one line of at most 4096 characters")
    return Secret(text)


def read_link(text: str) -> str:
    """An http(s) URL for people, shown to everybody."""
    if targets.parse_http_url(text)[1] is not None:
        raise Wrong("this link is shown to everybody, user info has no place in it", "remove it")
    return text


def read_secret_url(text: str) -> Secret:
    """An http(s) URL that is a secret, as those of dead man's switches are. Raises Wrong."""
    targets.parse_http_url(text)
    return Secret(text)


def read_rhythm(text: str) -> HeartbeatTarget:
    """When beats are due: every so many seconds, or by cron. The grace is another key's."""
    if len(text.split()) == 1 and not text.startswith("@"):
        return HeartbeatTarget(period_s=duration_between(10, 366 * _DAY_S)(text), grace_s=0.0)
    cron = _SHORTHANDS.get(text.strip().lower(), text)
    try:
        schedules.check(cron, "UTC")
    except schedules.ScheduleError as error:
        raise _wrong_schedule(text, str(error)) from None
    return HeartbeatTarget(cron=" ".join(cron.split()), grace_s=0.0)


def read_times(text: str) -> str:
    """When something recurs: `monday 10:00`, `day 10:00` or cron; as the latter. Raises Wrong."""
    plain = _PLAIN_TIME.fullmatch(text.strip().lower())
    if plain is None:
        if len(text.split()) == 1 and not text.startswith("@") and not text[:1].isdigit():
            raise Wrong("this says no time", "write it like monday 10:00, or 0 10 * * mon")
        return read_rhythm(text).cron or _no_period(text)
    weekday = "*" if plain["day"] in ("day", "daily") else plain["day"][:3]
    return f"{int(plain['minute'])} {int(plain['hour'])} * * {weekday}"


def _no_period(text: str) -> str:
    raise Wrong(f"`{text[:20]}` says how often, not when", "write it like monday 10:00, or 0 10 * * mon")


def _wrong_schedule(text: str, word: str) -> Wrong:
    """Points at the field of a cron expression that is wrong, if it is one."""
    fields = [(match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    if len(fields) != len(schedules.FIELDS):
        what = f"a schedule has five fields, not {len(fields)}"
        quotes = (
            "; inside { } it stands in quotes when it has commas" if "," in text or len(fields) < 3 else ""
        )
        return Wrong(what, f"{' '.join(schedules.FIELDS)}, as in 15 3 * * * for 3:15 every day{quotes}")
    names = {"Bad day-of-month": "day", "Bad day-of-week": "weekday"}
    name = names.get(word, word.removeprefix("Bad "))
    start, end = fields[schedules.FIELDS.index(name)]
    if text[start:end].isdigit() and name == "day":
        return Wrong(
            "no month of this schedule has this day", "it would never be due", start=start, width=end - start
        )
    return Wrong(f"this is no {name} of a schedule", _RANGES[name], start=start, width=end - start)


def read_timezone(text: str) -> str:
    """The name of a time zone, as in the tz database."""
    try:
        schedules.check("0 0 * * *", text)
    except (KeyError, ValueError, OSError):
        close = nearest(text, zoneinfo.available_timezones())
        fix = close if close.startswith("did") else "write it like Europe/Berlin or UTC"
        raise Wrong("no such time zone is known here", fix) from None
    return text


def read_storage_path(text: str) -> str:
    """A folder."""
    if not text or not text.isprintable():
        raise Wrong("this is no path", "name a folder, as in /var/lib/watchtower")
    return text


def read_body(text: str) -> str:
    """What is sent with an HTTP request."""
    if len(text) > 65_536:
        raise Wrong("too long", "at most 64 KiB")
    return text


def read_local_time(text: str) -> datetime:
    """A time on the clock on the wall, without a zone."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?", text, re.ASCII):
        raise Wrong("this is no time", "write it like 2026-12-01 22:00; the zone is another key, `tz:`")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Wrong("there is no such day or time", "as in 2026-12-01 22:00") from None


def read_share(text: str) -> float:
    """A share of something, all of it at most."""
    fraction = parse_percent(text)
    if not 0.01 <= fraction <= 1.0:
        raise Wrong("out of range", "from 1% to 100%")
    return fraction


def read_template(text: str) -> str:
    """Own words for a message, in Jinja's notation, checked to its last word."""
    # Comes with the first template alone: most files have none.
    from watchtower import templating  # noqa: PLC0415 - as above

    try:
        templating.check(text)
    except templating.TemplateWrong as wrong:
        lines = text.splitlines(keepends=True)[: wrong.line - 1]
        raise Wrong(wrong.what, wrong.fix, start=sum(map(len, lines)), width=_WHOLE_LINE) from None
    return text


def read_severity(text: str) -> Severity:
    """How much a service matters."""
    return Severity(one_of(*Severity)(text))


def read_repeat(text: str) -> float:
    """How often people are reminded; 0 for never."""
    return 0.0 if text in {"0", "never"} else duration_between(60, 7 * _DAY_S)(text)


def read_policy(text: str) -> str:
    """What a peer without a majority does with alerts of services."""
    if text == "alert":
        raise Wrong("alerting without a majority is not part of this release", "write hold, or leave it out")
    return one_of("hold")(text)
