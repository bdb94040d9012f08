"""`watchtower notifications`: the delivery ledger, i.e. who told whom what, and whether it arrived.

Decides only how a list is shown; the peers decide what is in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from watchtower.cli.asking import ask_or_fail, peers_of
from watchtower.cli.options import asking_options
from watchtower.cli.tables import Cell, moment, show


@click.command
@click.option("--incident", type=click.IntRange(1), help="Only those of the incident with this number.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True, help="How many at most.")
@asking_options
def notifications(
    *,
    incident: int | None,
    limit: int,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """List what was told to whom, newest first."""
    query = f"limit={limit}" + (f"&incident={incident}" if incident else "")
    doc = ask_or_fail(peers_of(urls, config_path, token), f"/api/v1/notifications?{query}")
    if as_json:
        click.echo(json.dumps(doc))
    elif not doc["notifications"]:
        click.echo("No notifications.")
    else:
        columns = ("id", "incident", "told", "subject", "channel", "stage", "by", "at", "answer")
        show("Notifications", columns, [_row(item) for item in doc["notifications"]])


def _row(item: dict[str, Any]) -> list[Cell | str]:
    stage = str(item["stage"])
    last = item["attempts"][-1] if item["attempts"] else {"detail": "", "outcome": ""}
    answer = f"{last['outcome']} {last['detail']}".strip()
    tries = len(item["attempts"])
    return [
        Cell(str(item["id"]), "dim"),
        str(item["incident"]),
        str(item["kind"]),
        str(item["title"]),
        str(item["channel"]),
        Cell(stage if tries < 2 else f"{stage} (attempt {tries})", stage),
        str(item["owner"] or item["sender"]),
        moment(item["settled_at"] or item["created_at"]),
        Cell(answer, "dim"),
    ]
