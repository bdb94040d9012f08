"""`watchtower heartbeat`: what a job must call so that its heartbeat arrives.

Needs the file, because the ping key is a secret that no peer tells. Decides nothing.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from watchtower.cli.options import config_option, json_option
from watchtower.config.units import duration_text
from watchtower.core.settings import Settings
from watchtower.core.targets import HeartbeatTarget


@click.group
def heartbeat() -> None:
    """Work with services that call in."""


@heartbeat.command("list")
@config_option
@json_option
def list_calls(*, config_path: Path, as_json: bool) -> None:
    """Print a ready curl line for each heartbeat service.

    The lines hold the ping key. They try one peer after the other, because any of them takes a beat.
    """
    from watchtower.cli.files import read_settings  # noqa: PLC0415 - reading a file costs a third of a second

    settings = read_settings(config_path)
    beats = {
        name: service.target
        for name, service in settings.services.items()
        if isinstance(service.target, HeartbeatTarget)
    }
    if as_json:
        click.echo(json.dumps([_entry(settings, name, target) for name, target in beats.items()]))
        return
    if not beats:
        click.echo("No heartbeat services. Add one: `nightly-backup: {heartbeat: 1d, grace: 30m}`")
        return
    if settings.http.ping_key is None:
        click.echo("http.ping_key is not set: no peer takes beats without it", err=True)
        raise click.exceptions.Exit(1)
    for name, target in beats.items():
        click.echo(f"# {name}: {rhythm(target)}, missing after {duration_text(target.grace_s)} more")
        click.echo(curl_line(ping_urls(settings, name)))
    click.echo(
        "# /start before the job and /$? after it, behind the address, tell runs that fail or take too long."
    )


def _entry(settings: Settings, name: str, target: HeartbeatTarget) -> dict[str, object]:
    urls = ping_urls(settings, name)
    return {
        "service": name,
        "period_s": target.period_s or None,
        "cron": target.cron or None,
        "tz": target.timezone if target.cron else None,
        "grace_s": target.grace_s,
        "urls": urls,
    }


def rhythm(target: HeartbeatTarget) -> str:
    """When beats are due, in words: `every 1m`, `15 3 * * * Europe/Berlin`."""
    return f"{target.cron} {target.timezone}" if target.cron else f"every {duration_text(target.period_s)}"


def ping_urls(settings: Settings, service: str) -> list[str]:
    """Where a beat of `service` may go: every peer, or the public address alone. Empty without a ping key."""
    if settings.http.ping_key is None:
        return []
    base = settings.http.base_path.rstrip("/")
    public = [settings.http.public_url.rstrip("/")] if settings.http.public_url else []
    addresses = public or [peer.http_url.rstrip("/") + base for peer in settings.cluster.peers]
    return [f"{address}/ping/{settings.http.ping_key.reveal()}/{service}" for address in addresses]


def curl_line(urls: list[str]) -> str:
    """A shell line that calls the first of `urls` that answers."""
    calls = [f"curl -fsS -m 10 --retry 2 -o /dev/null {shlex.quote(url)}" for url in urls]
    return " || ".join(calls)
