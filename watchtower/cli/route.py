"""`watchtower route test`: who would be told, when, by which rule, and why not by the others. Asks no peer.

Decides only what is asked and how the answer is shown; the answer is core/alerting/routing.py's, as the
alerter's is.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from watchtower.cli.options import config_option, json_option, peer_option
from watchtower.cli.tables import Cell, show
from watchtower.errors import ConfigError

if TYPE_CHECKING:
    from watchtower.core.alerting.routing import Audience, Call, Trial
    from watchtower.core.settings import Settings

LEVELS: Final = ("down", "partial", "degraded")
REMINDERS_SHOWN: Final = 2


class Question(Struct, frozen=True, kw_only=True):
    """What is asked: the facts of an incident, and when it is."""

    settings: Settings
    found: dict[str, str]
    at_wall: float
    timezone: str


@click.group
def route() -> None:
    """Try out who would be told of what."""


@route.command("test")
@click.argument("facts", nargs=-1, metavar="[LABEL=VALUE]...")
@click.option("--service", help="A service of the file, or peer/NAME or cluster, with its labels.")
@click.option("--level", type=click.Choice(LEVELS), help="How bad it is.  [default: down]")
@click.option("--at", metavar="TIME", help="When, as in '2026-03-29 02:30 Europe/Berlin'.  [default: now]")
@config_option
@peer_option
@json_option
def route_test(
    *,
    facts: tuple[str, ...],
    service: str | None,
    level: str | None,
    at: str | None,
    config_path: Path,
    peer: str | None,
    as_json: bool,
) -> None:
    """Say who would be told, when, and why.

    Of a service of the file, or of whatever has the given labels; both together is that service with
    other labels. severity=warning and level=degraded can be given like labels.
    """
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second

    settings = read_settings(config_path, peer)
    question = _question(settings, facts, service=service, level=level, at=at)
    from watchtower.core.alerting import routing  # noqa: PLC0415 - as above

    fixed = routing.by_subject(question.found.get("service", ""), settings)
    trials = [] if fixed else list(routing.trials(question.found, settings, question.at_wall))
    audience = fixed or routing.by_routes(question.found, settings, question.at_wall)
    if as_json:
        click.echo(json.dumps(document(question, trials, audience)))
    else:
        _tell(question, trials, audience)


def _question(
    settings: Settings, given: tuple[str, ...], *, service: str | None, level: str | None, at: str | None
) -> Question:
    from watchtower.core.alerting import matching  # noqa: PLC0415 - comes with the file
    from watchtower.core.alerting.scene import severity  # noqa: PLC0415 - as above
    from watchtower.core.model import Level  # noqa: PLC0415 - as above
    from watchtower.core.policies import Severity  # noqa: PLC0415 - as above

    known = matching.known(settings)
    pairs = dict(_pair(text, known) for text in given)
    subject = service or pairs.get("service", "")
    if subject and subject not in known["service"]:
        raise ConfigError(_unknown("service", subject, known["service"]))
    bad = Level(level or pairs.get("level", Level.DOWN.value))
    loud = severity(subject, bad, settings) if subject else Severity.CRITICAL
    found = {**matching.facts(subject, bad, loud, settings), **pairs}
    found["level"] = bad.value
    if not subject:
        del found["service"]
    at_wall, timezone = read_moment(at, settings.alerting.timezone)
    return Question(settings=settings, found=found, at_wall=at_wall, timezone=timezone)


def _pair(text: str, known: dict[str, set[str]]) -> tuple[str, str]:
    label, equals, value = text.partition("=")
    if not equals or not label or label.endswith("!") or not value:
        raise ConfigError(f"{text!r} is no fact; write it like team=payments")
    if label not in known:
        raise ConfigError(_unknown("label", label, known))
    if value not in known[label]:
        if label in ("severity", "level", "service"):
            raise ConfigError(_unknown(label, value, known[label]))
        click.echo(f"Note: {_unknown(label, value, known[label])}", err=True)
    return label, value


def _unknown(what: str, word: str, known: Any) -> str:
    from watchtower.core.nearest import nearest, shown_key  # noqa: PLC0415 - comes with the file

    return f"nothing has the {what} `{shown_key(word)}`; {nearest(word, sorted(known))}"


def read_moment(text: str | None, timezone: str, option: str = "--at") -> tuple[float, str]:
    """Unix seconds of `text`, and the time zone in which it is shown."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only for a question

    from watchtower.config.problems import Wrong  # noqa: PLC0415 - comes with the file
    from watchtower.config.readers import read_timezone  # noqa: PLC0415 - as above

    if text is None:
        return datetime.now(UTC).timestamp(), timezone
    words = text.replace("T", " ", 1).split() if text[4:5] == "-" else []
    try:
        zone = read_timezone(words[2]) if len(words) > 2 else timezone
        local = datetime.fromisoformat(" ".join(words[:2]))
    except Wrong as wrong:
        raise ConfigError(f"{option}: {wrong.what}; {wrong.fix}") from None
    except ValueError:
        how = "write it like '2026-03-29 02:30' or '2026-03-29 02:30 Europe/Berlin'"
        raise ConfigError(f"{option}: {text!r} is no time; {how}") from None
    return (local if local.tzinfo else local.replace(tzinfo=ZoneInfo(zone))).timestamp(), zone


def document(question: Question, trials: list[Trial], audience: Audience) -> dict[str, Any]:
    """The answer for programs; `answers` null: it was not asked."""
    from watchtower.core.alerting import matching  # noqa: PLC0415 - comes with the file

    asked = {trial.number: trial for trial in trials}
    return {
        "facts": question.found,
        "at": datetime.fromtimestamp(question.at_wall, UTC).isoformat().replace("+00:00", "Z"),
        "rule": audience.reason,
        "routes": [
            {
                "number": number,
                "match": matching.shown(one.match),
                "notify": list(one.notify),
                "answers": not asked[number].misfit if number in asked else None,
                "why_not": asked[number].misfit if number in asked else "",
            }
            for number, one in enumerate(question.settings.routes, 1)
        ],
        "told": [
            {
                "channel": call.channel,
                "after_s": call.after_s,
                "escalation": call.escalation,
                "reminders_s": reminders_s(audience, call),
                "repeat_s": call.repeat_s,
            }
            for call in audience.calls
        ],
    }


def _tell(question: Question, trials: list[Trial], audience: Audience) -> None:
    found = question.found
    what = found.get("service", "anything")
    click.echo(f"{what} is {found['level']} ({found['severity']}), {_local(question)}")
    rest = " ".join(f"{label}={value}" for label, value in found.items() if label not in ("service", "level"))
    click.echo(f"Facts: {rest}")
    if question.settings.routes:
        title = "Routes" if trials else f"Routes are not asked: {audience.reason} comes first"
        show(title, ("route", "match", "notifies", "answers", "why not"), _route_rows(question, trials))
    if not audience.calls:
        click.echo(f"\nNobody is told: {audience.reason}.")
        return
    rows = [
        [_after(call.after_s), call.channel, call.escalation, _reminders(audience, call)]
        for call in audience.calls
    ]
    show(f"Told: {audience.reason}", ("after", "channel", "escalation", "reminders"), rows)


def _route_rows(question: Question, trials: list[Trial]) -> list[list[Cell | str]]:
    from watchtower.core.alerting import matching  # noqa: PLC0415 - comes with the file

    asked = {trial.number: trial for trial in trials}
    rows: list[list[Cell | str]] = []
    for number, one in enumerate(question.settings.routes, 1):
        trial = asked.get(number)
        answers = Cell("not asked", "dim") if trial is None else Cell("no", "dim")
        if trial is not None and not trial.misfit:
            answers = Cell("yes, and goes on" if one.is_continued else "yes", "good")
        why = trial.misfit if trial else ""
        names = ", ".join(one.notify) or "nobody"
        rows.append([str(number), matching.shown(one.match), names, answers, why + _opens(question, trial)])
    return rows


def _opens(question: Question, trial: Trial | None) -> str:
    """When a route that is out of its hours answers again."""
    from watchtower.core.alerting import hours, matching  # noqa: PLC0415 - comes with the file

    if trial is None or not trial.misfit or not matching.fits(trial.route.match, question.found):
        return ""
    change = hours.next_change(trial.route.active, question.at_wall)
    return f", next from {_clock(change, question.timezone)}" if change else ""


def _local(question: Question) -> str:
    return _clock(question.at_wall, question.timezone)


def _clock(at_wall: float, timezone: str) -> str:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - only for a question

    return f"{datetime.fromtimestamp(at_wall, ZoneInfo(timezone)):%a %Y-%m-%d %H:%M} {timezone}"


def _after(after_s: float) -> str:
    return _span(after_s) if after_s else "at once"


def reminders_s(audience: Audience, call: Call) -> list[float]:
    """When the channel has its first reminders; told with the last of its turns."""
    from watchtower.core.alerting.escalation import first_reminders_s  # noqa: PLC0415 - comes with the file

    is_last = call == [one for one in audience.calls if one.channel == call.channel][-1]
    return first_reminders_s(call, REMINDERS_SHOWN) if is_last else []


def _reminders(audience: Audience, call: Call) -> str:
    from watchtower.config.units import duration_text  # noqa: PLC0415 - comes with the file

    if call.repeat_s <= 0:
        return "never"
    first = reminders_s(audience, call)
    return ", ".join(map(_span, first)) + f", then every {duration_text(call.repeat_s)}" if first else ""


def _span(seconds: float) -> str:
    """`1h30m` of 5400 seconds."""
    from watchtower.config.units import duration_text  # noqa: PLC0415 - comes with the file

    hours, rest = divmod(seconds, 3_600)
    return f"{hours:.0f}h{duration_text(rest)}" if hours and rest else duration_text(seconds)
