"""The composition root: Settings in, one wired Peer out. The only file that knows every shell.

Builds the parts, hands callables across so that shells never import one another, and runs the peer
until a signal ends it. Decides nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from watchtower.clock import SystemClock
from watchtower.cluster.lease import Lease
from watchtower.cluster.raft import Cluster
from watchtower.cluster.replica import Replica
from watchtower.cluster.thread import RaftThread
from watchtower.config.loader import load
from watchtower.core.ports import Clock, SchedulerPort, Snapshot
from watchtower.core.settings import HistorySettings, Settings
from watchtower.delivery.carrier import ThreadCarrier
from watchtower.delivery.courier import Courier
from watchtower.delivery.watchdog import Watchdog
from watchtower.history.keeper import History
from watchtower.history.off import NoHistory
from watchtower.peer import Parts, Peer
from watchtower.probes.pace.scheduler import Scheduler
from watchtower.probes.permissions import check_permissions
from watchtower.probes.weighing.reference import Reference
from watchtower.probes.weighing.vantage import Vantage
from watchtower.probes.working.workers import Workers
from watchtower.web.cluster import Doors
from watchtower.web.server import WebServer

if TYPE_CHECKING:
    from watchtower.probes.prober import Prober

log = logging.getLogger(__name__)


async def run_peer(
    config_path: Path, peer: str | None, environ: Mapping[str, str], *, keep_history: bool = True
) -> int:
    """Run one peer until SIGTERM or SIGINT; SIGHUP reloads the configuration. Returns the exit code.

    Without `keep_history` no look is kept, whatever the file says. Raises ConfigError when the file is wrong
    or asks for what this process may not do, and ClusterError when this peer cannot start.
    """

    def read() -> Settings:
        read_anew = load(config_path, peer=peer, environ=environ)
        check_permissions(read_anew)
        return read_anew if keep_history else replace(read_anew, history=HistorySettings(is_on=False))

    settings = read()
    running, looking, watchdog = build(settings, read)
    # Modules and settings stay until the end: collecting garbage must not walk through them again and again,
    # which takes a tenth of a second with thousands of services.
    gc.collect()
    gc.freeze()
    reloads: set[asyncio.Task[str]] = set()

    def on_hangup() -> None:
        task = asyncio.create_task(running.reload())
        reloads.add(task)
        task.add_done_callback(on_reloaded)

    def on_reloaded(task: asyncio.Task[str]) -> None:
        reloads.discard(task)
        if not task.cancelled() and task.exception() is not None:
            running.on_fatal(f"a reload failed half-way: {task.exception()!r}")

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, running.stop)
    loop.add_signal_handler(signal.SIGINT, running.stop)
    loop.add_signal_handler(signal.SIGHUP, on_hangup)
    log.info("peer %s of cluster %s, config %s", settings.me, settings.cluster.name, settings.config_hash)
    pings = asyncio.create_task(watchdog.run(), name="watchdog")
    try:
        return await running.run()
    finally:
        pings.cancel()
        await looking.close()


class Looking:
    """Who looks: workers, or the peer itself with a prober that is to be closed after it."""

    def __init__(self, settings: Settings, clock: Clock, peer: Peer, cluster: Cluster) -> None:
        def links() -> tuple[str, ...]:
            return tuple(sorted(name for name, is_up in cluster.status().links.items() if is_up))

        self._prober: Prober | None = None
        self.scheduler: SchedulerPort
        if settings.probe.workers:
            self.scheduler = Workers(
                settings,
                clock,
                peer.on_result,
                first=peer.failing,
                links=links,
                on_unanswered=peer.on_unanswered,
            )
            return
        from watchtower.probes.prober import Prober  # noqa: PLC0415 - its libraries cost memory twice with workers

        self._prober = prober = Prober(clock, settings.me, lambda name: name in links())
        self.scheduler = Scheduler(
            settings,
            prober.probe,
            clock,
            peer.on_result,
            find=prober.find,
            means=prober.means,
            first=peer.failing,
            on_unanswered=peer.on_unanswered,
        )

    async def close(self) -> None:
        """Close what the peer itself looked with."""
        if self._prober is not None:
            await self._prober.close()


def build(settings: Settings, load_again: Callable[[], Settings]) -> tuple[Peer, Looking, Watchdog]:
    """A peer wired from `settings`, not yet started, who looks for it, to be closed after it, and its pings.

    `load_again` reads the configuration file anew for a reload.
    """
    clock = SystemClock()
    peer = Peer(settings, clock)
    boot_id = _new_id()
    replica = Replica()
    raft = RaftThread(settings, clock, replica, _new_id)
    cluster = Cluster(settings, boot_id, raft, replica, on_applied=peer.on_applied, on_fatal=peer.on_fatal)
    looking = Looking(settings, clock, peer, cluster)
    vantage = Vantage(settings, clock.now())
    history = History(settings, clock) if settings.history.is_on else NoHistory()
    lease = Lease(settings.me, settings.cluster.timing)
    courier = Courier(
        settings,
        me=settings.me,
        clock=clock,
        submit=cluster.submit,
        new_id=_new_id,
        carrier=ThreadCarrier(),
        has_lost_office=lease.has_run_out,
    )
    for handler in logging.getLogger().handlers:
        # Whoever logs whatever: what the channels' URLs hold does not leave through a log.
        handler.addFilter(courier.redactor)
    watchdog = Watchdog(clock, peer.snapshot, lambda: courier.paths.breakers)

    def snapshot() -> Snapshot:
        return replace(peer.snapshot(), watchdog=watchdog.stats)

    peer.attach(
        Parts(
            clock=clock,
            boot_id=boot_id,
            new_id=_new_id,
            load=load_again,
            cluster=cluster,
            lease=lease,
            vantage=vantage,
            scheduler=looking.scheduler,
            reference=Reference(settings, clock, vantage.note_reference),
            history=history,
            courier=courier,
            web=WebServer(settings, snapshot, _doors(peer, cluster, looking), history),
        )
    )
    return peer, looking, watchdog


def _doors(peer: Peer, cluster: Cluster, looking: Looking) -> Doors:
    """What people may do to this peer over HTTP."""
    return Doors(
        submit=cluster.submit,
        reload=peer.reload,
        look=looking.scheduler.probe_now,
        transfer=cluster.transfer,
        backup=cluster.backup,
        drain=peer.drain,
        undrain=peer.undrain,
    )


def _new_id() -> str:
    """A random identifier: of a boot, a lease entry or a claim."""
    return secrets.token_hex(8)
