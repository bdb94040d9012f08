"""The configuration that every simulated cluster runs: peers, services, channels, in two versions.

The second version is what the `config` fault rolls out, host by host. Times are short, so that what takes
minutes in life fits into one: nothing else differs from what people configure.
"""

from __future__ import annotations

from typing import Final

from simulation.faults import Shape
from support.core_support import NEVER_FLAPS

from watchtower.core.secret import Secret
from watchtower.core.settings import (
    PEER_PREFIX,
    PROFILES,
    Alerting,
    BreakerSettings,
    Channel,
    ClusterSettings,
    Confirm,
    HttpSettings,
    PeerSettings,
    Recover,
    Service,
    Settings,
    WithoutQuorum,
)
from watchtower.core.targets import HeartbeatTarget, PeerTarget, TcpTarget

CLUSTER: Final = "simulated"
BEATS_EVERY_S: Final = 4.0
WAYS: Final = {"chat": "plain", "hook": "searchable", "mail": "plain", "pager": "merging"}
"""The channels, and what can be asked of each."""
SCHEMAS: Final = {"chat": "discord", "hook": "json", "mail": "mailto", "pager": "pagerduty"}
FALLBACKS: Final = {"mail": "pager"}
VERSIONS: Final = ("v1", "v2")

TOUCHY: Final = BreakerSettings(volume=2, reset_s=5.0)
"""Two failed sends open a breaker, fewer than a file may ask for: a minute of faults must open some."""


def settings(me: str, peers: tuple[str, ...], version: str, shape: Shape) -> Settings:
    """What `me` reads from its file."""
    voters = tuple(name for name in peers if name != shape.witness)
    return Settings(
        me=me,
        config_hash=version,
        cluster=ClusterSettings(
            name=CLUSTER,
            secrets=(Secret("not a secret"),),
            peers=tuple(
                PeerSettings(
                    name=name,
                    raft_host=name,
                    raft_port=1,
                    http_url=f"http://{name}.example",
                    witness=name == shape.witness,
                )
                for name in peers
            ),
            timing=PROFILES[shape.profile],
            without_quorum=WithoutQuorum(after_s=10.0, notify="chat"),
        ),
        http=HttpSettings(),
        channels={
            name: Channel(
                name=name,
                url=Secret(f"{SCHEMAS[name]}://{name}.example"),
                schema=SCHEMAS[name],
                fallback=FALLBACKS.get(name, ""),
            )
            for name in WAYS
        },
        alerting=Alerting(flap=NEVER_FLAPS),
        breakers=TOUCHY,
        services={one.name: one for one in (*_watched(voters, version), *_peers(peers, voters))},
    )


def _watched(voters: tuple[str, ...], version: str) -> list[Service]:
    services = [
        _quick("web", voters, 3.0, "chat"),
        _quick("api", voters, 4.0, "hook", "chat"),
        _quick("db", voters, 2.0, "mail"),
        _quick("cache", voters, 5.0, "chat"),
        Service(
            name="nightly",
            target=HeartbeatTarget(period_s=BEATS_EVERY_S * 2, grace_s=4.0),
            voters=voters,
            alert=("hook",),
        ),
    ]
    return services if version == VERSIONS[0] else [*services, _quick("queue", voters, 3.0, "hook")]


def _quick(name: str, voters: tuple[str, ...], interval_s: float, *alert: str) -> Service:
    """A service that is looked at often, and found partial soon."""
    return Service(
        name=name,
        target=TcpTarget(host="192.0.2.1", port=80),
        voters=voters,
        interval_s=interval_s,
        timeout_s=1.0,
        confirm=Confirm(recheck_s=0.5, partial_after_s=8.0),
        recover=Recover(recheck_s=0.5),
        alert=alert,
    )


def _peers(peers: tuple[str, ...], voters: tuple[str, ...]) -> list[Service]:
    return [
        Service(
            name=PEER_PREFIX + name,
            target=PeerTarget(peer=name, url=f"http://{name}.example"),
            voters=tuple(other for other in voters if other != name),
            interval_s=5.0,
            timeout_s=1.0,
            alert=("chat",),
        )
        for name in peers
    ]
