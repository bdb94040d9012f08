"""What a configuration asks of each peer: looks a second, CPU, sockets and children; and what is too much.

Arithmetic over the settings with the costs that were measured (docs/measured.md). It is an estimate for
one machine like the one of the measurement, meant to find what is wrong by a factor, not by a tenth. It
reads no limit itself: those of the machine are handed in.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Final

from msgspec import Struct

from watchtower.config.schema import CONCURRENCY_MAX
from watchtower.core.settings import EXTRA_SHARE, Service, Settings

COST_MS: Final = {
    "http": 0.25,
    "https": 0.81,
    "tcp": 0.17,
    "tls": 0.81,
    "dns": 0.17,
    "icmp": 0.18,
    "peer": 0.25,
    "postgres": 0.64,
    "mysql": 0.40,
    "redis": 0.38,
    "amqp": 0.70,
    "exec": 1.2,
    "grpc": 0.61,
    "ws": 0.56,
}
"""CPU of one look at 100 a second, by kind, without what idling costs: docs/measured.md, "What a look
costs". `tls` and `peer` have not been measured and count as the HTTPS and HTTP that they are. Of the kinds
that log in, and of grpc and ws, the look alone was measured, on loopback; to it comes what a look over TCP
costs beside its look. `exec` is that of a shell which prints a line (0.46 ms of ours, 0.61 of its own); most
programs take more."""
COST_OVER_TLS_MS: Final = 1.0
"""What a handshake adds to a kind that is also spoken without."""
COST_MS_ELSE: Final = 0.5
"""A kind that has not been measured counts as twice HTTP."""
_OVER_TLS: Final = " over TLS"
IDLE_PERCENT: Final = 1.7
"""A peer of three that watches nothing: docs/measured.md, "Idling"."""
BUDGET_PERCENT: Final = 50.0
"""Of one core. Looks share it with everything else a peer does; above this they start late."""
DESCRIPTORS_BESIDE: Final = 128
"""Links, journal, API, notifications: what a peer holds open besides its looks."""
DESCRIPTORS: Final = {"exec": 3}
"""What a look of a kind holds open at a time, where that is not one."""


class Load(Struct, frozen=True, kw_only=True):
    """What is asked of one peer.

    `per_s` are looks a second by kind; `hanging` the looks under way when every target hangs; `sockets` and
    `children` what is open or running at worst, while everything is being confirmed down.
    """

    peer: str
    services: int
    per_s: dict[str, float]
    cpu_percent: float
    hanging: int
    sockets: int
    children: int

    @property
    def looks_per_s(self) -> float:
        """Of all kinds."""
        return sum(self.per_s.values())


def loads(settings: Settings) -> list[Load]:
    """The load of every peer, by name."""
    bound = math.floor(settings.probe.concurrency * EXTRA_SHARE)
    return [_load(name, settings, bound) for name in settings.cluster.peer_names]


def _load(peer: str, settings: Settings, bound: int) -> Load:
    looked = settings.looked_at_by(peer)
    per_s: dict[str, float] = defaultdict(float)
    worst: dict[str, float] = defaultdict(float)
    for service in looked:
        kind = kind_of(service)
        per_s[kind] += 1 / service.interval_s
        worst[kind] += min(1.0, service.confirm.failures * service.timeout_s / service.interval_s)
    under_way = sum(worst.values())
    share = min(1.0, bound / under_way) if under_way else 1.0
    return Load(
        peer=peer,
        services=len(looked),
        per_s={kind: per_s[kind] for kind in sorted(per_s)},
        cpu_percent=IDLE_PERCENT + sum(rate * cost_ms(kind) / 10 for kind, rate in per_s.items()),
        hanging=_up(sum(min(1.0, one.timeout_s / one.interval_s) for one in looked)),
        sockets=_up(sum(share * count * DESCRIPTORS.get(kind, 1) for kind, count in worst.items())),
        children=_up(share * worst["exec"]) if "exec" in worst else 0,
    )


def kind_of(service: Service) -> str:
    """The kind as it costs: `https` is one of its own, and so is `postgres over TLS`."""
    url = getattr(service.target, "url", "")
    if service.kind == "http" and url.startswith("https:"):
        return "https"
    begun = service.kind != "tls" and bool(getattr(service.target, "starttls", False))
    over_tls = begun or getattr(service.target, "tls", False) or url.startswith("wss:")
    return f"{service.kind}{_OVER_TLS}" if over_tls else service.kind


def cost_ms(kind: str) -> float:
    """CPU of one look."""
    plain = kind.removesuffix(_OVER_TLS)
    return COST_MS.get(plain, COST_MS_ELSE) + (COST_OVER_TLS_MS if plain != kind else 0.0)


def warnings(found: list[Load], concurrency: int, descriptors: int) -> list[str]:
    """What is too much, for the peers that have most to do, each with the setting to change.

    `concurrency` is what the file allows, `descriptors` what this machine does.
    """
    busiest = max(found, key=lambda load: load.cpu_percent)
    fullest = max(found, key=lambda load: load.hanging)
    widest = max(found, key=lambda load: load.sockets)
    return [
        *_cpu(busiest),
        *_concurrency(fullest, concurrency),
        *_descriptors(widest, descriptors),
    ]


def _cpu(load: Load) -> list[str]:
    if load.cpu_percent <= BUDGET_PERCENT:
        return []
    factor = (load.cpu_percent - IDLE_PERCENT) / (BUDGET_PERCENT - IDLE_PERCENT)
    text = (
        f"{load.peer} would look {load.looks_per_s:.0f} times a second, which takes {load.cpu_percent:.0f} % "
        f"of a core; above {BUDGET_PERCENT:.0f} % looks start late. Make `interval` "
        f"{math.ceil(factor * 10) / 10:g} times as long, or divide the services among several clusters."
    )
    return [text]


def _concurrency(load: Load, bound: int) -> list[str]:
    if load.hanging <= bound:
        return []
    setting = f"`probe: {{concurrency: {load.hanging}}}`"
    remedy = "a shorter `timeout`" if load.hanging > CONCURRENCY_MAX else f"{setting}, or a shorter `timeout`"
    text = (
        f"When every target hangs, {load.hanging} looks of {load.peer} would be under way at the same time. "
        f"`probe.concurrency` allows {bound}: the others would be late or left out, never down. Set {remedy}."
    )
    return [text]


def _descriptors(load: Load, allowed: int) -> list[str]:
    wanted = load.sockets + DESCRIPTORS_BESIDE
    if wanted <= allowed:
        return []
    text = (
        f"{load.peer} may need {wanted} open files and sockets; a process may have {allowed} here. Set "
        f"`LimitNOFILE={wanted}` in its systemd unit (`ulimit -n {wanted}`) or a smaller `probe.concurrency`."
    )
    return [text]


def _up(count: float) -> int:
    """The next whole number; what is one by the millionth is that one."""
    return math.ceil(count - 1e-6)
