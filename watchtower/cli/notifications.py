"""`watchtower notifications` and `watchtower channels`: who told whom what, whether it arrived, what is sick.

Decides only how it is shown; the peers decide what is in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import click

from watchtower.cli.asking import ask_or_fail, peers_of
from watchtower.cli.options import asking_options
from watchtower.cli.tables import Cell, moment, show
from watchtower.core.text import clean

_BY_NOBODY: Final = ("cancelled", "digested")


@click.command
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--incident", type=click.IntRange(1), help="Only those of the incident with this number.")
@click.option("--channel", default="", help="Only those to this channel.")
@click.option("--stage", default="", help="Only those in this stage, as in dead or pending.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many at most.")
@asking_options
def notifications(
    *,
    id_: str | None,
    incident: int | None,
    channel: str,
    stage: str,
    limit: int,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List what was told to whom, newest first; with ID, all about that one."""
    peers = peers_of(urls, config_path, token)
    if id_:
        one = ask_or_fail(peers, f"/api/v1/notifications/{quote(id_, safe='')}", f"notification {clean(id_)}")
        click.echo(json.dumps(one) if as_json else "\n".join(_detail(one)))
        return
    wanted = {"limit": limit, "incident": incident, "channel": channel, "stage": stage}
    query = urlencode({key: value for key, value in wanted.items() if value})
    doc = ask_or_fail(peers, f"/api/v1/notifications?{query}")
    if as_json:
        click.echo(json.dumps(doc))
    elif not doc["notifications"]:
        click.echo("No notifications.")
    else:
        columns = ("id", "told", "channel", "stage", "at", "answer")
        show("Notifications", columns, [_row(item) for item in doc["notifications"]])


@click.command
@asking_options
def channels(*, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool) -> None:
    """List the channels: what ails them, what waits for them, when they last took something."""
    doc = ask_or_fail(peers_of(urls, config_path, token), "/api/v1/channels")
    if as_json:
        click.echo(json.dumps(doc))
    elif not doc["channels"]:
        click.echo("No channels: nobody is told of anything.")
    else:
        columns = ("channel", "kind", "state", "waiting", "this hour", "last took", "fallback")
        show("Channels", columns, [_channel_row(one) for one in doc["channels"]])


def answer_of(item: dict[str, Any]) -> str:
    """What is to be said of a notification: the provider's answer, or why there is none."""
    last = item["attempts"][-1] if item["attempts"] else {"detail": "", "outcome": ""}
    if item["stage"] == "delivered":
        return str(item["receipt"] or last["detail"])
    said = item["dropped"] or item["waits"] or ("told by a digest" if item["digest"] else "")
    outcome = "" if last["outcome"] == item["stage"] else str(last["outcome"]).replace("_", " ")
    tried = f"{outcome} {last['detail']}".strip()
    return "; ".join(part for part in (tried, said) if part)


def _row(item: dict[str, Any]) -> list[Cell | str]:
    stage, tries = str(item["stage"]), len(item["attempts"])
    who = item["attempts"][-1]["peer"] if tries else item["owner"] or item["sender"]
    again = f" (attempt {tries})" if tries > 1 else ""
    number = f"#{item['incident']} " if item["incident"] else ""
    return [
        Cell(str(item["id"]), "dim"),
        f"{number}{item['kind']} {item['title']}",
        str(item["channel"]),
        Cell(stage if stage in _BY_NOBODY else f"{stage} by {who}{again}", stage),
        moment(item["settled_at"] or item["created_at"]),
        Cell(answer_of(item), "dim"),
    ]


def _detail(one: dict[str, Any]) -> list[str]:
    """All about a notification, for people."""
    instead = f" instead of {one['instead_of']}" if one["instead_of"] else ""
    lines = [
        f"{one['id']}: {one['kind']} {one['title']} to {one['channel']}{instead} ({one['schema']})",
        str(one["reason"]),
        f"{_stage(one)}, written {moment(one['created_at'])}",
    ]
    for key, word in (("dropped", "withdrawn: "), ("waits", "waits: "), ("digest", "told by digest ")):
        if one[key]:
            lines.append(f"{word}{one[key]}")
    blocks = (
        ("Attempts", [_attempt(attempt) for attempt in one["attempts"]]),
        (
            "All that it tells",
            [f"#{item['incident']} {item['title']}: {item['reason']}" for item in one["told"]],
        ),
    )
    for title, block in blocks:
        if block:
            lines += ["", title, *(f"  {clean(line, 400)}" for line in block)]
    return [line if line.startswith("  ") else clean(line, 400) for line in lines]


def _stage(one: dict[str, Any]) -> str:
    """`delivered by b`, `pending, to be sent by b`."""
    if one["stage"] in ("pending", "claimed", "uncertain"):
        return f"{one['stage']}, to be sent by {one['sender']}"
    who = f" by {one['attempts'][-1]['peer']}" if one["attempts"] else ""
    return f"{one['stage']}{'' if one['stage'] in _BY_NOBODY else who}"


def _attempt(attempt: dict[str, Any]) -> str:
    outcome = str(attempt["outcome"]).replace("_", " ")
    return (
        f"{attempt['number']} at {moment(attempt['at'])} by {attempt['peer']}: {outcome} {attempt['detail']}"
    )


def _channel_row(one: dict[str, Any]) -> list[Cell | str]:
    state = Cell("idle", "good")
    if one["waiting"]:
        state = Cell("busy", "warn")
    if one["paths"]:
        state = Cell("; ".join(f"not from {peer}: {why}" for peer, why in one["paths"].items()), "warn")
    if one["full_until"]:
        state = Cell(f"full until {moment(one['full_until'])}", "warn")
    if one["rest_until"]:
        state = Cell(f"rests until {moment(one['rest_until'])}", "warn")
    if one["trouble"]:
        state = Cell(f"does not work: {one['trouble']}", "bad")
    if one["incident"]:
        number = f"incident #{one['incident']}"
        ailing = f"does not work: {one['trouble']} ({number})" if one["trouble"] else f"{number} is open"
        state = Cell(ailing, "bad")
    return [
        str(one["name"]),
        Cell(str(one["schema"]), "dim"),
        state,
        str(one["waiting"]),
        f"{one['sent_this_hour']} of {one['rate']['hour']}",
        moment(one["last_accepted_at"]) or "never",
        str(one["fallback"]),
    ]
