"""What a peer was told to do: the parsed configuration, frozen, in the words of the core.

config/ builds one Settings from the file; everything else only reads it. Two peers that read
the same file hold equal Settings except for `me`. Nothing here knows YAML, defaults of the file
format, or where a value was written; anything secret is a Secret, which never prints itself.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from watchtower.core.conditions import Condition
from watchtower.core.policies import Matcher, Severity
from watchtower.core.secret import Secret
from watchtower.core.targets import HeartbeatTarget, Target

PEER_PREFIX: Final = "peer/"
CLUSTER_SUBJECT: Final = "cluster"
"""Subject of incidents about the cluster itself; no service may carry this name."""
CHANNEL_PREFIX: Final = "channel/"
"""Subjects of incidents about a channel that does not work."""
JITTER_MAX: Final = 0.5
"""A look comes at most half of this share of its interval early or late."""
UNANSWERED_AFTER_S: Final = 1.0
"""A look that has not ended for so long is told to the other peers, who look as well."""
EXTRA_SHARE: Final = 1.25
"""Looks out of turn may exceed `probe.concurrency` by a quarter."""


class PeerSettings(Struct, frozen=True, kw_only=True):
    """One watchtower process of the cluster."""

    name: str
    raft_host: str
    raft_port: int
    http_url: str
    zone: str = ""
    provider: str = ""
    witness: bool = False
    """It votes in Raft, judges no service, and takes the alerting lease only when nobody else can."""


class Timing(Struct, frozen=True, kw_only=True):
    """How long Raft and the alerting lease wait. The defaults are for peers a few milliseconds apart.

    `raft_min_s` to `raft_max_s`: silence of a leader before a follower stands for election; `fallback_s`:
    silence of the majority before a leader steps back; `connection_s`: silence before a link counts as cut.
    """

    raft_min_s: float = 1.0
    raft_max_s: float = 2.0
    heartbeat_s: float = 0.2
    fallback_s: float = 1.0
    connection_s: float = 2.0
    lease_s: float = 3.0
    renew_every_s: float = 0.75
    margin_s: float = 1.0
    patience_s: float = 1.0

    def times(self, factor: float) -> Timing:
        """The same with every wait `factor` times as long."""
        return Timing(**{name: factor * getattr(self, name) for name in self.__struct_fields__})


LAN: Final = Timing()
WAN: Final = LAN.times(3.0)
PROFILES: Final = {"lan": LAN, "wan": WAN}


class WithoutQuorum(Struct, frozen=True, kw_only=True):
    """What a peer does when it has no majority: after `after_s` seconds it says once that it is blind."""

    after_s: float = 30.0
    policy: str = "hold"
    notify: str = ""


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """The peers, how they trust each other, and what they doubt themselves by."""

    name: str
    secrets: tuple[Secret, ...]
    peers: tuple[PeerSettings, ...]
    reference: tuple[str, ...] = ()
    without_quorum: WithoutQuorum = WithoutQuorum()
    timing: Timing = LAN

    @property
    def peer_names(self) -> tuple[str, ...]:
        """Names of all peers, sorted: equal files give equal Settings."""
        return tuple(peer.name for peer in self.peers)

    @property
    def voter_names(self) -> tuple[str, ...]:
        """Names of the peers that judge services: all but the witnesses."""
        return tuple(peer.name for peer in self.peers if not peer.witness)

    @property
    def witness_names(self) -> frozenset[str]:
        """Names of the peers that only vote in Raft."""
        return frozenset(peer.name for peer in self.peers if peer.witness)

    def peer(self, name: str) -> PeerSettings:
        """The peer called `name`; KeyError when there is none."""
        for peer in self.peers:
            if peer.name == name:
                return peer
        raise KeyError(name)


class Token(Struct, frozen=True, kw_only=True):
    """A named bearer token; scope is `read`, `write` or `admin`, each including those before it."""

    name: str
    scope: str
    token: Secret


class HttpSettings(Struct, frozen=True, kw_only=True):
    """How this peer answers over HTTP."""

    listen_host: str = "0.0.0.0"  # noqa: S104 - the documented default: any peer answers anybody's reads
    listen_port: int = 8080
    base_path: str = ""
    public_url: str = ""
    anonymous_read: bool = True
    tokens: tuple[Token, ...] = ()
    ping_key: Secret | None = None


class Rate(Struct, frozen=True, kw_only=True):
    """How much a channel is sent: one message every `every_s`, up to `burst` at once, `hour` in an hour."""

    every_s: float = 1.0
    burst: int = 3
    hour: int = 120


class ChannelTemplate(Struct, frozen=True, kw_only=True):
    """People's own words for a channel, in Jinja's notation; "" leaves the standard text."""

    subject: str = ""
    body: str = ""


class Channel(Struct, frozen=True, kw_only=True):
    """A configured destination of notifications. `url` is an apprise URL and therefore a secret."""

    name: str
    url: Secret
    schema: str
    """Scheme of the URL (`slack`, `mailto`, `json` ...): the only part of it that may be shown."""
    fallback: str = ""
    search: bool = False
    """True for a webhook whose receiver answers whether it has a delivery id."""
    rate: Rate = Rate()
    template: ChannelTemplate | None = None


class Confirm(Struct, frozen=True, kw_only=True):
    """How many failed looks in a row make a vote down, and how soon to look again."""

    failures: int = 2
    recheck_s: float = 1.0
    partial_after_s: float = 120.0


class Recover(Struct, frozen=True, kw_only=True):
    """How many good looks in a row make a vote up again."""

    successes: int = 2
    recheck_s: float = 1.0


class Hours(Struct, frozen=True, kw_only=True):
    """Times of the week in a time zone: `days` (Monday is 0), from one minute of the day to another.

    `until_minute` at or before `from_minute` runs over midnight; 0 to 0 is the whole day.
    """

    days: tuple[int, ...]
    from_minute: int
    until_minute: int
    timezone: str


class Route(Struct, frozen=True, kw_only=True):
    """Who is told of what all `match` fit: names of channels and escalations, while `active` (empty: always).

    `repeat_s` 0: no reminders; None: as alerting says. `is_continued`: later routes are asked too.
    """

    match: tuple[Matcher, ...] = ()
    notify: tuple[str, ...] = ()
    repeat_s: float | None = None
    active: tuple[Hours, ...] = ()
    is_continued: bool = False


class EscalationStep(Struct, frozen=True, kw_only=True):
    """So long after the first announcement these channels are told too, unless somebody acknowledged."""

    after_s: float
    notify: tuple[str, ...]


class Window(Struct, frozen=True, kw_only=True):
    """Planned maintenance of what all `match` fit: once, or from each time of a cron expression on.

    Once: `start_wall` to `end_wall` (Unix seconds). Cron: five fields in `timezone`, each time for `for_s`.
    """

    match: tuple[Matcher, ...]
    start_wall: float = 0.0
    end_wall: float = 0.0
    cron: str = ""
    for_s: float = 0.0
    timezone: str = "UTC"
    reason: str = ""


class Need(Struct, frozen=True, kw_only=True):
    """What a service needs: at least `at_least` of `names`. `degraded` says how it is without."""

    names: tuple[str, ...]
    at_least: int = 1
    degraded: str = ""


class Service(Struct, frozen=True, kw_only=True):
    """A watched thing. `voters` are the names of the peers whose votes make its verdict.

    `alert` names channels and escalations; None: the routes say who is told.
    """

    name: str
    target: Target
    voters: tuple[str, ...]
    interval_s: float = 30.0
    timeout_s: float = 10.0
    jitter: float = 0.1
    expect: tuple[Condition, ...] = ()
    warn: tuple[Condition, ...] = ()
    confirm: Confirm = Confirm()
    recover: Recover = Recover()
    alert: tuple[str, ...] | None = None
    title: str = ""
    group: str = ""
    runbook: str = ""
    dashboard: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    severity: Severity = Severity.CRITICAL
    needs: tuple[Need, ...] = ()

    @property
    def kind(self) -> str:
        """The probe kind, a target's tag: `http`, `tcp`, `tls`, `dns`, `smtp`, `heartbeat`, `peer` ..."""
        return str(self.target.__struct_config__.tag)

    @property
    def shown_as(self) -> str:
        """What people read: the title when there is one, else the name."""
        return self.title or self.name


class Flap(Struct, frozen=True, kw_only=True):
    """When a service flaps: changes in the last `window` looks, as shares that begin it and end it."""

    window: int = 20
    high: float = 0.5
    low: float = 0.25


class Alerting(Struct, frozen=True, kw_only=True):
    """How people are told.

    `resolved`: whether they hear of the end; `repeat_s`: of what lasts, how often (0: never); `hold_s`: how
    long a service with needs waits for its cause; `suppress_s`: for how long at most a cause hides it.
    `timezone`: whose local time messages show beside UTC.
    """

    resolved: bool = True
    repeat_s: float = 14_400.0
    hold_s: float = 5.0
    suppress_s: float = 1_800.0
    flap: Flap = Flap()
    timezone: str = "UTC"


class DrillSettings(Struct, frozen=True, kw_only=True):
    """Fire drills on `channel` at the times of a cron expression, to be proven within `within_s`."""

    cron: str
    channel: str
    timezone: str = "UTC"
    within_s: float = 900.0


class WatchdogSettings(Struct, frozen=True, kw_only=True):
    """Our signals to an outside dead man's switch, whose URLs are secrets.

    `ping` is sent by the alerter while the whole path works, `peer_pings` by each peer while it is well.
    """

    ping: Secret | None = None
    peer_pings: dict[str, Secret] = {}
    every_s: float = 60.0
    drill: DrillSettings | None = None


class BreakerSettings(Struct, frozen=True, kw_only=True):
    """When a circuit breaker stops asking, and for how long.

    It opens when more than `error_threshold` percent of at least `volume` calls within `window_s` (counted
    in `buckets`) failed or took longer than `timeout_s`; after `reset_s` it lets one trial through.
    """

    timeout_s: float = 10.0
    error_threshold: float = 50.0
    window_s: float = 60.0
    buckets: int = 10
    volume: int = 5
    reset_s: float = 30.0


class ProbeSettings(Struct, frozen=True, kw_only=True):
    """Limits of the looking itself.

    `concurrency` looks at a time, `per_host` of them at one address and port; `workers` processes look, 0
    when the peer itself does.
    """

    concurrency: int = 200
    per_host: int = 4
    workers: int = 1


class HistorySettings(Struct, frozen=True, kw_only=True):
    """Whether this peer keeps what it saw, and for how long every single sample; rollups live longer."""

    is_on: bool = True
    samples_kept_s: float = 86_400.0


class Settings(Struct, frozen=True, kw_only=True):
    """Everything one peer needs to know, from one file.

    `config_hash` is the hash of the parsed file before `${}` expansion (the config in force is one such
    hash), so peers with different secrets in their environment still run the same config.
    """

    me: str
    config_hash: str
    cluster: ClusterSettings
    http: HttpSettings
    channels: dict[str, Channel]
    services: dict[str, Service]
    storage_path: str = "data"
    alerting: Alerting = Alerting()
    routes: tuple[Route, ...] = ()
    default_alert: tuple[str, ...] | None = None
    """Who is told where no route fits; None: the first channel."""
    escalations: dict[str, tuple[EscalationStep, ...]] = {}
    maintenance: tuple[Window, ...] = ()
    watchdog: WatchdogSettings = WatchdogSettings()
    breakers: BreakerSettings = BreakerSettings()
    probe: ProbeSettings = ProbeSettings()
    history: HistorySettings = HistorySettings()

    def looked_at_by(self, peer: str) -> list[Service]:
        """The services `peer` looks at: those it has a vote on, except heartbeats, which call us."""
        return [
            service
            for service in self.services.values()
            if peer in service.voters and not isinstance(service.target, HeartbeatTarget)
        ]

    @property
    def majority(self) -> int:
        """Smallest number of peers that is more than half of all configured peers."""
        return len(self.cluster.peers) // 2 + 1
