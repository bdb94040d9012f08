"""`watchtower cluster`: look at the peers themselves, hand leadership on, take a backup.

Decides only how it is shown and how long is waited. Who is leader, alerter or eligible is what the asked
peer says. The verbs that change who the members are have files of their own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import click

from watchtower.cli.acting import CLUSTER, OverdueError, fail, ground, wait_until
from watchtower.cli.asking import NoAnswerError, ask_or_fail, peers_of
from watchtower.cli.beginning import bootstrap, rescue, restore
from watchtower.cli.options import asking_options
from watchtower.cli.resizing import resize
from watchtower.cli.tables import Cell, moment, show

TRANSFER_S: Final = 10.0


@click.group
def cluster() -> None:
    """Look at the peers themselves, and change who they are."""


for verb in (resize, bootstrap, rescue, restore):
    cluster.add_command(verb)


@cluster.command
@asking_options
def members(*, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool) -> None:
    """List the peers: who is a member, who leads, who alerts, whose votes count."""
    peers = peers_of(urls, config_path, token)
    doc, whole = ask_or_fail(peers, "/api/v1/peers"), ask_or_fail(peers, CLUSTER)
    if as_json:
        click.echo(json.dumps({**doc, "cluster": whole}))
        return
    columns = ("peer", "role", "alerter", "votes", "member", "zone", "version", "config", "clock", "reported")
    facts = {peer["name"]: peer for peer in whole["peers"]}
    show("Peers", columns, [_row(peer, facts.get(peer["name"], {})) for peer in doc["peers"]])
    unnamed = [name for name in whole["members"] if name not in whole["file_peers"]]
    if unnamed:
        click.echo(f"Members that the file of {whole['peer']} does not name: {', '.join(unnamed)}.")
    for key, words in (("mismatch", ""), ("quarantine", "must not vote: "), ("trouble", "disk: ")):
        if whole[key]:
            click.echo(f"{whole['peer']}: {words}{whole[key]}")


def _row(peer: dict[str, Any], facts: dict[str, Any]) -> list[Cell | str]:
    offset = peer["clock_offset_s"]
    eligible = Cell("count", "good") if peer["eligible"] else Cell(f"do not count: {peer['reason']}", "bad")
    doubt = f" (doubts itself: {peer['doubt']})" if peer["doubt"] else ""
    witness = " (witness)" if facts.get("witness") else ""
    return [
        str(peer["name"]) + (" (asked)" if peer["is_me"] else ""),
        str(peer["role"]) + doubt,
        Cell("alerter", "good") if peer["is_alerter"] else "",
        eligible,
        (Cell(f"yes{witness}", "good") if facts.get("member") else Cell("no", "warn")),
        " ".join(part for part in (str(peer["zone"]), str(peer["provider"])) if part),
        str(peer["version"]),
        Cell("in force", "good") if peer["config_in_force"] else Cell("another", "bad"),
        "" if offset is None else f"{offset:+.1f} s",
        moment(peer["reported_at"]),
    ]


@cluster.command
@asking_options
def leader(*, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool) -> None:
    """Say who leads Raft. Exits with 1 when nobody does."""
    doc = ask_or_fail(peers_of(urls, config_path, token), CLUSTER)
    name = doc["leader"] if doc["quorum"] else None
    if as_json:
        click.echo(json.dumps({"leader": name, "term": doc["term"], "asked": doc["peer"]}))
    elif name:
        click.echo(f"{name} (term {doc['term']})")
    else:
        click.echo(f"none, as far as {doc['peer']} sees: it has no majority")
    raise click.exceptions.Exit(0 if name else 1)


@cluster.command
@click.argument("peer", required=False, default="")
@asking_options
def transfer(
    *, peer: str, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool
) -> None:
    """Hand Raft leadership to PEER, or to whoever is furthest along. Needs a token of scope admin.

    Nobody is paged for it, and who alerts does not change: that office has a lease of its own.
    """
    here = ground(urls, config_path, token)
    try:
        before = here.look()
        old = before["leader"]
        if not old or not before["quorum"]:
            fail("there is no leader to hand anything on: no majority of the members is in touch")
        if peer != old:
            here.at(old, before).post("/api/v1/cluster/transfer", {"to": peer})
            wait_until(lambda: _not_handed_on(here.look()["leader"], old), TRANSFER_S)
        new = here.look()["leader"]
    except OverdueError as overdue:
        fail(f"not within {TRANSFER_S:.0f} s: {overdue}")
    except NoAnswerError as error:
        fail(f"not handed on: {error}")
    if as_json:
        click.echo(json.dumps({"from": old, "to": new}))
    else:
        click.echo(f"{old} -> {new}" if new != old else f"{old} leads already")
    raise click.exceptions.Exit(0 if peer in ("", new) else 1)


def _not_handed_on(new: str | None, old: str) -> str:
    return "" if new and new != old else f"another leader than {old}"


@cluster.command
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Overwrite FILE when it is there.")
@asking_options
def backup(
    *,
    file: Path,
    force: bool,
    urls: tuple[str, ...],
    config_path: Path | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Write what the cluster knows to FILE: incidents, deliveries, members. Needs a token of scope admin.

    It holds no secret of the configuration, but what people were told; only you can read it (mode 0600).
    """
    from watchtower.cluster.backup import decode  # noqa: PLC0415 - msgspec comes with it

    if file.exists() and not force:
        fail(f"{file} is already there: say --force to overwrite it")
    here = ground(urls, config_path, token)
    try:
        best = here.look()
        raw = here.at(best["peer"], best).get_bytes(f"{CLUSTER}/backup")
    except NoAnswerError as error:
        fail(f"no backup: {error}")
    state = decode(raw)
    _write_private(file, raw)
    facts = {"file": str(file), "bytes": len(raw), "entries": state.entries, "from": best["peer"]}
    if as_json:
        click.echo(json.dumps({**facts, "members": state.members, "quorum": best["quorum"]}))
        return
    click.echo(
        f"{file}: {len(raw)} bytes, the state after {state.entries} entries, as peer {best['peer']} has it"
    )
    if not best["quorum"]:
        click.echo("There is no majority just now: this may lack the latest entries.", err=True)


def _write_private(file: Path, raw: bytes) -> None:
    """The whole file or none of it, readable by its owner alone from its first byte on."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(raw)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(file)
