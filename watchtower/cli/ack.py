"""`watchtower ack`: say that somebody works on an incident, or that nobody does after all.

Decides nothing: what it means for reminders and escalation is the cluster's.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from watchtower.cli.acting import desk, myself, told
from watchtower.cli.options import asking_options
from watchtower.core.text import clean


@click.command
@click.argument("number", type=click.IntRange(1))
@click.option("--note", default="", help="A word about it, as in 'restarting the database'.")
@click.option("--by", default=myself, help="Who works on it.  [default: the user of this machine]")
@click.option("--withdraw", is_flag=True, help="Nobody works on it after all.")
@asking_options
def ack(
    *,
    number: int,
    note: str,
    by: str,
    withdraw: bool,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Acknowledge incident NUMBER: no reminders, no escalation. Needs a token of scope write.

    It ends with the incident, and when that gets worse.
    """
    method = "DELETE" if withdraw else "POST"
    doc = told(
        desk(urls, config_path, token), method, f"/api/v1/incidents/{number}/ack", {"by": by, "note": note}
    )
    if as_json:
        click.echo(json.dumps(doc))
        return
    title, taken = clean(str(doc["title"])), doc["ack"]
    who = f"{taken['by']} works on it" if taken else "nobody works on it any more"
    click.echo(f"#{doc['number']} {title} ({doc['level']}): {clean(who)}.")
