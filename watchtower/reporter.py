"""What this peer says of itself into the log: found, join, here again, report (protocol.md, "Reporter").

Level-triggered: one look at applied state gives the one command that is missing, if any. It never
decides about services, and says nothing for a peer that is no member.
"""

from __future__ import annotations

import logging

from msgspec.structs import replace

from watchtower import __version__
from watchtower.core.applying import membership
from watchtower.core.commands import Command, Found, Join, Leaving
from watchtower.core.model import COMMAND_VERSION, Instant
from watchtower.core.ports import ClusterPort, CourierPort, VantagePort
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError

log = logging.getLogger(__name__)


class Reporter:
    """The voice of one process, whose boot id is `boot_id`."""

    def __init__(
        self, cluster: ClusterPort, vantage: VantagePort, courier: CourierPort, boot_id: str
    ) -> None:
        self._cluster = cluster
        self._vantage = vantage
        self._courier = courier
        self._boot_id = boot_id
        self._mismatch = ""

    def next(self, settings: Settings, now: Instant, *, is_aside: bool) -> Command | None:
        """What to propose now. `is_aside`: this peer has stepped aside and neither joins nor comes back.

        Raises ClusterError when the ledger is that of another cluster.
        """
        state, cluster = self._cluster.state, settings.cluster
        if not state.cluster:
            return self._founding(settings, now)
        if reason := membership.foreign_ledger(state, cluster):
            raise ClusterError(reason)
        self._note(membership.mismatch(state, cluster))
        if settings.me not in state.members:
            return None
        row = state.row(settings.me)
        if row.boot_id != self._boot_id:
            return None if is_aside else self._join(now)
        if row.leaving_until_wall and not is_aside:
            return Leaving(for_s=0.0, at_wall=now.wall)
        report = self._vantage.report(state, now, self._boot_id, self._courier.blocked())
        if report is None:
            return None
        return replace(report, checkpoint=self._cluster.checkpoint)

    def _founding(self, settings: Settings, now: Instant) -> Found | None:
        """The first entry of all. Without all peers in sight nobody leads, unless an operator said so."""
        if not self._cluster.status().has_quorum:
            return None
        names = settings.cluster.peer_names
        return Found(cluster=settings.cluster.name, members=names, at_wall=now.wall)

    def _join(self, now: Instant) -> Join:
        return Join(
            boot_id=self._boot_id,
            version=__version__,
            command_version=COMMAND_VERSION,
            at_wall=now.wall,
        )

    def _note(self, mismatch: str) -> None:
        """Say once that file and ledger differ about who the peers are, and once that they agree again."""
        if mismatch != self._mismatch:
            log.warning("%s", mismatch or "the file and the cluster name the same peers again")
        self._mismatch = mismatch
