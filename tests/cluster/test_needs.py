"""Needs among three real processes: the cause is looked at in time, and told instead of what it took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.cluster_support import Cluster, Target, running, wait_for
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(300)


def said(sink: HttpSink) -> list[tuple[str, str]]:
    """What arrived, in order."""
    return [(item.json["kind"], item.json["incident"]["service"]) for item in sink.received]


def incidents_of(cluster: Cluster, service: str) -> list[Any]:
    """The incidents of a service, as the alerter's API has them."""
    doc = cluster.get(cluster.alerter(), f"/api/v1/incidents?service={service}")
    return list(doc["incidents"]) if doc else []


def test_a_cause_that_is_looked_at_every_five_minutes_is_found_in_time(tmp_path: Path) -> None:
    """The database is next looked at in minutes; the failing shop makes every peer look at it at once.

    So the shop is never told, neither when the database dies nor when it is back. Alone, it is told.
    """
    db, shop = Target(), Target()
    services = (
        f"db: {{url: {db.url}, interval: 5m, timeout: 2s}}\n"
        f"shop: {{url: {shop.url}, interval: 2s, timeout: 1s, needs: db}}\n"
        f"mirror: {{url: {db.url}, interval: 5m, timeout: 2s, needs: db}}"
    )
    with HttpSink() as sink:
        cluster = Cluster(tmp_path, services=services, notify=f"hook: json://127.0.0.1:{sink.port}/")
        with running(cluster):
            for name in ("db", "shop", "mirror"):
                cluster.wait_verdict(name, "up")
            db.close()
            shop.close()
            wait_for(lambda: ("firing", "db") in said(sink), 12, "the cause is told")
            wait_for(lambda: incidents_of(cluster, "shop"), 5, "the shop has an incident of its own")
            cluster.act(cluster.alerter(), "/api/v1/services/mirror/probe")
            wait_for(lambda: incidents_of(cluster, "mirror"), 12, "what nobody was looking at fails as well")
            db.open()
            shop.open()
            cluster.wait_verdict("shop", "up")
            wait_for(lambda: ("resolved", "db") in said(sink), 12, "the end of the cause is told")
            # Nothing but the good look at its cause makes anybody look at this one within minutes.
            cluster.wait_verdict("mirror", "up")
            assert said(sink) == [("firing", "db"), ("resolved", "db")]
            shop.close()
            wait_for(lambda: ("firing", "shop") in said(sink), 12, "the shop fails alone, and is told")
    shop.close()
    db.close()
