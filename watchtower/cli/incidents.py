"""`watchtower incidents`: what was down and since when, who works on it, and why nobody was told.

Decides only how it is shown; the peers decide what is in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from watchtower.cli.asking import ask_or_fail, peers_of
from watchtower.cli.options import asking_options
from watchtower.cli.tables import Cell, moment, show
from watchtower.core.text import clean, sight

FOLDED_SHOWN = 20


@click.command
@click.argument("number", type=click.IntRange(1), required=False)
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option("--service", default="", help="Only those of this service.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many at most.")
@asking_options
def incidents(
    *,
    number: int | None,
    only_open: bool,
    service: str,
    limit: int,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List incidents, open ones first; with NUMBER, all about that one."""
    peers = peers_of(urls, config_path, token)
    if number is not None:
        one = ask_or_fail(peers, f"/api/v1/incidents/{number}", f"incident {number}")
        click.echo(json.dumps(one) if as_json else "\n".join(_detail(one)))
        return
    wanted = {"limit": str(limit), "service": service, "state": "open" if only_open else ""}
    query = urlencode({key: value for key, value in wanted.items() if value})
    doc = ask_or_fail(peers, f"/api/v1/incidents?{query}")
    if as_json:
        click.echo(json.dumps(doc))
    elif not doc["incidents"]:
        click.echo("No incidents.")
    else:
        columns = ("no", "subject", "level", "since", "state", "why, and what was seen")
        show("Incidents", columns, [_row(incident) for incident in doc["incidents"]])


def _row(incident: dict[str, Any]) -> list[Cell | str]:
    level, ended = str(incident["level"]), moment(incident["closed_at"])
    seen = "; ".join(_evidence(incident))
    return [
        str(incident["number"]),
        str(incident["title"]),
        Cell(level, level if incident["open"] else "dim"),
        moment(incident["since"]) + (f" to {ended}" if ended else ""),
        _state(incident),
        f"{incident['reason']}{': ' if seen else ''}{seen}",
    ]


def _evidence(doc: dict[str, Any]) -> list[str]:
    """What was seen, and by whom; peers that saw the same stand together."""
    seen: dict[str, list[str]] = {}
    for item in doc["evidence"]:
        said = sight(str(item["opinion"]), str(item["text"]), is_suspect=bool(item.get("suspect")))
        seen.setdefault(said, []).append(str(item["peer"]))
    return [f"{', '.join(peers)} {text}" for text, peers in seen.items()]


def _state(incident: dict[str, Any]) -> Cell:
    """In a word how it stands."""
    if not incident["open"]:
        return Cell("over", "dim")
    if incident["withheld"]:
        root = incident["withheld"]["root"]
        return Cell(f"{incident['withheld']['why']}{f' by #{root}' if root else ''}", "warn")
    if incident["ack"]:
        return Cell(f"taken by {incident['ack']['by']}", "good")
    return Cell("flapping" if incident["flapping"] else "still open")


def _detail(one: dict[str, Any]) -> list[str]:
    """All about an incident, for people."""
    state = (
        f"{one['level']} since {moment(one['since'])}"
        if one["open"]
        else f"over at {moment(one['closed_at'])}"
    )
    lines = [f"#{one['number']} {one['title']}: {state} ({one['severity']})", str(one["reason"]), ""]
    lines += _standing(one)
    blocks = (
        ("What the peers saw", _evidence(one)),
        ("What suffers", _suffering(one["impact"])),
        ("Folded into it", _folded(one["dependents"])),
        (
            "What happened",
            [f"{moment(step['at'])} {step['level']}: {step['reason']}" for step in one["timeline"]],
        ),
        ("Who was told", [_telling(item) for item in one["notifications"]] or ["nobody"]),
    )
    for title, block in blocks:
        if block:
            lines += ["", title, *(f"  {line}" for line in block)]
    return [clean(line, 400) if not line.startswith("  ") else f"  {clean(line, 400)}" for line in lines]


def _standing(one: dict[str, Any]) -> list[str]:
    lines = []
    if one["ack"]:
        note = f": {one['ack']['note']}" if one["ack"]["note"] else ""
        lines.append(f"{one['ack']['by']} works on it since {moment(one['ack']['at'])}{note}")
    if one["withheld"] and one["open"]:
        root, text = one["withheld"]["root"], str(one["withheld"]["text"])
        also = f" (#{root})" if root and f"#{root}" not in text else ""
        lines.append(f"not told: {text}{also}")
    if one["flapping"]:
        lines.append("it flaps: told once, and again when it has settled")
    if not lines and one["open"]:
        lines.append(f"nobody has acknowledged it: watchtower ack {one['number']}")
    return lines


def _suffering(impact: dict[str, Any]) -> list[str]:
    lines = [
        f"{row['title']}: {row['degraded'] or ('fails' if row['failing'] else 'needs it')}"
        for row in impact["services"]
    ]
    more = impact["count"] - len(lines)
    return [*lines, f"and {more} more"] if more > 0 else lines


def _folded(dependents: list[dict[str, Any]]) -> list[str]:
    lines = [f"#{one['number']} {one['title']}: {one['reason']}" for one in dependents[:FOLDED_SHOWN]]
    more = len(dependents) - FOLDED_SHOWN
    return [*lines, f"and {more} more"] if more > 0 else lines


def _telling(item: dict[str, Any]) -> str:
    last = item["attempts"][-1] if item["attempts"] else None
    who = f" by {last['peer']}" if last else ""
    more = item["receipt"] or item["dropped"] or item["waits"] or (last["detail"] if last else "")
    when = moment(item["settled_at"] or item["created_at"])
    return f"{when} {item['kind']} to {item['channel']}: {item['stage']}{who}{', ' if more else ''}{more}"
