"""What `/api/v1/cluster` says: members by the ledger, peers by the file, and how this peer's own part is.

Pure functions over one Snapshot. It also judges whether a step of a resize is safe to propose, by what
this peer sees just now; whether it is allowed at all, the ledger decides.
"""

from __future__ import annotations

from collections.abc import Collection

from watchtower.core.judging.eligibility import FRESH_S
from watchtower.core.model import COMMAND_VERSION
from watchtower.core.ports import Snapshot
from watchtower.core.settings import PeerSettings
from watchtower.web.shapes import CheckpointDoc, ClusterDoc, MemberDoc
from watchtower.web.times import moment


def cluster_doc(snap: Snapshot) -> ClusterDoc:
    """Who counts, as this peer has it, and how its own disk and log are."""
    cluster, state = snap.cluster, snap.state
    return ClusterDoc(
        cluster=snap.settings.cluster.name,
        peer=snap.settings.me,
        role=cluster.role,
        leader=cluster.leader or None,
        quorum=cluster.has_quorum,
        term=cluster.term,
        index=cluster.applied_index,
        entries=state.entries,
        members=list(state.members),
        members_gen=state.members_gen,
        counted=list(cluster.members),
        file_peers=list(snap.settings.cluster.peer_names),
        mismatch=snap.mismatch,
        gate=state.gate,
        command_version=COMMAND_VERSION,
        ready=not snap.ready_reason,
        ready_reason=snap.ready_reason,
        quarantine=cluster.quarantine,
        trouble=cluster.trouble,
        findings=list(cluster.findings),
        drained_until=moment(snap.drained_until_wall),
        waits_for_start=list(snap.waits_for_start),
        log_bytes=cluster.log_bytes,
        state_bytes=cluster.state_bytes,
        snapshot_s=round(cluster.snapshot_s, 4),
        peers=[_member_doc(snap, name) for name in _all_names(snap)],
    )


def _all_names(snap: Snapshot) -> list[str]:
    """Peers of the file first, then members that the file does not know."""
    named = snap.settings.cluster.peer_names
    return [*named, *(name for name in snap.state.members if name not in named)]


def _member_doc(snap: Snapshot, name: str) -> MemberDoc:
    row = snap.state.row(name)
    peer = _configured(snap, name)
    mark = row.checkpoint
    return MemberDoc(
        name=name,
        http=peer.http_url.rstrip("/") + snap.settings.http.base_path.rstrip("/") if peer else "",
        member=name in snap.state.members,
        witness=peer.witness if peer else False,
        linked=None if name == snap.settings.me else snap.cluster.links.get(name, False),
        live=_is_live(snap, name),
        confirmed=_has_confirmed(snap, name),
        version=row.version,
        command_version=row.command_version,
        leaving_until=moment(row.leaving_until_wall),
        checkpoint=CheckpointDoc(entries=mark.entries, hash=mark.hash) if mark else None,
    )


def _configured(snap: Snapshot, name: str) -> PeerSettings | None:
    names = snap.settings.cluster.peer_names
    return snap.settings.cluster.peer(name) if name in names else None


def _has_confirmed(snap: Snapshot, name: str) -> bool:
    """True when the peer has said that it runs with the members of today."""
    return name in snap.state.members and snap.state.row(name).members_gen == snap.state.members_gen


def _is_live(snap: Snapshot, name: str) -> bool:
    """True when the peer has a session and has reported through the log of late."""
    heard_boot = snap.view.heard_boot.get(name, 0.0)
    return bool(snap.state.row(name).boot_id) and heard_boot > 0 and snap.now.boot - heard_boot <= FRESH_S


def resize_risk(snap: Snapshot, wanted: Collection[str]) -> str:
    """Why it is not wise to make `wanted` the members just now; "" when it is."""
    now = set(snap.state.members)
    added, removed = sorted(set(wanted) - now), sorted(now - set(wanted))
    unknown = [name for name in added if name not in snap.settings.cluster.peer_names]
    if unknown:
        return f"the file of peer {snap.settings.me} does not name {', '.join(unknown)}: reload it first"
    alive = [name for name in wanted if name in added or name == snap.settings.me or _is_live(snap, name)]
    needed = len(wanted) // 2 + 1
    if len(alive) >= needed:
        return ""
    dead = ", ".join(sorted(set(wanted) - set(alive)))
    change = f"without {', '.join(removed)}" if removed else f"with {', '.join(added)}"
    return (
        f"{change} only {len(alive)} of {len(wanted)} members would be alive, and {needed} are needed: "
        f"start {dead} or remove it first"
    )
