"""What a peer knows of Raft just now: shown to people and machines, never decided on.

Facts of one process, never replicated; whoever reads them holds them for as true as they are fresh.
"""

from __future__ import annotations

from msgspec import Struct


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """What this peer knows of Raft: for the API, metrics and the blind notice; never for decisions.

    `trouble` is what is wrong with the disk just now, `quarantine` why this peer must not vote yet ("" when
    it may), `findings` what the start found on disk. `members` is the peer set Raft counts with, this peer
    among them. `snapshot_s` is how long the latest snapshot held everything up.
    """

    role: str = "follower"
    leader: str = ""
    term: int = 0
    commit_index: int = 0
    applied_index: int = 0
    links: dict[str, bool] = {}
    tick_gap_s: float = 0.0
    tick_errors: int = 0
    rejected_connections: int = 0
    last_commit_age_s: float = 0.0
    had_quorum: bool = False
    trouble: str = ""
    quarantine: str = ""
    findings: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    log_bytes: int = 0
    state_bytes: int = 0
    snapshot_s: float = 0.0
    stale_acks: int = 0

    @property
    def has_quorum(self) -> bool:
        """True when a leader is known and this peer is linked to enough peers for a majority."""
        linked = 1 + sum(self.links.values())
        return bool(self.leader) and linked * 2 > len(self.links) + 1
