"""The metrics page as text: parsed by prometheus-client's own parser, complete, bounded and clean.

Names are a contract with dashboards, so the reference page is compared with what is really shown.
"""

from __future__ import annotations

import re
from pathlib import Path

from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from support.web_support import NOW, PEERS, World, http_service, world

from watchtower.core.channel_rows import Drill
from watchtower.core.model import Level, Opinion, Stage
from watchtower.core.settings import Service
from watchtower.core.stats import WatchdogStats
from watchtower.core.targets import DnsTarget
from watchtower.web.answers import Counters
from watchtower.web.exposition import family, labels
from watchtower.web.metrics import Metrics
from watchtower.web.stream import EventStream, Ring

DOC = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"


def _metrics(made: World) -> Metrics:
    return Metrics(made.look, EventStream(Ring()), Counters())


def _families(made: World) -> dict[str, Metric]:
    text = _metrics(made).render().decode()
    return {found.name: found for found in text_string_to_metric_families(text)}


def _values(found: Metric, *names: str) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels[name] for name in names): sample.value for sample in found.samples}


def _busy() -> World:
    """A world in which every family has a sample."""
    made = world(
        http_service("shop", title="Shop"),
        Service(name="www", target=DnsTarget(name="www.example.com"), voters=PEERS),
    )
    made.result("shop")
    made.result("www", phases_ms={"first_byte": 11.5}, duration_ms=12.5, facts={"dns.rcode": "NOERROR"})
    made.vote("a", "shop", Opinion.DOWN, 'refused "quoted" \\ text')
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
    made.open("shop", 17)
    made.tell(17, Stage.PENDING)
    made.tell(17, Stage.DELIVERED, "mail")
    drill = Drill(channel="chat", started_wall=NOW - 60, unproven={"chat": NOW - 60})
    pings = WatchdogStats(last_wall={"cluster": NOW}, held={"cluster": "", "peer": "it doubts itself"})
    made.snap = replace(made.snap, state=replace(made.snap.state, drill=drill), watchdog=pings)
    return made


def test_probe_results_carry_blackbox_exporter_names() -> None:
    """Existing dashboards read them: seconds, phases by their names, expiry as Unix time."""
    found = _families(_busy())
    service = ("shop", "https://shop.example.com/healthz")
    assert _values(found["probe_success"], "service", "instance")[service] == 1
    assert _values(found["probe_duration_seconds"], "service", "instance")[service] == 0.08125
    assert _values(found["probe_http_status_code"], "service", "instance") == {service: 200}
    phases = _values(found["probe_http_duration_seconds"], "phase")
    assert set(phases) == {("resolve",), ("connect",), ("tls",), ("processing",), ("transfer",)}
    assert phases[("processing",)] == 0.04
    assert _values(found["probe_ssl_earliest_cert_expiry"], "service") == {("shop",): NOW + 40 * 86_400}
    assert _values(found["probe_dns_lookup_time_seconds"], "service") == {("shop",): 0.004, ("www",): 0.0125}


def test_phases_of_other_kinds_have_our_names() -> None:
    """A login or a query has no name in blackbox-exporter; those of HTTP are not told twice."""
    found = _families(_busy())["watchtower_probe_phase_seconds"]
    assert _values(found, "service", "phase") == {("www", "first_byte"): 0.0115}


def test_a_failed_probe_is_no_success_and_a_degraded_one_is() -> None:
    """As with blackbox-exporter, success says whether it works, not whether it is fast."""
    made = world(http_service("shop"), http_service("api"))
    made.result("shop", opinion=Opinion.DOWN)
    made.result("api", opinion=Opinion.DEGRADED)
    assert _values(_families(made)["probe_success"], "service") == {("shop",): 0, ("api",): 1}


def test_exactly_one_verdict_of_a_service_is_set() -> None:
    """The others are 0, so a query needs no absent()."""
    values = _values(_families(_busy())["watchtower_service_verdict"], "service", "verdict")
    assert {verdict: value for (service, verdict), value in values.items() if service == "shop"} == {
        "up": 0,
        "degraded": 0,
        "partial": 0,
        "down": 1,
        "unknown": 0,
    }


def test_a_removed_service_and_a_removed_channel_leave_no_series() -> None:
    """Results and counters may outlive the config; their series must not."""
    made = _busy()
    services = {name: service for name, service in made.snap.settings.services.items() if name != "shop"}
    made.turn(settings=replace(made.snap.settings, services=services))
    text = _metrics(made).render().decode()
    assert 'service="shop"' not in text
    assert 'channel="gone"' not in text
    assert 'channel="chat",outcome="accepted"' in text


def test_no_credential_query_or_evidence_is_in_any_series() -> None:
    """The URL of the shop holds a password and a token; the vote holds an error text."""
    text = _metrics(_busy()).render().decode()
    for secret in ("hunter2", "s3cret", "quoted", "user:"):
        assert secret not in text


def test_a_peer_without_a_vote_carries_its_reason() -> None:
    """One series a peer: 1 with an empty reason, or 0 with the word for it."""
    made = world()
    made.lose_quorum()
    found = _families(made)
    assert _values(found["watchtower_peer_eligible"], "peer", "reason") == {
        ("a", ""): 1,
        ("b", "silent"): 0,
        ("c", "silent"): 0,
    }
    assert _values(found["watchtower_peer_up"], "peer") == {("a",): 1, ("b",): 0, ("c",): 0}
    assert found["watchtower_has_quorum"].samples[0].value == 0


def test_latencies_are_observed_on_transitions_and_not_on_a_replayed_log() -> None:
    """Detection runs from first seen to agreed, delivery from written to accepted."""
    made = world()
    metrics = _metrics(made)
    before = made.snap.state
    made.open("shop", 17)
    made.tell(17)
    metrics.latencies.observe(before, made.snap.state)
    text = metrics.render().decode()
    assert "watchtower_detection_latency_seconds_sum 3.0" in text
    assert 'watchtower_notification_latency_seconds_sum{channel="chat"} 1.0' in text

    replayed = _metrics(made)
    replayed.latencies.started_wall = NOW
    replayed.latencies.observe(before, made.snap.state)
    assert "watchtower_detection_latency_seconds_count 0.0" in replayed.render().decode()


def test_the_outbox_shows_how_much_waits_and_for_how_long() -> None:
    """Finished notifications do not count."""
    found = _families(_busy())
    assert found["watchtower_outbox_pending"].samples[0].value == 1
    assert found["watchtower_outbox_oldest_seconds"].samples[0].value > 57


def test_label_values_and_numbers_survive_the_round_trip() -> None:
    """Quotes, backslashes and newlines are escaped; floats read back as they were."""
    hostile = 'a"b\\c\nd'
    text = family("x", "gauge", "What it means.", [(labels(k=hostile), 0.1), (labels(k="n"), 1e18)])
    samples = next(iter(text_string_to_metric_families(text))).samples
    assert [(sample.labels["k"], sample.value) for sample in samples] == [(hostile, 0.1), ("n", 1e18)]
    assert family("x", "gauge", "Nothing.", []) == ""


def test_the_proofs_that_alerting_works_are_shown() -> None:
    """When the outside last heard of us, what holds a ping, and that the drill has not arrived yet."""
    found = _families(_busy())
    assert _values(found["watchtower_watchdog_last_ping_timestamp_seconds"], "ping") == {("cluster",): NOW}
    assert _values(found["watchtower_watchdog_held"], "ping") == {("cluster",): 0, ("peer",): 1}
    assert found["watchtower_drill_last_success_timestamp_seconds"].samples[0].value == 0
    assert found["watchtower_drill_missed"].samples[0].value == 0


def test_every_metric_is_in_the_reference_and_every_documented_one_exists() -> None:
    """The page of names is a contract in both directions; process metrics are documented as a group."""
    documented = set(re.findall(r"^\| `([a-z_0-9]+)", DOC.read_text(), re.MULTILINE))
    text = _metrics(_busy()).render().decode()
    shown = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    ours = {
        name for name in shown if name.startswith(("watchtower_", "probe_")) and not name.endswith("_created")
    }
    assert documented == ours
