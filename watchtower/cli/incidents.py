"""`watchtower incidents`: what was down and since when, from any peer.

Decides only how a list is shown; the peers decide what is in it.
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


@click.command
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option("--service", default="", help="Only those of this service.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many at most.")
@asking_options
def incidents(
    *,
    only_open: bool,
    service: str,
    limit: int,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List incidents, open ones first."""
    wanted = {"limit": str(limit), "service": service, "state": "open" if only_open else ""}
    query = urlencode({key: value for key, value in wanted.items() if value})
    doc = ask_or_fail(peers_of(urls, config_path, token), f"/api/v1/incidents?{query}")
    if as_json:
        click.echo(json.dumps(doc))
    elif not doc["incidents"]:
        click.echo("No incidents.")
    else:
        columns = ("no", "subject", "level", "since", "over", "why", "evidence")
        show("Incidents", columns, [_row(incident) for incident in doc["incidents"]])


def _row(incident: dict[str, Any]) -> list[Cell | str]:
    level = str(incident["level"])
    seen = [f"{item['peer']} {item['opinion']}: {item['text']}".rstrip(": ") for item in incident["evidence"]]
    return [
        str(incident["number"]),
        str(incident["title"]),
        Cell(level, level if incident["open"] else "dim"),
        moment(incident["since"]),
        moment(incident["closed_at"]) or "still open",
        str(incident["reason"]),
        Cell("; ".join(seen), "dim"),
    ]
