"""Metrics of the telling itself: what was not delivered, channels in trouble, what is withheld and why.

The loud ones to alert on. Labels are names of the config and words of a fixed list; no text is a label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from watchtower.core.alerting import untold
from watchtower.core.policies import SilenceKind, Why
from watchtower.core.ports import Snapshot
from watchtower.web.exposition import family, gauge, labels
from watchtower.web.incidents import open_incidents
from watchtower.web.silences import is_active


def alert_families(snap: Snapshot) -> Iterator[str]:
    """All families here."""
    yield from _channel_families(snap)
    yield from _incident_families(snap)


def _channel_families(snap: Snapshot) -> Iterator[str]:
    """Series of every configured channel, and of no other."""
    state, channels = snap.state, snap.settings.channels
    lost = Counter(item.channel for item in untold.failing(state, snap.now.wall))
    yield family(
        "watchtower_notifications_undelivered",
        "gauge",
        "Notifications of open incidents that their channel refused, or has failed to take for too long.",
        ((labels(channel=name), lost[name]) for name in channels),
    )
    yield family(
        "watchtower_channel_trouble",
        "gauge",
        "1 while the channel takes nothing until somebody mends it.",
        (
            (labels(channel=name), bool((row := state.channels.get(name)) and row.trouble))
            for name in channels
        ),
    )
    yield family(
        "watchtower_channel_last_accepted_timestamp_seconds",
        "gauge",
        "When the channel last took something, 0 for never.",
        (
            (labels(channel=name), row.accepted_wall if (row := state.channels.get(name)) else 0)
            for name in channels
        ),
    )


def _incident_families(snap: Snapshot) -> Iterator[str]:
    """What is quiet, and why."""
    state, now_wall = snap.state, snap.now.wall
    quiet = Counter(one.kind for one in state.silences.values() if is_active(one, now_wall))
    yield family(
        "watchtower_silences_active",
        "gauge",
        "Silences, and maintenance that somebody began, that are on.",
        ((labels(kind=kind), quiet[kind]) for kind in SilenceKind),
    )
    incidents = open_incidents(state)
    withheld = Counter(one.withheld.why for one in incidents if one.withheld)
    yield family(
        "watchtower_incidents_withheld",
        "gauge",
        "Open incidents that nobody is told of, by why.",
        ((labels(why=why), withheld[why]) for why in Why),
    )
    yield gauge(
        "watchtower_incidents_acknowledged",
        "Open incidents that somebody has acknowledged.",
        sum(one.ack is not None for one in incidents),
    )
    yield gauge(
        "watchtower_incidents_flapping",
        "Open incidents that come and go.",
        sum(one.is_flapping for one in incidents),
    )
