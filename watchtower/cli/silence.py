"""`watchtower silence` and `watchtower maintenance`: quiet for what is known, or planned.

Decides only how it is asked and shown; what matchers mean and hit, the peers say.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from watchtower.cli.acting import desk, myself, told
from watchtower.cli.asking import ask_or_fail, peers_of
from watchtower.cli.options import asking_options
from watchtower.cli.tables import Cell, moment, show
from watchtower.core.text import clean
from watchtower.errors import ConfigError

SHOWN_MAX = 12
_STYLES = {"active": "warn", "waits": "", "over": "dim"}


@click.group
def silence() -> None:
    """Tell nobody of what is known, for a while: of team=shop, service=shop-*, severity!=info."""


@click.group
def maintenance() -> None:
    """Tell nobody of what is planned: begin it by hand, or see what the config plans."""


def _adding(verb: Callable[..., Any]) -> Callable[..., Any]:
    """What both kinds take."""
    options = (
        click.argument("matchers", nargs=-1, required=True),
        click.option("--for", "duration", default="", help="For how long, as in 2h or 1h30m."),
        click.option(
            "--until", default="", help="Until when, as in '2026-11-01 18:00 Europe/Berlin', instead."
        ),
        click.option("--starts", default="", help="From when, in the same words.  [default: now]"),
        click.option("--reason", default="", help="What is known, or planned."),
        click.option("--author", default=myself, help="Who says so.  [default: the user of this machine]"),
        asking_options,
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


@silence.command("add")
@_adding
def add_silence(**asked: Any) -> None:
    """Set a silence on what all MATCHERS fit, and say what it hits now. Needs a token of scope write."""
    _add("silences", "Silence", asked)


@maintenance.command("add")
@_adding
def add_maintenance(**asked: Any) -> None:
    """Begin maintenance of what all MATCHERS fit, and say what it hits now. Needs a token of scope write."""
    _add("maintenance", "Maintenance", asked)


@silence.command("preview")
@click.argument("matchers", nargs=-1, required=True)
@asking_options
def preview(
    *,
    matchers: tuple[str, ...],
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Say what MATCHERS would hit now, and set nothing."""
    body = {"matchers": [*matchers]}
    doc = told(desk(urls, config_path, token), "POST", "/api/v1/silences/preview", body)
    click.echo(json.dumps(doc) if as_json else _hits(doc))


@silence.command("list")
@click.option("--all", "with_over", is_flag=True, help="Those that are over too.")
@asking_options
def list_silences(
    *, with_over: bool, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool
) -> None:
    """List silences, those that are on first."""
    doc = ask_or_fail(peers_of(urls, config_path, token), "/api/v1/silences")
    if as_json:
        click.echo(json.dumps(doc))
        return
    _table("Silences", [_row(one) for one in doc["silences"] if with_over or one["state"] != "over"])


@maintenance.command("list")
@click.option("--all", "with_over", is_flag=True, help="What is over too.")
@asking_options
def list_maintenance(
    *, with_over: bool, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool
) -> None:
    """List maintenance: begun by hand, and planned in the config with the next time."""
    doc = ask_or_fail(peers_of(urls, config_path, token), "/api/v1/maintenance")
    if as_json:
        click.echo(json.dumps(doc))
        return
    begun = [_row(one) for one in doc["maintenance"] if with_over or one["state"] != "over"]
    _table("Maintenance", [*begun, *(_window_row(one) for one in doc["windows"])])


def _ending(path: str) -> Callable[..., None]:
    @click.argument("id_", metavar="ID")
    @asking_options
    def end(
        *, id_: str, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool
    ) -> None:
        doc = told(desk(urls, config_path, token), "DELETE", f"/api/v1/{path}/{quote(id_, safe='')}")
        click.echo(
            json.dumps(doc) if as_json else f"Over: {clean(str(doc['text']))}. What lasts is told now."
        )

    return end


_END_HELP = "End {} before its time. Needs a token of scope write."
silence.command("end", help=_END_HELP.format("silence ID"))(_ending("silences"))
maintenance.command("end", help=_END_HELP.format("maintenance ID"))(_ending("maintenance"))


def _add(path: str, word: str, asked: dict[str, Any]) -> None:
    if bool(asked["duration"]) is bool(asked["until"]):
        raise click.UsageError("say --for DURATION, as in --for 2h, or --until TIME")
    body = {key: asked[key] for key in ("reason", "author")}
    body |= {"until": _moment("until", asked)} if asked["until"] else {"for": asked["duration"]}
    body |= {"starts": _moment("starts", asked)} if asked["starts"] else {}
    if not asked["reason"]:
        click.echo("Nobody will know why: say it with --reason.", err=True)
    body["matchers"] = [*asked["matchers"]]
    doc = told(desk(asked["urls"], asked["config_path"], asked["token"]), "POST", f"/api/v1/{path}", body)
    if asked["as_json"]:
        click.echo(json.dumps(doc))
        return
    one = doc["silence"]
    click.echo(f"{word} {one['id']} until {moment(one['ends_at'])} UTC.")
    click.echo(_hits(doc["hits"]))
    click.echo(f"End it sooner: watchtower {word.lower()} end {one['id']}")


def _moment(key: str, asked: dict[str, Any]) -> str:
    """The time behind --until or --starts, for the peers; without a zone it is one of alerting.timezone."""
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second
    from watchtower.cli.route import read_moment  # noqa: PLC0415 - only for a time

    path = asked["config_path"]
    timezone = read_settings(path).alerting.timezone if path is not None else "UTC"
    try:
        at_wall, _ = read_moment(asked[key], timezone, option=f"--{key}")
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    return datetime.fromtimestamp(at_wall, UTC).isoformat()


def _hits(doc: dict[str, Any]) -> str:
    """What is hit, in a few lines."""
    services, incidents = doc["services"], doc["incidents"]
    others = f", also {', '.join(clean(one) for one in doc['others'])}" if doc["others"] else ""
    lines = [f"{clean(str(doc['text']))} hits {_count(services, 'service')}{_listed(services)}{others}"]
    named = [f"#{one['number']} {one['title']} ({one['level']})" for one in incidents]
    lines.append(f"and {_count(incidents, 'open incident')}{_listed(named)}")
    return "\n".join(lines)


def _count(items: Sequence[object], what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"


def _listed(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - SHOWN_MAX} more" if len(names) > SHOWN_MAX else ""
    return ": " + ", ".join(clean(name) for name in names[:SHOWN_MAX]) + more


def _table(title: str, rows: list[list[Cell | str]]) -> None:
    if rows:
        show(title, ("id", "what", "state", "until", "by", "reason"), rows)
    else:
        click.echo(f"No {title.lower()}.")


def _row(one: dict[str, Any]) -> list[Cell | str]:
    state = str(one["state"])
    until = moment(one["ends_at"])
    return [
        str(one["id"]),
        str(one["text"]),
        Cell(state, _STYLES.get(state, "")),
        f"{moment(one['starts_at'])} to {until}" if state == "waits" else until,
        str(one["author"]),
        str(one["reason"]),
    ]


def _window_row(one: dict[str, Any]) -> list[Cell | str]:
    """A window of the config: it has no id, because it cannot be ended here."""
    until = moment(one["open_until"]) if one["active"] else ""
    coming = f"{moment(one['starts_at'])} to {moment(one['ends_at'])}" if one["starts_at"] else ""
    state = "active" if one["active"] else "waits" if coming else "over"
    return [
        Cell("config", "dim"),
        str(one["text"]),
        Cell(state, _STYLES[state]),
        until or coming,
        Cell(str(one["cron"] and f"{one['cron']} {one['timezone']}"), "dim"),
        str(one["reason"]),
    ]
