"""Is this peer alive, ready, the leader, the alerter, in a quorum: one status code each.

For orchestrators and load balancers, open to everybody. Alive means that the program turns; it says
nothing about the cluster, or a lost quorum would have peers restarted by the very thing that should
wait. Format: draft-inadarei-api-health-check-06.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from watchtower.core.ports import Snapshot
from watchtower.web.answers import json_answer
from watchtower.web.routes import Route

TICK_GAP_MAX_S: Final = 30.0
LOOP_LAG_WARN_S: Final = 0.5


class Health:
    """Handlers of the health paths."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def routes(self) -> list[Route]:
        """The five paths."""
        return [
            Route("GET", "/livez", None, self.livez),
            Route("GET", "/readyz", None, self.readyz),
            Route("GET", "/leader", None, self.leader),
            Route("GET", "/alerter", None, self.alerter),
            Route("GET", "/quorum", None, self.quorum),
        ]

    async def livez(self, _request: web.Request) -> web.Response:
        """200 while the program turns; 503 when its Raft thread has stood still."""
        snap = self._snapshot()
        stuck = snap.cluster.tick_gap_s > TICK_GAP_MAX_S
        raft = _check("fail" if stuck else "pass", "s", snap.cluster.tick_gap_s)
        slow = snap.loop_lag_s > LOOP_LAG_WARN_S
        loop = _check("warn" if slow else "pass", "s", snap.loop_lag_s)
        reason = "the Raft thread stands still" if stuck else "the app loop is slow" if slow else ""
        return _health(
            snap,
            "fail" if stuck else "warn" if slow else "pass",
            reason,
            {"raft:tick_gap": [raft], "app:loop_lag": [loop]},
        )

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 when this peer does its part of the work; 503 with the reason when not."""
        snap = self._snapshot()
        quorum = _check("pass" if snap.cluster.has_quorum else "warn", "", snap.cluster.leader)
        status = "fail" if snap.ready_reason else "warn" if snap.doubt else "pass"
        checks: dict[str, object] = {
            "cluster:quorum": [quorum],
            "cluster:members": [_wanting("warn", snap.mismatch)],
            "raft:quarantine": [_wanting("fail", snap.cluster.quarantine)],
            "disk:trouble": [_wanting("fail", snap.cluster.trouble)],
            "vantage:doubt": [_wanting("warn", snap.doubt)],
        }
        return _health(snap, status, snap.ready_reason or snap.doubt, checks)

    async def leader(self, _request: web.Request) -> web.Response:
        """200 only at the Raft leader that has a majority behind it."""
        cluster = self._snapshot().cluster
        return _only_where(cluster.role == "leader" and cluster.has_quorum, "the leader", cluster.leader)

    async def alerter(self, _request: web.Request) -> web.Response:
        """200 only at the peer that holds the alerting lease now."""
        snap = self._snapshot()
        lease = snap.state.lease
        return _only_where(snap.is_alerter, "the alerter", "" if lease.released else lease.holder)

    async def quorum(self, _request: web.Request) -> web.Response:
        """200 only at a peer that is linked to a majority with a leader."""
        cluster = self._snapshot().cluster
        return _only_where(cluster.has_quorum, "in a quorum", "")


def _check(status: str, unit: str, value: float | str) -> dict[str, object]:
    shown = round(value, 3) if isinstance(value, float) else value
    return {"status": status, "observedValue": shown, **({"observedUnit": unit} if unit else {})}


def _wanting(status: str, reason: str) -> dict[str, object]:
    """A check that passes without a reason against it."""
    return {"status": status, "output": reason} if reason else {"status": "pass"}


def _health(snap: Snapshot, status: str, reason: str, checks: dict[str, object]) -> web.Response:
    doc = {
        "status": status,
        "version": snap.version,
        "serviceId": snap.settings.me,
        "description": f"watchtower peer {snap.settings.me}",
        "output": reason,
        "checks": checks,
    }
    return json_answer(doc, status=503 if status == "fail" else 200, content_type="application/health+json")


def _only_where(holds: bool, what: str, who: str) -> web.Response:  # noqa: FBT001 - the claim itself
    doc = {"status": "pass" if holds else "fail", "output": "" if holds else f"this peer is not {what}"}
    if who:
        doc["holder"] = who
    return json_answer(doc, status=200 if holds else 503, content_type="application/health+json")
