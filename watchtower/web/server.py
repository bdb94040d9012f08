"""The HTTP server of one peer: builds the handlers, listens, and turns what is applied into events.

`WebServer` is what app.py holds. It reads through `snapshot`, acts through `doors`, and is told of
applied states and standings; it decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from watchtower.clock import to_beat
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import State
from watchtower.core.ports import HistoryReader, Snapshot
from watchtower.core.settings import Settings
from watchtower.core.view import Standing
from watchtower.errors import ClusterError
from watchtower.web.access import Access
from watchtower.web.act_links import ActLinks
from watchtower.web.acting_pages import ActingPages
from watchtower.web.acts import ActsApi
from watchtower.web.answers import BODY_BYTES_MAX, Counters, cluster_headers, outermost
from watchtower.web.api import Api, Picture
from watchtower.web.breakers import BreakersApi
from watchtower.web.cluster import ClusterApi, Doors
from watchtower.web.desk import Desk
from watchtower.web.documents import ineligibility
from watchtower.web.events import cluster_changes, state_changes, verdict_changes
from watchtower.web.frame import Frame
from watchtower.web.health import Health
from watchtower.web.heartbeats import Heartbeats
from watchtower.web.history import HistoryApi
from watchtower.web.metrics import Metrics
from watchtower.web.needs_map import MapApi
from watchtower.web.pages import Pages
from watchtower.web.routes import Route, register
from watchtower.web.stream import EventStream, Ring

log = logging.getLogger(__name__)

PULSE_S: Final = 1.0
SHUTDOWN_S: Final = 2.0


class WebServer:
    """Everything a peer serves over HTTP. Runs on the loop that calls `start`."""

    def __init__(
        self,
        settings: Settings,
        snapshot: Callable[[], Snapshot],
        doors: Doors,
        history: HistoryReader,
    ) -> None:
        self._host = settings.http.listen_host
        self._wanted_port = settings.http.listen_port
        self._base_path = settings.http.base_path.rstrip("/")
        self._snapshot = snapshot
        self._ring = Ring()
        self._access = Access(settings, lambda: snapshot().now.wall)
        self._counters = Counters()
        picture = Picture(snapshot)
        stream = EventStream(self._ring)
        self._metrics = Metrics(snapshot, stream, self._counters)
        frame, desk = Frame(picture, self._access, self._base_path), Desk(snapshot, doors.submit)
        self._pages = Pages(snapshot, frame, self._access, history)
        self._health = Health(snapshot)
        self._parts = (
            self._health,
            Heartbeats(snapshot, doors.submit, self._access),
            Api(snapshot, picture, doors),
            ActsApi(snapshot, desk),
            BreakersApi(snapshot),
            MapApi(snapshot),
            HistoryApi(snapshot, history),
            ClusterApi(snapshot, doors),
            stream,
            self._metrics,
            self._pages,
            ActingPages(snapshot, frame, desk),
            ActLinks(snapshot, frame, desk),
        )
        self._state: State | None = None
        self._standings: Mapping[str, Standing] = {}
        self._runner: web.AppRunner | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def port(self) -> int:
        """The port in use, which the system chose when 0 was configured; 0 while not started."""
        addresses = self._runner.addresses if self._runner else []
        return int(addresses[0][1]) if addresses else 0

    def routes(self) -> list[Route]:
        """Every path there is, below the base path."""
        return [route for part in self._parts for route in part.routes()]

    async def start(self) -> None:
        """Listen. Raises ClusterError when the address cannot be had."""
        app = web.Application(
            middlewares=[outermost(self._counters, self._pages.denied)],
            client_max_size=BODY_BYTES_MAX,
        )
        app.on_response_prepare.append(cluster_headers(self._snapshot))
        register(app, self._base_path, self.routes(), self._access)
        if self._base_path:
            # Orchestrators and the other peers ask this very process, not the proxy that adds the path.
            register(app, "", self._health.routes(), self._access)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=75, handle_signals=False
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
        except OSError as fault:
            await runner.cleanup()
            raise ClusterError(
                f"cannot listen for HTTP on {self._host}:{self._wanted_port}: {fault.strerror or fault}; "
                "set http.listen to a free address, or stop what holds it"
            ) from fault
        self._runner = runner
        snap = self._snapshot()
        self._metrics.latencies.started_wall = snap.now.wall
        if self._state is None:
            self._ring.start(snap.cluster.applied_index)
            self._state = snap.state
        self._standings = self._standings or snap.view.standings
        self._pulse = asyncio.create_task(self._watch_cluster())
        log.info("HTTP listens on %s:%d.", self._host, self.port)

    async def stop(self) -> None:
        """Let listeners go, finish what is under way, close the port."""
        self._stopping.set()
        self._ring.close()
        if self._pulse is not None:
            await self._pulse
        if self._runner is not None:
            await self._runner.cleanup()

    def on_state(self, state: State, index: int) -> None:
        """Take an applied state: compare it with the one before and tell what changed."""
        before, self._state = self._state, state
        if before is None:
            self._ring.start(index)
            return
        self._metrics.latencies.observe(before, state)
        self._ring.publish(index, state_changes(before, state))

    def on_standings(self, standings: Mapping[str, Standing]) -> None:
        """Take the verdicts of the latest pass and tell which are new."""
        before, self._standings = self._standings, standings
        changes = verdict_changes(before, standings)
        if changes:
            self._ring.publish(self._ring.index, changes)

    def reload(self, settings: Settings) -> None:
        """Take tokens, ping key and anonymous reading; a new address or base path needs a restart."""
        self._access.reload(settings)

    async def _watch_cluster(self) -> None:
        """Once a second: what no log entry tells, such as a lost quorum, becomes an event too."""
        snap = self._snapshot()
        cluster, reasons = snap.cluster, ineligibility(snap)
        while not self._stopping.is_set():
            try:
                cluster, reasons = self._tell_cluster(cluster, reasons)
            except Exception:  # the root of a task that must outlive one bad look
                self._counters.failed_total += 1
                log.exception("A look at the cluster for the event stream failed.")
            try:
                async with asyncio.timeout(to_beat(asyncio.get_running_loop().time(), PULSE_S)):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    def _tell_cluster(
        self, cluster: ClusterStatus, reasons: dict[str, str]
    ) -> tuple[ClusterStatus, dict[str, str]]:
        snap = self._snapshot()
        now = ineligibility(snap)
        changes = cluster_changes(cluster, snap.cluster, reasons, now)
        if changes:
            self._ring.publish(snap.cluster.applied_index, changes)
        return snap.cluster, now
