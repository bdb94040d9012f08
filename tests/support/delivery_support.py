"""Notifications, settings and states for tests of rendering and sending.

Nothing here decides what is right.
"""

from __future__ import annotations

from typing import Any

from watchtower.core.model import (
    Evidence,
    Incident,
    Level,
    Notice,
    NoticeKind,
    Notification,
    Opinion,
    State,
)
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel, ClusterSettings, HttpSettings, PeerSettings, Service, Settings
from watchtower.core.targets import TcpTarget
from watchtower.delivery.message import Message, Tone

BEGAN_WALL = 1_767_225_600.0
"""2026-01-01 00:00:00 UTC."""

DOWN_EVIDENCE = (
    Evidence(peer="a", opinion=Opinion.DOWN, text="HTTP 503", latency_ms=81.4),
    Evidence(peer="b", opinion=Opinion.DOWN, text="timeout after 10 s"),
    Evidence(peer="c", opinion=Opinion.DOWN, text="HTTP 503", latency_ms=120.0),
)
DISSENT_EVIDENCE = (
    *DOWN_EVIDENCE[:2],
    Evidence(peer="c", opinion=Opinion.UP, text="HTTP 200", latency_ms=12.0),
)

MESSAGE = Message(
    state="DOWN",
    tone=Tone.FAILURE,
    subject="[DOWN] Checkout (HTTP 503) 3/3 peers - prod",
    summary="Checkout is down: HTTP 503.",
    facts=(("Since", "2026-01-01 00:00:00 UTC"),),
    footer="incident 42 | delivery ab12",
    delivery_id="ab12",
    attempt=1,
    cluster="prod",
    incident=42,
    kind="firing",
    at_wall=1_767_225_600.0,
)
"""A message as channels get it; nothing in it needs another file."""


def settings(
    channels: dict[str, str] | None = None,
    *,
    me: str = "a",
    public_url: str = "",
    searched: tuple[str, ...] = (),
) -> Settings:
    """A cluster `prod` of three peers; `channels` maps names to URLs, `searched` can be asked for an id."""
    zones = {"a": "eu-west-1a", "b": "eu-west-1b", "c": "hel1"}
    shop = Service(
        name="shop",
        target=TcpTarget(host="192.0.2.1", port=80),
        voters=("a", "b", "c"),
        title="Checkout",
        runbook="https://runbooks.example.com/checkout?from=alert&x=1",
        dashboard="https://grafana.example.com/d/shop",
    )
    return Settings(
        me=me,
        config_hash="h1",
        cluster=ClusterSettings(
            name="prod",
            secrets=(Secret("not a secret"),),
            peers=tuple(
                PeerSettings(
                    name=name, raft_host="h", raft_port=1, http_url=f"http://10.0.0.{i}:8080", zone=zone
                )
                for i, (name, zone) in enumerate(zones.items(), 1)
            ),
        ),
        http=HttpSettings(public_url=public_url),
        channels={
            name: Channel(name=name, url=Secret(url), schema=url.partition(":")[0], search=name in searched)
            for name, url in (channels or {}).items()
        },
        services={"shop": shop},
    )


def notification(kind: NoticeKind = NoticeKind.FIRING, **fields: Any) -> Notification:
    """A claimed notification of incident 42 on `shop`; `fields` of the notice come as `notice_...`."""
    notice_fields = {
        key.removeprefix("notice_"): fields.pop(key) for key in tuple(fields) if key.startswith("notice_")
    }
    notice = {
        "level": Level.UP if kind is NoticeKind.RESOLVED else Level.DOWN,
        "reason": "3 of 3 peers see it up" if kind is NoticeKind.RESOLVED else "3 of 3 peers see it down",
        "since_wall": BEGAN_WALL,
        "at_wall": BEGAN_WALL + 14.0,
        "evidence": () if kind is NoticeKind.RESOLVED else DOWN_EVIDENCE,
    }
    fields = {"service": "shop", "channel": "chat", "sender": "a", "attempt": 1, "incident": 42, **fields}
    return Notification(
        id="0123456789abcdef",
        order=7,
        kind=kind,
        lane=f"{fields['service']} {fields['channel']}",
        notice=Notice(**{**notice, **notice_fields}),
        **fields,
    )


def state(*notifications: Notification, closed_wall: float = 0.0) -> State:
    """A state with incident 42 on `shop` and the notifications."""
    incident = Incident(
        number=42,
        service="shop",
        level=Level.DOWN,
        reason="3 of 3 peers see it down",
        since_wall=BEGAN_WALL,
        opened_wall=BEGAN_WALL + 14.0,
        closed_wall=closed_wall,
        evidence=DOWN_EVIDENCE,
    )
    return State(
        cluster="prod", incidents={42: incident}, notifications={item.id: item for item in notifications}
    )
