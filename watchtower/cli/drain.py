"""`watchtower drain`: have one peer step aside before its host is worked on, and come back after.

Decides which peer is meant; how it steps aside is the peer's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import click

from watchtower.cli.acting import fail, ground
from watchtower.cli.asking import NoAnswerError, Peers
from watchtower.cli.options import asking_options, peer_option
from watchtower.cli.tables import is_watched, moment


@click.command
@click.option("--for", "duration", default="", help="For how long, as in 10m or 1h; at most a day.")
@click.option("--undo", is_flag=True, help="Come back now.")
@peer_option
@asking_options
def drain(
    *,
    duration: str,
    undo: bool,
    peer: str | None,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Have a peer step aside: it hands over, alerts nobody, and nobody is paged for its absence.

    Then stop it with SIGTERM, or leave it running. It comes back by itself when the time is over. Needs a
    token of scope admin.
    """
    if undo == bool(duration):
        raise click.UsageError("say --for DURATION, as in --for 10m, or --undo")
    path = "/-/undrain" if undo else f"/-/drain?for={quote(duration)}"
    chosen = _the_peer(urls, config_path, token, peer)
    if is_watched():
        click.echo("Coming back ..." if undo else "Handing over ...", err=True)
    try:
        doc = chosen.post(path)
    except NoAnswerError as error:
        fail(f"not {'back' if undo else 'drained'}: {error}")
    if as_json:
        click.echo(json.dumps(doc))
    elif undo:
        click.echo("Back: its votes count again.")
    else:
        click.echo(
            f"Stepped aside until {moment(doc['until'])} UTC. Come back sooner: watchtower drain --undo"
        )


def _the_peer(urls: tuple[str, ...], config_path: Path | None, token: str | None, peer: str | None) -> Peers:
    """The one peer that is meant. Raises click.UsageError when that is not clear."""
    here = ground(urls, config_path, token)
    if here.settings is not None and peer:
        if peer not in here.settings.cluster.peer_names:
            raise click.UsageError(
                f"the file names no peer {peer}: {', '.join(here.settings.cluster.peer_names)}"
            )
        return here.at(peer, {"peers": []})
    if len(here.peers.urls) > 1:
        raise click.UsageError("say which peer: --peer NAME, or --url with its address")
    return here.peers
