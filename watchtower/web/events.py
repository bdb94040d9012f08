"""What changed: two states (or two sets of standings) compared, as events for whoever listens.

Pure. An event carries the whole new truth about its subject, so one that is seen twice does no harm.
Derived from applied states alone, the events of an index are the same on every peer; verdicts and
links are each peer's own view.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from msgspec import Struct

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import Incident, Notification, PeerRow, State
from watchtower.core.view import Standing

K = TypeVar("K")
V = TypeVar("V")


class Event(Struct, frozen=True):
    """One event; docs/reference/http.md lists the kinds."""

    kind: str
    data: dict[str, Any]


def state_changes(before: State, after: State) -> list[Event]:
    """What the entries between the two states did, in the order people would tell it."""
    return [
        *_config(before, after),
        *_alerter(before, after),
        *_peers(before, after),
        *_incidents(before, after),
        *_notifications(before, after),
        *_silences(before, after),
        *_channels(before, after),
        *_drill(before, after),
    ]


def verdict_changes(before: Mapping[str, Standing], after: Mapping[str, Standing]) -> list[Event]:
    """Services whose verdict, or the votes behind it, are not what they were."""
    # Calm services share their verdicts (core/judging/verdicts.py): each pair of objects is compared once.
    alike: dict[tuple[int, int], bool] = {}
    events = []
    for service, new in after.items():
        old = before.get(service)
        if old is new:
            continue
        if old is not None and old.level is new.level:
            pair = (id(old.verdict), id(new.verdict))
            is_alike = alike.get(pair)
            if is_alike is None:
                is_alike = alike[pair] = _shown(old) == _shown(new)
            if is_alike:
                continue
        events.append(_verdict(service, old, new))
    return events


def _verdict(service: str, old: Standing | None, new: Standing) -> Event:
    return Event(
        "verdict",
        {
            "service": service,
            "verdict": new.level,
            "previous": old.level if old else None,
            "undecided": new.verdict.level is None,
            "reason": new.verdict.reason,
            "votes": new.verdict.counts,
        },
    )


def cluster_changes(
    before: ClusterStatus, after: ClusterStatus, was: Mapping[str, str], reasons: Mapping[str, str]
) -> list[Event]:
    """Quorum, leader, links and eligibility: what no log entry tells. `reasons`: peer -> why not eligible."""
    events = []
    if (before.leader, before.has_quorum) != (after.leader, after.has_quorum):
        events.append(Event("cluster", {"quorum": after.has_quorum, "leader": after.leader or None}))
    for peer, reason in reasons.items():
        link = after.links.get(peer)
        if was.get(peer) != reason or before.links.get(peer) != link:
            data = {"peer": peer, "change": "seen", "eligible": not reason, "reason": reason, "link": link}
            events.append(Event("peer", data))
    return events


def _shown(standing: Standing) -> object:
    verdict = standing.verdict
    # A reason may count seconds; only for a verdict that is not plain does a new reason matter.
    return (standing.level, verdict.level, verdict.counts)


def _config(before: State, after: State) -> Iterator[Event]:
    if before.config.hash != after.config.hash:
        yield Event(
            "config",
            {
                "in_force": after.config.hash,
                "previous": before.config.hash,
                "generation": after.config.gen,
            },
        )


def _alerter(before: State, after: State) -> Iterator[Event]:
    was, now = _holder(before), _holder(after)
    if was != now or before.lease.epoch != after.lease.epoch:
        yield Event("alerter", {"alerter": now, "previous": was, "epoch": after.lease.epoch})


def _holder(state: State) -> str | None:
    return None if state.lease.released else state.lease.holder or None


def _peers(before: State, after: State) -> Iterator[Event]:
    for name, row in after.peers.items():
        change = _peer_change(before.row(name), row)
        if change:
            yield Event(
                "peer",
                {
                    "peer": name,
                    "change": change,
                    "session": row.session,
                    "version": row.version,
                    "config_hash": row.config_hash,
                    "doubt": row.doubt,
                },
            )


def _peer_change(old: PeerRow, new: PeerRow) -> str:
    """The most telling thing that happened to a peer's row; "" for a report like every other."""
    if old is new:
        return ""
    tests = (
        ("gone", bool(old.boot_id) and not new.boot_id),
        ("joined", old.session != new.session and bool(new.boot_id)),
        ("leaving", old.leaving_until_wall != new.leaving_until_wall and new.leaving_until_wall > 0),
        ("config", old.config_hash != new.config_hash),
        ("doubt", old.doubt != new.doubt),
    )
    return next((change for change, holds in tests if holds), "")


def _incidents(before: State, after: State) -> Iterator[Event]:
    for number, incident in sorted(_fresh(before.incidents, after.incidents)):
        old = before.incidents.get(number)
        yield Event(
            "incident",
            {
                "number": number,
                "service": incident.service,
                "change": _incident_change(old, incident),
                "open": incident.is_open,
                "level": incident.level,
                "reason": incident.reason,
                "severity": incident.severity,
                "withheld": _withheld(incident),
                "acknowledged_by": incident.ack.by if incident.ack else None,
                "flapping": incident.is_flapping,
            },
        )


def _withheld(incident: Incident) -> dict[str, Any] | None:
    """Why nobody is told; None when people are."""
    why = incident.withheld
    return {"why": why.why, "text": why.text, "root": why.root or None} if why else None


def _incident_change(old: Incident | None, new: Incident) -> str:
    if old is None and new.is_open:
        return "opened"
    if not new.is_open:
        return "closed"
    return "changed"


def _notifications(before: State, after: State) -> Iterator[Event]:
    fresh = (item for _, item in _fresh(before.notifications, after.notifications))
    for item in sorted(fresh, key=lambda item: item.order):
        yield Event("notification", _notification(item))


def _notification(item: Notification) -> dict[str, Any]:
    last = item.attempts[-1] if item.attempts else None
    return {
        "id": item.id,
        "incident": item.incident,
        "service": item.service,
        "kind": item.kind,
        "channel": item.channel,
        "stage": item.stage,
        "sender": item.sender,
        "attempt": item.attempt,
        "outcome": last.outcome if last else None,
        "dropped": item.dropped,
        "digest": item.digest,
        "members": len(item.members),
    }


def _silences(before: State, after: State) -> Iterator[Event]:
    for name, silence in _fresh(before.silences, after.silences):
        old = before.silences.get(name)
        is_ended = old is not None and silence.ends_wall < old.ends_wall
        data = {"id": name, "kind": silence.kind, "change": "ended" if is_ended else "set"}
        yield Event("silence", {**data, "author": silence.author, "reason": silence.reason})
    for name in before.silences.keys() - after.silences.keys():
        data = {"id": name, "kind": before.silences[name].kind, "change": "forgotten"}
        yield Event("silence", {**data, "author": "", "reason": ""})


def _channels(before: State, after: State) -> Iterator[Event]:
    for name, row in _fresh(before.channels, after.channels):
        old = before.channels.get(name)
        if row.trouble != (old.trouble if old else ""):
            yield Event("channel", {"channel": name, "trouble": row.trouble})


def _drill(before: State, after: State) -> Iterator[Event]:
    if before.drill != after.drill:
        drill = after.drill
        has_arrived = drill.arrived_wall > 0
        yield Event("drill", {"channel": drill.channel, "by": drill.by, "arrived": has_arrived})


def _fresh(before: Mapping[K, V], after: Mapping[K, V]) -> list[tuple[K, V]]:
    """Items of `after` that are new or other than in `before`; nothing to do when it is the same object."""
    if before is after:
        return []
    return [(key, value) for key, value in after.items() if _differs(before.get(key), value)]


def _differs(old: object, new: object) -> bool:
    return old is not new and old != new
