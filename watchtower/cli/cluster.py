"""`watchtower cluster`: verbs about the peers themselves; so far the list of members.

Decides only how it is shown. Who is leader, alerter or eligible is what the asked peer says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from watchtower.cli.asking import ask_or_fail, peers_of
from watchtower.cli.options import asking_options
from watchtower.cli.tables import Cell, moment, show


@click.group
def cluster() -> None:
    """Look at the peers themselves."""


@cluster.command
@asking_options
def members(*, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool) -> None:
    """List the peers: who leads, who alerts, whose votes count."""
    doc = ask_or_fail(peers_of(urls, config_path, token), "/api/v1/peers")
    if as_json:
        click.echo(json.dumps(doc))
        return
    columns = ("peer", "role", "alerter", "votes", "zone", "version", "config", "clock", "reported")
    show("Peers", columns, [_row(peer) for peer in doc["peers"]])


def _row(peer: dict[str, Any]) -> list[Cell | str]:
    offset = peer["clock_offset_s"]
    eligible = Cell("count", "good") if peer["eligible"] else Cell(f"do not count: {peer['reason']}", "bad")
    doubt = f" (doubts itself: {peer['doubt']})" if peer["doubt"] else ""
    return [
        str(peer["name"]) + (" (asked)" if peer["is_me"] else ""),
        str(peer["role"]) + doubt,
        Cell("alerter", "good") if peer["is_alerter"] else "",
        eligible,
        " ".join(part for part in (str(peer["zone"]), str(peer["provider"])) if part),
        str(peer["version"]),
        Cell("in force", "good") if peer["config_in_force"] else Cell("another", "bad"),
        "" if offset is None else f"{offset:+.1f} s",
        moment(peer["reported_at"]),
    ]
