"""`watchtower cluster bootstrap | rescue | restore`: what is done on one host, to a peer that is stopped.

Decides how the risk is told and that a person agrees; what happens to the folder is cluster/offline.py's.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from watchtower.cli.acting import agreed, fail
from watchtower.cli.options import config_option, json_option, peer_option
from watchtower.core.settings import Settings

if TYPE_CHECKING:  # the cluster folder takes a third of a second
    from watchtower.cluster.offline import Begun

_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

_BOOTSTRAP: Final = (
    "Peer {me} will vote although its disk is empty and not all peers of the file are there.",
    "A cluster begins once a majority of the {count} peers ({majority}) may do so: do this on so many hosts.",
    "Risk: if this cluster has ever run, its peers may have promised what this empty disk does not know.",
    "Then do NOT do this; a host that lost its disk is simply started, and the others refill it.",
)
_RESCUE: Final = (
    "Peer {me} becomes the only member of the cluster, with everything its disk holds ({folder}).",
    "Risk: what the lost peers acknowledged and {me} never received is gone. Notifications whose fate {me}",
    "does not know are sent again, marked as repeats.",
    "The lost peers must never come back with their old data folders: a majority of them would be a second",
    "cluster that alerts as well. Do this on ONE host, and only when the majority is lost for good.",
)
_RESTORE: Final = (
    "Peer {me} becomes the only member of the cluster, with the state of {file}.",
    "Risk: what happened after the backup is forgotten. Notifications that were open then are sent (again).",
    "No other peer of this cluster may run with its old data folder. Do this on ONE host.",
)


@click.command
@_yes_option
@config_option
@peer_option
@json_option
def bootstrap(*, yes: bool, config_path: Path, peer: str | None, as_json: bool) -> None:
    """Let this stopped, blank peer begin although not all peers of the file are there.

    A new cluster waits for all of its peers. With a host missing, run this on a majority of the hosts, then
    start them. The missing peer joins when it comes.
    """
    from watchtower.cluster import offline  # noqa: PLC0415 - only a peer needs it

    settings = _settings(config_path, peer)
    count = len(settings.cluster.peers)
    agreed(f"Let {settings.me} begin?", _told(_BOOTSTRAP, settings, majority=count // 2 + 1), yes=yes)
    folder = offline.bootstrap(settings, new_id=_new_id)
    if as_json:
        click.echo(json.dumps({"peer": settings.me, "folder": folder}))
        return
    click.echo(f"{settings.me} may begin ({folder}). Next: watchtower run --peer {settings.me}")


@click.command
@_yes_option
@config_option
@peer_option
@json_option
def rescue(*, yes: bool, config_path: Path, peer: str | None, as_json: bool) -> None:
    """Go on with this stopped peer alone: the majority of the others is lost for good.

    Its old files are kept beside the new ones as *.before-rescue1. Then start it, start the other peers with
    empty data folders, and take them in with `watchtower cluster resize`.
    """
    from watchtower.cluster import offline  # noqa: PLC0415 - only a peer needs it

    settings = _settings(config_path, peer)
    agreed(f"Make {settings.me} the whole cluster?", _told(_RESCUE, settings), yes=yes)
    _tell_begun(settings, offline.rescue(settings, new_id=_new_id), as_json=as_json)


@click.command
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_yes_option
@config_option
@peer_option
@json_option
def restore(*, file: Path, yes: bool, config_path: Path, peer: str | None, as_json: bool) -> None:
    """Begin again with this stopped peer alone, from a backup FILE. Its data folder must be empty.

    Then start it, start the other peers with empty data folders, and take them in with `watchtower cluster
    resize`.
    """
    from watchtower.cluster import backup, offline  # noqa: PLC0415 - only a peer needs them

    settings = _settings(config_path, peer)
    try:
        with file.open("rb") as opened:
            raw = opened.read(backup.BYTES_MAX + 1)
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    if len(raw) > backup.BYTES_MAX:
        fail(f"{file} is longer than any backup: {backup.BYTES_MAX // 2**20} MiB")
    state = backup.decode(raw)
    lines = [
        *_told(_RESTORE, settings, file=file),
        f"The backup: cluster {state.cluster}, {state.entries} entries, members {', '.join(state.members)}.",
    ]
    agreed(f"Make {settings.me} the whole cluster, as of this backup?", lines, yes=yes)
    _tell_begun(settings, offline.restore(settings, raw, new_id=_new_id), as_json=as_json)


def _settings(path: Path, peer: str | None) -> Settings:
    """The settings of this very peer: here nobody may be taken for another."""
    from watchtower.config.loader import load  # noqa: PLC0415 - reading a file costs a third of a second

    return load(path, peer=peer, environ=os.environ)


def _told(lines: tuple[str, ...], settings: Settings, **facts: object) -> list[str]:
    from watchtower.cluster.offline import folder_of  # noqa: PLC0415 - only a peer needs it

    known = {"me": settings.me, "folder": folder_of(settings), "count": len(settings.cluster.peers), **facts}
    return [line.format(**known) for line in lines]


def _tell_begun(settings: Settings, begun: Begun, *, as_json: bool) -> None:
    facts = {
        "peer": settings.me,
        "folder": begun.folder,
        "entries": begun.state.entries,
        "uncertain": begun.uncertain,
        "members_gen": begun.state.members_gen,
        "kept_as": begun.kept_as,
        "findings": begun.findings,
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for finding in begun.findings:
        click.echo(finding)
    uncertain = f", {begun.uncertain} of them not known to be committed" if begun.uncertain else ""
    click.echo(f"{settings.me} is the only member now, with {begun.state.entries} entries{uncertain}.")
    if begun.kept_as:
        click.echo(f"The old files: {', '.join(begun.kept_as)} in {begun.folder}")
    click.echo("Next:")
    click.echo(f"  1. Start it: watchtower run --peer {settings.me}")
    click.echo("  2. Start the other peers with EMPTY data folders.")
    click.echo("  3. Take them in: watchtower cluster resize")


def _new_id() -> str:
    from watchtower.cluster.identity import disk_name  # noqa: PLC0415 - only a peer needs it

    return disk_name(time.time(), secrets.token_hex(8))
