"""Is this peer ready to serve? One sentence for people when it is not, the most basic reason first.

Readiness is shown and asked for by load balancers and the other peers; nothing of the protocol hangs on it.
"""

from __future__ import annotations

from watchtower.core.applying.membership import outsider
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import State
from watchtower.core.settings import Settings


def unready(state: State, status: ClusterStatus, settings: Settings, *, session: int, aside: str) -> str:
    """Why this peer does not do its part of the work; "" when it does.

    `session` is this process's own, 0 before it joined; `aside` says why it has stepped aside, if it has.
    """
    reasons = (
        aside,
        f"the disk: {status.trouble}" if status.trouble else "",
        f"must not vote yet: {status.quarantine}" if status.quarantine else "",
        _founding(status) if not state.cluster else "",
        outsider(state, settings.cluster, settings.me),
        "" if status.has_quorum else "no quorum",
        "" if session else "joining",
    )
    return next(filter(None, reasons), "")


def _founding(status: ClusterStatus) -> str:
    missing = ", ".join(sorted(peer for peer, is_up in status.links.items() if not is_up))
    return f"waiting for first contact with all peers, missing {missing}" if missing else "founding"
