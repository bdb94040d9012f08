"""`watchtower check`: is the file right, what will it do, and, with --connect, can it work from here?

Exit code 0 when nothing is wrong, else 1. Decides only how findings are shown: the file is judged by
config/, channels by delivery/, and reachability by the network.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any, Final

import click

from watchtower.cli import hearing, load, slips
from watchtower.cli.advice import advice
from watchtower.cli.heartbeat import rhythm
from watchtower.cli.options import config_option, json_option, peer_option
from watchtower.cli.tables import Cell, show
from watchtower.config.units import duration_text
from watchtower.core.settings import Service, Settings
from watchtower.core.targets import HeartbeatTarget
from watchtower.errors import ConfigError

SERVICES_SHOWN_MAX: Final = 200


@click.command
@config_option
@peer_option
@click.option("--connect", "is_connecting", is_flag=True, help="Try peers, names and channels from here.")
@click.option("--send", "is_sending", is_flag=True, help="Also send a test message to every channel.")
@json_option
def check(
    *,
    config_path: Path,
    peer: str | None,
    is_connecting: bool,
    is_sending: bool,
    as_json: bool,
) -> None:
    """Check the configuration file, and say how soon each service would be found down.

    Lists every mistake with its line. Exits with 0 when the file is good, else with 1.
    """
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second
    from watchtower.probes.permissions import check_permissions  # noqa: PLC0415 - as above

    try:
        settings = read_settings(config_path, peer)
        check_permissions(settings)
        _check_channels(config_path, settings)
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps({"ok": False, "problems": str(error)}))
        else:
            click.echo(str(error), err=True)
        raise click.exceptions.Exit(1) from None
    findings = _try_out(settings, peer, is_connecting=is_connecting, is_sending=is_sending)
    is_good = all(finding["ok"] is not False for finding in findings)
    if as_json:
        click.echo(json.dumps({"ok": is_good, **summary(settings), "findings": findings}))
    else:
        _tell(config_path, settings)
        if findings:
            rows = [[f["what"], _word(f["ok"]), f["text"]] for f in findings]
            show("From here", ("what", "result", "detail"), rows)
    raise click.exceptions.Exit(0 if is_good else 1)


def _check_channels(path: Path, settings: Settings) -> None:
    """Raises ConfigError for channels that nothing could be sent on."""
    found = slips.broken_channels(path, settings)
    if found:
        noun = "error" if len(found) == 1 else "errors"
        raise ConfigError("\n\n".join([*found, f"{path}: {len(found)} {noun}"]))


def _try_out(
    settings: Settings, peer: str | None, *, is_connecting: bool, is_sending: bool
) -> list[dict[str, Any]]:
    if not (is_connecting or is_sending):
        return []
    import asyncio  # noqa: PLC0415 - only for --connect

    from watchtower.cli.connect import try_out  # noqa: PLC0415 - apprise comes with it

    click.echo("Trying peers, names and channels ...", err=True)
    me = peer or os.environ.get("WATCHTOWER_PEER") or ""
    found = asyncio.run(try_out(settings, me, connect=is_connecting, send=is_sending))
    return [{"what": f.what, "ok": f.ok, "text": f.text} for f in found]


def summary(settings: Settings) -> dict[str, Any]:
    """What the file says, for programs."""
    return {
        "cluster": settings.cluster.name,
        "config_hash": settings.config_hash,
        "peers": [
            {"name": peer.name, "raft": f"{peer.raft_host}:{peer.raft_port}", "http": peer.http_url}
            for peer in settings.cluster.peers
        ],
        "notes": advice(settings.cluster),
        "channels": [
            {"name": channel.name, "schema": channel.schema, "fallback": channel.fallback}
            for channel in settings.channels.values()
        ],
        "services": [_service_document(service, settings) for service in settings.services.values()],
        **load.document(settings),
    }


def _service_document(service: Service, settings: Settings) -> dict[str, Any]:
    hanging_s, refusing_s = _found_s(service, settings)
    return {
        "name": service.name,
        "kind": service.kind,
        "detection_s": round(hanging_s, 1),
        "refusal_s": round(refusing_s, 1),
        **hearing.document(service, settings),
    }


def _found_s(service: Service, settings: Settings) -> tuple[float, float]:
    """Seconds until it is found down at worst: when it hangs, and when it refuses."""
    from watchtower.config.worst_case import detection_s, refusal_s  # noqa: PLC0415 - comes with the file

    everybody = settings.cluster.peer_names
    return detection_s(service, service.voters, everybody), refusal_s(service, service.voters, everybody)


def _tell(path: Path, settings: Settings) -> None:
    cluster = settings.cluster
    click.echo(f"{path}: good. Cluster {cluster.name}, config {settings.config_hash}.")
    rows: list[list[Cell | str]] = [
        [
            p.name + (" (witness)" if p.witness else ""),
            f"{p.raft_host}:{p.raft_port}",
            p.http_url,
            p.zone,
            p.provider,
        ]
        for p in cluster.peers
    ]
    show("Peers", ("peer", "raft", "http", "zone", "provider"), rows)
    for sentence in advice(cluster):
        click.echo(sentence)
    if settings.channels:
        rows = [[c.name, c.schema, c.fallback or "none"] for c in settings.channels.values()]
        show(
            "Channels, the first hears everything that names no other", ("channel", "kind", "fallback"), rows
        )
    else:
        click.echo("No channels: nobody would be told. Add `notify:`, as in `chat: slack://...`.")
    for sentence in hearing.proofs(settings):
        click.echo(sentence)
    services = list(settings.services.values())
    rows = [_service_row(service, settings) for service in services[:SERVICES_SHOWN_MAX]]
    heads = ("service", "kind", "every", "found down within", "if it refuses", "tells")
    show("Services", heads, rows)
    if len(services) > SERVICES_SHOWN_MAX:
        click.echo(f"... and {len(services) - SERVICES_SHOWN_MAX} more")
    load.tell(settings)


def _service_row(service: Service, settings: Settings) -> list[Cell | str]:
    target = service.target
    every = duration_text(service.interval_s)
    if isinstance(target, HeartbeatTarget):
        every = rhythm(target)
    return [
        service.name,
        service.kind,
        every,
        *(within(seconds) for seconds in _found_s(service, settings)),
        hearing.shown(service, settings) or Cell("nobody", "bad"),
    ]


def within(seconds: float) -> str:
    """A bound as people read it, never shorter than it is: `36.0 s`, `1.2 h`."""
    for unit, unit_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{math.ceil(seconds / unit_s * 10 - 1e-6) / 10:.1f} {unit}"
    return f"{seconds:.1f} s"


def _word(ok: bool | None) -> Cell:  # noqa: FBT001 - a finding in one word
    words = {True: Cell("good", "good"), False: Cell("bad", "bad"), None: Cell("not known", "warn")}
    return words[ok]
