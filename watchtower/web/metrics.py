"""`/metrics`: its names are here and in raft_metrics.py (docs/reference/metrics.md lists them all).

Blackbox-exporter names for what this peer's probes saw, `watchtower_*` for the rest. Series follow
the config, so a removed service leaves none; no label holds an error text or a credential. Latency
histograms are fed by state transitions seen here since the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from watchtower.core.model import Level, Opinion, Result, Stage, State
from watchtower.core.ports import Snapshot
from watchtower.core.settings import Service
from watchtower.core.stats import ProbeStats, WorkerStats
from watchtower.web.access import Scope
from watchtower.web.alert_metrics import alert_families
from watchtower.web.answers import Counters, large_answer
from watchtower.web.breakers import breaker_families
from watchtower.web.documents import instance
from watchtower.web.exposition import CONTENT_TYPE, Sample, counter, family, gauge, labels
from watchtower.web.incidents import open_incidents
from watchtower.web.proof_metrics import proof_families
from watchtower.web.raft_metrics import peer_families, raft_families
from watchtower.web.routes import Route
from watchtower.web.stream import EventStream

_PHASES: Final = (
    ("resolve", "resolve"),
    ("connect", "connect"),
    ("tls", "tls"),
    ("first_byte", "processing"),
    ("transfer", "transfer"),
)
"""Our name of a phase and blackbox-exporter's."""

_WORKER: Final[tuple[tuple[str, str, str, Callable[[WorkerStats], float]], ...]] = (
    ("up", "gauge", "1 while the worker is to be trusted.", lambda one: bool(one.pid) and not one.trouble),
    ("restarts_total", "counter", "Times the worker was started again.", lambda one: one.restarts_total),
    ("dropped_total", "counter", "Results the peer did not read in time.", lambda one: one.dropped_total),
    ("lag_seconds", "gauge", "How late the worker's loop was in the last second.", lambda one: one.lag_s),
    ("resident_memory_bytes", "gauge", "Memory that the worker holds.", lambda one: one.rss_bytes),
    ("open_fds", "gauge", "Descriptors that the worker holds open.", lambda one: one.open_files),
)

_DELIVERY_BUCKETS: Final = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
_DETECTION_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600)


class Latencies:
    """How long detection and delivery took, observed on transitions since `started_wall`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started_wall = 0.0
        self._detection = Histogram(
            "watchtower_detection_latency_seconds",
            "From the first failed look of any peer to the quorum opening an incident.",
            buckets=_DETECTION_BUCKETS,
            registry=registry,
        )
        self._delivery = Histogram(
            "watchtower_notification_latency_seconds",
            "From the transition to the channel's acceptance of its notification.",
            ["channel"],
            buckets=_DELIVERY_BUCKETS,
            registry=registry,
        )

    def observe(self, before: State, after: State) -> None:
        """Take what is new in `after`. Older transitions (a log being replayed) are left out."""
        if before.incidents is not after.incidents:
            for number in after.incidents.keys() - before.incidents.keys():
                incident = after.incidents[number]
                if incident.opened_wall >= self.started_wall and incident.since_wall > 0:
                    self._detection.observe(max(0.0, incident.opened_wall - incident.since_wall))
        if before.notifications is after.notifications:
            return
        for key, item in after.notifications.items():
            old = before.notifications.get(key)
            is_news = item.stage is Stage.DELIVERED and (old is None or old.stage is not Stage.DELIVERED)
            if is_news and item.settled_wall >= self.started_wall:
                self._delivery.labels(item.channel).observe(max(0.0, item.settled_wall - item.created_wall))


class Metrics:
    """The handler of `/metrics`."""

    def __init__(self, snapshot: Callable[[], Snapshot], stream: EventStream, counters: Counters) -> None:
        self._snapshot = snapshot
        self._stream = stream
        self._counters = counters
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self.latencies = Latencies(self._registry)

    def routes(self) -> list[Route]:
        """The one path."""
        return [Route("GET", "/metrics", Scope.READ, self.scrape)]

    async def scrape(self, _request: web.Request) -> web.Response:
        """All families as text."""
        return large_answer(self.render(), CONTENT_TYPE)

    def render(self) -> bytes:
        """The whole page."""
        snap = self._snapshot()
        parts = [*_service_families(snap), *_ledger_families(snap), *alert_families(snap)]
        parts += [
            *peer_families(snap),
            *raft_families(snap),
            *_own_families(snap),
            *_history_families(snap),
            *self._web_families(),
        ]
        return "".join(parts).encode() + generate_latest(self._registry)

    def _web_families(self) -> Iterator[str]:
        yield counter(
            "watchtower_http_requests_total", "HTTP requests received.", self._counters.requests_total
        )
        yield counter(
            "watchtower_http_refused_total",
            "HTTP requests refused because too many were under way.",
            self._counters.refused_total,
        )
        yield counter(
            "watchtower_http_failed_total",
            "HTTP requests that this peer could not answer through its own fault.",
            self._counters.failed_total,
        )
        yield gauge("watchtower_event_listeners", "Open event streams.", self._stream.listeners)
        yield counter(
            "watchtower_event_listeners_dropped_total",
            "Event streams cut off because the listener was too slow.",
            self._stream.dropped_total,
        )


def _service_families(snap: Snapshot) -> Iterator[str]:
    """What this peer's own probes saw, and what the quorum makes of it."""
    seen = [
        (labels(service=service.name, instance=instance(service.target)), service, result)
        for service in snap.settings.services.values()
        if (result := snap.results.get(service.name)) is not None
    ]
    yield family(
        "probe_success",
        "gauge",
        "1 when this peer's latest probe found the service up or degraded.",
        ((text, result.opinion in (Opinion.UP, Opinion.DEGRADED)) for text, _, result in seen),
    )
    yield family(
        "probe_duration_seconds",
        "gauge",
        "How long this peer's latest probe took.",
        ((text, result.duration_ms / 1000) for text, _, result in seen),
    )
    yield family(
        "probe_http_status_code",
        "gauge",
        "Status of the last HTTP response.",
        _fact(seen, "http", "status"),
    )
    yield family(
        "probe_http_duration_seconds",
        "gauge",
        "How long each phase of the last HTTP request took.",
        _phases(seen),
    )
    yield family(
        "watchtower_probe_phase_seconds",
        "gauge",
        "How long each phase of this peer's latest probe took, of every kind but http.",
        _phases_elsewhere(seen),
    )
    yield family(
        "probe_ssl_earliest_cert_expiry",
        "gauge",
        "When the certificate shown runs out, in Unix seconds.",
        (
            (text, expires_wall)
            for text, _, result in seen
            if isinstance(expires_wall := result.facts.get("cert.expires_at"), int | float)
        ),
    )
    yield family(
        "probe_dns_lookup_time_seconds",
        "gauge",
        "How long the look-up of the name took.",
        (
            (text, took_ms / 1000)
            for text, service, result in seen
            if (took_ms := _lookup_ms(service, result)) is not None
        ),
    )
    yield from _verdict_families(snap)


def _verdict_families(snap: Snapshot) -> Iterator[str]:
    standings = [
        (labels(service=name)[:-1], snap.view.standings.get(name)) for name in snap.settings.services
    ]
    yield family(
        "watchtower_service_verdict",
        "gauge",
        "1 for the verdict that the service has, 0 for every other.",
        (
            (f'{text},verdict="{level}"}}', (standing.level if standing else Level.UNKNOWN) is level)
            for text, standing in standings
            for level in Level
        ),
    )
    yield family(
        "watchtower_service_votes",
        "gauge",
        "How many eligible peers hold each opinion of the service.",
        (
            (f'{text},opinion="{opinion}"}}', standing.verdict.counts.get(opinion, 0))
            for text, standing in standings
            if standing is not None
            for opinion in Opinion
        ),
    )


def _fact(seen: Iterable[tuple[str, Service, Result]], kind: str, fact: str) -> Iterator[Sample]:
    """A fact that is a number, of all services of that kind."""
    for text, service, result in seen:
        value = result.facts.get(fact)
        if service.kind == kind and isinstance(value, int | float):
            yield text, value


def _phases(seen: Iterable[tuple[str, Service, Result]]) -> Iterator[Sample]:
    for text, service, result in seen:
        if service.kind != "http":
            continue
        for ours, theirs in _PHASES:
            if ours in result.phases_ms:
                yield f'{text[:-1]},phase="{theirs}"}}', result.phases_ms[ours] / 1000


def _phases_elsewhere(seen: Iterable[tuple[str, Service, Result]]) -> Iterator[Sample]:
    """Under our names: blackbox-exporter has none for logins and queries."""
    for text, service, result in seen:
        if service.kind in ("http", "peer"):
            continue
        for phase, spent_ms in result.phases_ms.items():
            yield f'{text[:-1]},phase="{phase}"}}', spent_ms / 1000


def _lookup_ms(service: Service, result: Result) -> float | None:
    """The look-up that a probe began with; for a DNS service the probe is the look-up."""
    return result.duration_ms if service.kind == "dns" else result.phases_ms.get("resolve")


def _ledger_families(snap: Snapshot) -> Iterator[str]:
    """Incidents and deliveries."""
    open_by_level = Counter(incident.level for incident in open_incidents(snap.state))
    yield family(
        "watchtower_incidents_open",
        "gauge",
        "Open incidents by level.",
        (
            (labels(level=level), open_by_level[level])
            for level in (Level.DEGRADED, Level.PARTIAL, Level.DOWN)
        ),
    )
    waiting = [item for item in snap.state.notifications.values() if not item.stage.finished]
    oldest_wall = min((item.created_wall for item in waiting), default=snap.now.wall)
    yield gauge("watchtower_outbox_pending", "Notifications not finished yet.", len(waiting))
    yield gauge(
        "watchtower_outbox_oldest_seconds",
        "Age of the oldest notification not finished yet, 0 without one.",
        max(0.0, round(snap.now.wall - oldest_wall, 3)),
    )
    yield counter(
        "watchtower_notifications_shed_total",
        "Notifications that a full outbox had no room for.",
        snap.state.shed,
    )
    stats = snap.delivery
    yield family(
        "watchtower_notifications_total",
        "counter",
        "Attempts to send by this peer, by channel and outcome.",
        (
            (labels(channel=channel, outcome=str(outcome)), count)
            for (channel, outcome), count in sorted(stats.outcomes_total.items())
            if channel in snap.settings.channels
        ),
    )
    yield from breaker_families(snap)
    yield from proof_families(snap)
    yield counter("watchtower_fenced_total", "Sends that the fence held back.", stats.fenced_total)
    yield counter("watchtower_ambiguous_total", "Sends whose outcome is not known.", stats.ambiguous_total)
    yield counter(
        "watchtower_takeovers_total", "Claims taken over from another sender.", stats.takeovers_total
    )
    yield counter(
        "watchtower_reconciled_total",
        "Deliveries found in their channel, not repeated.",
        stats.reconciled_total,
    )


def _probing_families(probes: ProbeStats) -> Iterator[str]:
    """The looking of this peer, and the processes that do it."""
    yield counter("watchtower_probes_started_total", "Probes begun.", probes.started_total)
    yield counter(
        "watchtower_probes_skipped_total",
        "Probes left out because this peer was too busy.",
        probes.skipped_total,
    )
    yield counter(
        "watchtower_probes_stale_total",
        "Probes that could not begin before the next one was due.",
        probes.stale_total,
    )
    yield gauge("watchtower_probes_in_flight", "Probes under way.", probes.in_flight)
    yield gauge("watchtower_probes_waiting", "Probes that are due and wait for their turn.", probes.waiting)
    yield gauge("watchtower_probe_lag_seconds", "How late probes start.", probes.lag_s)
    for name, kind, meaning, value in _WORKER:
        samples = [(labels(worker=str(one.number)), value(one)) for one in probes.workers]
        yield family(f"watchtower_probe_worker_{name}", kind, meaning, samples)


def _own_families(snap: Snapshot) -> Iterator[str]:
    """This process: its probing, its loop, its config, its build."""
    yield from _probing_families(snap.probes)
    yield gauge("watchtower_loop_lag_seconds", "How late the app loop wakes up.", snap.loop_lag_s)
    yield gauge("watchtower_self_doubt", "1 when this peer doubts its own vantage point.", bool(snap.doubt))
    yield gauge(
        "watchtower_config_last_reload_successful",
        "1 when the latest reload was taken.",
        not snap.reload_error,
    )
    mine = snap.settings.config_hash
    in_force = "true" if mine == snap.state.config.hash else "false"
    yield family(
        "watchtower_config_hash_info",
        "gauge",
        "The config this peer runs, and whether it is the one in force.",
        [(labels(hash=mine, in_force=in_force), 1)],
    )
    yield family(
        "watchtower_build_info",
        "gauge",
        "Version of this peer.",
        [(labels(version=snap.version, peer=snap.settings.me), 1)],
    )


def _history_families(snap: Snapshot) -> Iterator[str]:
    """What this peer keeps of its looks; all 0 when it keeps none."""
    kept = snap.history
    yield counter("watchtower_history_samples_total", "Looks kept in history.", kept.samples_total)
    yield counter(
        "watchtower_history_dropped_total",
        "Looks that history had no room for, or lost to a disk that takes nothing.",
        kept.dropped_total,
    )
    yield counter(
        "watchtower_history_transitions_total",
        "Looks that found something else than the one before.",
        kept.transitions_total,
    )
    yield counter(
        "watchtower_history_damaged_total",
        "Times that a damaged history was set aside and begun anew.",
        kept.damaged_total,
    )
    yield gauge("watchtower_history_trouble", "1 while history cannot be written.", bool(kept.trouble))
    yield gauge("watchtower_history_file_bytes", "Size of the file that history is in.", kept.file_bytes)
