"""The metrics of the cluster: the other peers as this one sees them, Raft, its disk, its members.

Part of `/metrics` (metrics.py); docs/reference/metrics.md lists the names. Only facts, no judgement.
"""

from __future__ import annotations

from collections.abc import Iterator

from watchtower.core.model import COMMAND_VERSION
from watchtower.core.ports import Snapshot
from watchtower.web.documents import ineligibility
from watchtower.web.exposition import counter, family, gauge, labels


def peer_families(snap: Snapshot) -> Iterator[str]:
    """The others, as this peer sees them."""
    me = snap.settings.me
    reasons = ineligibility(snap)
    yield family(
        "watchtower_peer_up",
        "gauge",
        "1 when this peer is linked to that peer (itself included).",
        ((labels(peer=peer), peer == me or snap.cluster.links.get(peer, False)) for peer in reasons),
    )
    yield family(
        "watchtower_peer_eligible",
        "gauge",
        "1 when that peer's votes count; else 0 with the reason.",
        ((labels(peer=peer, reason=reason), not reason) for peer, reason in reasons.items()),
    )
    offsets = snap.view.clock_offset_s
    yield family(
        "watchtower_peer_clock_offset_seconds",
        "gauge",
        "That peer's wall clock minus ours.",
        ((labels(peer=peer), round(offsets[peer], 3)) for peer in reasons if peer in offsets),
    )


def raft_families(snap: Snapshot) -> Iterator[str]:
    """What this peer knows of Raft and of its own part."""
    cluster = snap.cluster
    yield gauge("watchtower_has_quorum", "1 when linked to a majority with a leader.", cluster.has_quorum)
    yield gauge("watchtower_is_leader", "1 at the Raft leader with a majority.", _leads(snap))
    yield gauge("watchtower_is_alerter", "1 at the holder of the alerting lease.", snap.is_alerter)
    yield gauge("watchtower_raft_term", "Raft term.", cluster.term)
    yield gauge("watchtower_raft_commit_index", "Raft commit index.", cluster.commit_index)
    yield gauge("watchtower_raft_applied_index", "Last log index applied here.", cluster.applied_index)
    yield gauge(
        "watchtower_raft_tick_gap_seconds", "Longest recent pause of the Raft thread.", cluster.tick_gap_s
    )
    yield counter("watchtower_raft_tick_errors_total", "Errors in the Raft thread.", cluster.tick_errors)
    yield counter(
        "watchtower_raft_rejected_connections_total",
        "Connections to the Raft port that were refused.",
        cluster.rejected_connections,
    )
    yield counter(
        "watchtower_raft_stale_acks_total",
        "Acknowledgements of an older term that were dropped.",
        cluster.stale_acks,
    )
    yield gauge(
        "watchtower_raft_peers_connected", "Peers linked, without this one.", sum(cluster.links.values())
    )
    yield gauge(
        "watchtower_raft_last_commit_age_seconds",
        "How old the latest committed entry known here is.",
        cluster.last_commit_age_s,
    )
    yield from _storage_families(snap)
    yield from _membership_families(snap)


def _storage_families(snap: Snapshot) -> Iterator[str]:
    """What Raft keeps on this peer's disk, and whether it may count on it."""
    cluster = snap.cluster
    yield gauge("watchtower_raft_log_bytes", "Length of the journal.", cluster.log_bytes)
    yield gauge(
        "watchtower_raft_state_bytes", "Length of the latest snapshot, 0 before one.", cluster.state_bytes
    )
    yield gauge(
        "watchtower_raft_snapshot_seconds",
        "How long the latest snapshot held this peer up.",
        cluster.snapshot_s,
    )
    yield gauge(
        "watchtower_disk_trouble",
        "1 while the disk takes nothing and this peer stands back.",
        bool(cluster.trouble),
    )
    yield gauge(
        "watchtower_quarantined",
        "1 while this peer must not vote because it may have forgotten what it promised.",
        bool(cluster.quarantine),
    )


def _membership_families(snap: Snapshot) -> Iterator[str]:
    """Who counts, and in which version entries are written."""
    yield gauge("watchtower_members", "Members of the cluster by the ledger.", len(snap.state.members))
    yield family(
        "watchtower_command_version",
        "gauge",
        "Command version: the gate that is in force, and what this peer knows.",
        [(labels(kind="gate"), snap.state.gate), (labels(kind="own"), COMMAND_VERSION)],
    )


def _leads(snap: Snapshot) -> bool:
    return snap.cluster.role == "leader" and snap.cluster.has_quorum
