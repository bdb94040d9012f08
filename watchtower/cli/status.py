"""`watchtower status`: the whole picture from any peer, as one Nagios line and a table.

Decides which Nagios state a picture is. A dead peer is a WARNING: the services are still watched, but
the next failure may not be. Without a quorum nobody watches: UNKNOWN, unless something was down last.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from watchtower.cli.asking import NoAnswerError, peers_of
from watchtower.cli.nagios import Health, Measure, line, worst
from watchtower.cli.options import NagiosCommand, asking_options
from watchtower.cli.tables import Cell, is_watched, moment, show
from watchtower.core.settings import PEER_PREFIX
from watchtower.errors import ConfigError

SUBJECT: Final = "WATCHTOWER"
_HEALTH_OF: Final = {
    "up": Health.OK,
    "degraded": Health.WARNING,
    "partial": Health.WARNING,
    "down": Health.CRITICAL,
    "unknown": Health.UNKNOWN,
}
_NAMED_MAX: Final = 5


@click.command(cls=NagiosCommand)
@asking_options
def status(*, urls: tuple[str, ...], config_path: Path | None, token: str | None, as_json: bool) -> None:
    """Show what is up and what is not, as any peer knows it.

    The first line and the exit code are for Nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
    """
    try:
        doc = peers_of(urls, config_path, token).get("/api/v1/status")
        health, text = judge(doc)
    except NoAnswerError as error:
        _give_up(f"no peer answers: {error}", as_json=as_json)
    except (ConfigError, click.UsageError) as error:
        _give_up(str(error), as_json=as_json)
    except (KeyError, TypeError, AttributeError):
        _give_up("the answer is not that of a peer of this version", as_json=as_json)
    if as_json:
        click.echo(json.dumps({"state": health.name, "text": text, "status": doc}))
    else:
        click.echo(line(SUBJECT, health, text, measures(doc)))
        _tell_services(doc)
    raise click.exceptions.Exit(health.value)


def _give_up(reason: str, *, as_json: bool) -> None:
    health = Health.UNKNOWN
    if as_json:
        click.echo(json.dumps({"state": health.name, "text": reason, "status": None}))
    else:
        click.echo(line(SUBJECT, health, reason))
    raise click.exceptions.Exit(health.value)


def judge(doc: dict[str, Any]) -> tuple[Health, str]:
    """The Nagios state of a status document, and one sentence about it. Raises KeyError for a foreign one."""
    watched, peers = watched_services(doc), doc["peers"]
    sick = [service for service in doc["services"] if is_peer(service) and service["verdict"] != "up"]
    away = {peer["name"] for peer in peers if not peer["eligible"]}
    away |= {service["name"].removeprefix(PEER_PREFIX) for service in sick if service["verdict"] == "down"}
    healths = [_HEALTH_OF.get(service["verdict"], Health.UNKNOWN) for service in watched]
    if away or sick:
        healths.append(Health.WARNING)
    if doc["cluster_verdict"] in ("down", "degraded"):
        healths.append(_HEALTH_OF[doc["cluster_verdict"]])
    health = worst(healths)
    if not doc["quorum"] and health is not Health.CRITICAL:
        health = Health.UNKNOWN
    blind = "" if doc["quorum"] else "no quorum, nobody watches; last known: "
    parts = [_bad_ones(watched), _peers_text(len(peers), away)]
    if doc["cluster_verdict"] in ("down", "degraded"):
        parts.append(str(doc["cluster_reason"]))
    return health, blind + ", ".join(parts)


def measures(doc: dict[str, Any]) -> list[Measure]:
    """The performance data of a status document."""
    summary = doc["summary"]
    total = float(summary["services"])
    levels = ("up", "degraded", "partial", "down", "unknown")
    counts = [Measure(label=level, value=float(summary[level]), maximum=total) for level in levels]
    eligible = sum(bool(peer["eligible"]) for peer in doc["peers"])
    peers = Measure(label="peers", value=float(eligible), maximum=float(len(doc["peers"])))
    return [*counts, Measure(label="incidents", value=float(summary["incidents_open"])), peers]


def watched_services(doc: dict[str, Any]) -> list[dict[str, Any]]:
    """The services of a status document without the peers themselves."""
    return [service for service in doc["services"] if not is_peer(service)]


def is_peer(service: dict[str, Any]) -> bool:
    """True for a peer that stands among the services."""
    return str(service["name"]).startswith(PEER_PREFIX)


def _bad_ones(services: Sequence[dict[str, Any]]) -> str:
    bad = [service for service in services if service["verdict"] != "up"]
    if not bad:
        return f"{_counted(len(services), 'service')} up"
    named = [f"{service['name']} {service['verdict']}" for service in bad[:_NAMED_MAX]]
    more = [f"{len(bad) - _NAMED_MAX} more"] if len(bad) > _NAMED_MAX else []
    return f"{len(bad)} of {_counted(len(services), 'service')} not up: {', '.join(named + more)}"


def _peers_text(total: int, away: set[str]) -> str:
    if not away:
        return f"{total} of {_counted(total, 'peer')} at work"
    missing = f"{'peers' if len(away) > 1 else 'peer'} {', '.join(sorted(away))} missing"
    return f"{total - len(away)} of {_counted(total, 'peer')} at work ({missing})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _tell_services(doc: dict[str, Any]) -> None:
    """Every service on a terminal; in a pipe those that are not up, as Nagios shows long output."""
    services = doc["services"] if is_watched() else [s for s in doc["services"] if s["verdict"] != "up"]
    if not services:
        return
    who = f"cluster {doc['cluster']}, as peer {doc['peer']} sees it; alerter {doc['alerter'] or 'none'}"
    show(who, ("service", "verdict", "votes", "since", "why", "target"), [_row(s) for s in services])


def _row(service: dict[str, Any]) -> list[Cell | str]:
    votes = " ".join(f"{vote['peer']}:{vote['opinion']}" for vote in service["votes"])
    failing = [v["text"] for v in service["votes"] if v["opinion"] in ("down", "degraded") and v["text"]]
    return [
        str(service["title"]),
        Cell(str(service["verdict"]), str(service["verdict"])),
        Cell(votes, "dim"),
        moment(service["since"]),
        str(failing[0] if failing else service["reason"]),
        Cell(str(service["instance"]), "dim"),
    ]
