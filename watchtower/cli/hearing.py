"""Who would be told, and by what the telling itself is proven, for `watchtower check`: a few words each.

Only shows; who is told is core/alerting/routing.py's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from watchtower.config.units import duration_text
from watchtower.core.alerting import routing
from watchtower.core.settings import Service, Settings


def document(service: Service, settings: Settings) -> dict[str, Any]:
    """Who would hear of it now if `service` went down, for programs."""
    audience = routing.of_service(service, settings, time.time())
    later = [{"channel": call.channel, "after_s": call.after_s} for call in audience.calls if call.after_s]
    return {"alert": list(audience.at_once), "later": later, "alert_reason": audience.reason}


def shown(service: Service, settings: Settings) -> str:
    """The same in a few words: `oncall: chat, 10m mail (by route)`; "" for nobody.

    `(no route)`: there are routes, and none fits.
    """
    audience = routing.of_service(service, settings, time.time())
    chains: dict[str, list[str]] = {}
    for call in audience.calls:
        after = f"{duration_text(call.after_s)} " if call.after_s else ""
        chains.setdefault(call.escalation, []).append(f"{after}{call.channel}")
    words = [f"{name}: {', '.join(calls)}" if name else ", ".join(calls) for name, calls in chains.items()]
    rule = ""
    if words and settings.routes and routing.by_subject(service.name, settings) is None:
        rule = " (no route)" if audience.reason.startswith("no route fits") else " (by route)"
    return "; ".join(words) + rule


def proofs(settings: Settings) -> Iterator[str]:
    """A sentence for each ping and for the drill."""
    watchdog = settings.watchdog
    every = duration_text(watchdog.every_s)
    if watchdog.ping is not None:
        host = urlsplit(watchdog.ping.reveal()).hostname
        yield f"Watchdog: the alerter pings {host} every {every} while people would be told."
    if watchdog.peer_pings:
        names = ", ".join(sorted(watchdog.peer_pings))
        yield f"Watchdog: pings of their own every {every}, each while it is well: {names}."
    drill = watchdog.drill
    if drill is not None:
        within = duration_text(drill.within_s)
        when = f"{drill.cron} {drill.timezone}"
        yield f"Fire drill on {drill.channel}: {when}, to be acknowledged within {within}."
