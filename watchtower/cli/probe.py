"""`watchtower probe URL`: one look at anything, without a configuration file.

Uses the very probes of a running peer. The first line and the exit code are for Nagios; below it stands
what was seen. Decides only how it is shown.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Final

import click

from watchtower.cli.nagios import Health, Measure, line
from watchtower.cli.options import NagiosCommand, json_option
from watchtower.core.model import Opinion, Result
from watchtower.core.settings import Service

BAR_WIDTH: Final = 32
_HEALTH_OF: Final = {
    Opinion.UP: Health.OK,
    Opinion.DEGRADED: Health.WARNING,
    Opinion.DOWN: Health.CRITICAL,
    Opinion.UNKNOWN: Health.UNKNOWN,
}
_PHASE_NAMES: Final = {"first_byte": "first byte"}


@click.command(cls=NagiosCommand)
@click.argument("url")
@click.option(
    "--set", "options", multiple=True, metavar="KEY=VALUE", help="A key of the service, as `starttls=true`."
)
@click.option("--expect", multiple=True, help="What must hold, as `status == 200`; may be repeated.")
@click.option("--warn", multiple=True, help="What should hold, as `time < 300ms`; may be repeated.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 300), default=10.0, show_default=True, help="Seconds to wait."
)
@click.option("--no-verify", is_flag=True, help="Accept any certificate.")
@json_option
def probe(
    *,
    url: str,
    options: tuple[str, ...],
    expect: tuple[str, ...],
    warn: tuple[str, ...],
    timeout: float,
    no_verify: bool,
    as_json: bool,
) -> None:
    """Look once at URL, as a peer would.

    Its scheme says how: http, https, tcp, tls, dns, smtp, imap, ssh, icmp, exec, grpc, ws,
    postgres, mysql, redis, amqp.

    Exits with 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    """
    import asyncio  # noqa: PLC0415 - with the probes it costs most of a second

    from watchtower.cli.looking import look_once, service_of  # noqa: PLC0415 - as above
    from watchtower.errors import ConfigError  # noqa: PLC0415 - as above

    try:
        service = service_of(
            url, options=options, expect=expect, warn=warn, timeout_s=timeout, verify=not no_verify
        )
    except ConfigError as error:
        click.echo(line("PROBE", Health.UNKNOWN, str(error)))
        raise click.exceptions.Exit(Health.UNKNOWN.value) from None
    result = asyncio.run(look_once(service))
    health = _HEALTH_OF[result.opinion]
    if as_json:
        click.echo(json.dumps(document(service, result, health)))
    else:
        click.echo(line(service.kind.upper(), health, result.text, measures(service, result)))
        for text in details(result):
            click.echo(text)
    raise click.exceptions.Exit(health.value)


def measures(service: Service, result: Result) -> list[Measure]:
    """The performance data of a look: the whole time, and each phase of it, in seconds."""
    whole = Measure(label="time", value=result.duration_ms / 1000, unit="s", maximum=service.timeout_s)
    phases = [
        Measure(label=f"time_{phase}", value=spent_ms / 1000, unit="s")
        for phase, spent_ms in result.phases_ms.items()
    ]
    return [whole, *phases]


def document(service: Service, result: Result, health: Health) -> dict[str, Any]:
    """The look for programs."""
    return {
        "state": health.name,
        "kind": service.kind,
        "opinion": result.opinion.value,
        "reason": result.kind.value,
        "text": result.text,
        "duration_ms": round(result.duration_ms, 3),
        "phases_ms": result.phases_ms,
        "facts": result.facts,
    }


def details(result: Result) -> list[str]:
    """The look for people: a bar for each phase, drawn where in time it was, then what was found."""
    lines = []
    begun_ms = 0.0
    for phase, spent_ms in result.phases_ms.items():
        name = _PHASE_NAMES.get(phase, phase)
        bar = _bar(begun_ms, spent_ms, max(result.duration_ms, 0.001))
        lines.append(f"  {name:<12}{click.style(bar, fg='cyan')} {spent_ms:8.1f} ms")
        begun_ms += spent_ms
    if result.phases_ms:
        lines.append(f"  {'all':<12}{'':<{BAR_WIDTH}} {result.duration_ms:8.1f} ms")
    found = [
        f"  {name:<17} {_fact(name, value, result.at_wall)}"
        for name, value in result.facts.items()
        if value != ""
    ]
    return [line for block in (lines, found) if block for line in ("", *block)]


def _bar(begun_ms: float, spent_ms: float, whole_ms: float) -> str:
    start = min(BAR_WIDTH - 1, int(begun_ms / whole_ms * BAR_WIDTH))
    width = max(1, round(spent_ms / whole_ms * BAR_WIDTH))
    return (" " * start + "━" * width)[:BAR_WIDTH].ljust(BAR_WIDTH)


def _fact(name: str, value: float | str, now_wall: float) -> str:
    if isinstance(value, str):
        return value
    if name == "cert.expires_at":
        at, days = datetime.fromtimestamp(value, UTC), (value - now_wall) / 86_400
        return f"{at:%Y-%m-%d %H:%M} UTC, " + (
            f"in {days:.1f} days" if days >= 0 else f"{-days:.1f} days ago"
        )
    return f"{value:.3f}".rstrip("0").rstrip(".")
