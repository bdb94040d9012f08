"""The private names of pysyncobj that we rely on, each behind a plain one of ours; no other file uses any.

What is listed here is checked at start, together with the pinned version, so that another pysyncobj
says so instead of misbehaving. Reads and writes only; every decision is the guard's or pysyncobj's.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import pysyncobj.syncobj as syncobj_module
from pysyncobj import SyncObj
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from watchtower.cluster.prevote import Tail
from watchtower.errors import ClusterError

PINNED: Final = "0.3.17"
Role = Literal["follower", "candidate", "leader"]
_ROLES: Final[tuple[Role, ...]] = ("follower", "candidate", "leader")
_ON_THE_OBJECT: Final = (
    "connectedNodes",
    "doChangeCluster",
    "forceLogCompaction",
    "generateRaftTimeout",
    "lastResponseTime",
    "loadDumpFile",
    "needLoadDumpFile",
    "onLeaderChanged",
    "otherNodes",
    "raftCommitIndex",
    "raftElectionDeadline",
    "raftLeader",
    "raftLog",
    "raftMatchIndex",
    "raftState",
    "serializer",
    "setCurrentTerm",
    "setState",
    "transferInProgress",
    "transport",
)
_IN_THE_MODULE: Final = (
    "PIPE_NOTIFIER_ENABLED",
    "Serializer",
    "createJournal",
    "createPoller",
    "monotonicTime",
    "pickle",
    "random",
)


def check_version() -> None:
    """Raise ClusterError when this is not the pysyncobj that we know inside out."""
    if VERSION != PINNED:
        raise ClusterError(
            f"pysyncobj {VERSION} is installed, watchtower works with {PINNED} only: "
            f"run `pip install pysyncobj=={PINNED}`"
        )
    missing = [name for name in _IN_THE_MODULE if not hasattr(syncobj_module, name)]
    if missing:
        raise ClusterError(f"this pysyncobj lacks {', '.join(missing)}: reinstall pysyncobj=={PINNED}")


def now_s() -> float:
    """The clock that pysyncobj's own timers run on."""
    return float(syncobj_module.monotonicTime())


class Inside:
    """One SyncObj from within. Raises ClusterError when it lacks a name that we rely on."""

    def __init__(self, syncobj: SyncObj) -> None:
        self._object = syncobj
        missing = [name for name in _ON_THE_OBJECT if not hasattr(syncobj, f"_SyncObj__{name}")]
        if missing:
            raise ClusterError(f"this pysyncobj lacks {', '.join(missing)}: reinstall pysyncobj=={PINNED}")

    def _get(self, name: str) -> Any:
        return getattr(self._object, f"_SyncObj__{name}")

    def _set(self, name: str, value: object) -> None:
        setattr(self._object, f"_SyncObj__{name}", value)

    # ---- the log and the terms

    @property
    def log(self) -> Any:
        """The journal: a sequence of (command, index, term)."""
        return self._get("raftLog")

    @property
    def tail(self) -> Tail:
        """Term and index of the last entry."""
        _, index, term = self.log[-1]
        return Tail(term=term, index=index)

    @property
    def term(self) -> int:
        """Raft's current term."""
        return int(self._object.raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        """Index of the last entry known to be committed."""
        return int(self._object.raftCommitIndex)

    @commit_index.setter
    def commit_index(self, index: int) -> None:
        self._set("raftCommitIndex", index)

    @property
    def applied_index(self) -> int:
        """Index of the last entry in the replica's state."""
        return int(self._object.raftLastApplied)

    def adopt_term(self, term: int, voted_for: str | None) -> None:
        """Go to `term` as a follower of nobody yet, having voted for `voted_for` in it."""
        self._get("setCurrentTerm")(term, voted_for)
        self._get("setState")(0)
        self._set("raftLeader", None)

    # ---- roles and elections

    @property
    def role(self) -> Role:
        """A hint only: two peers may both believe to be leader."""
        return _ROLES[int(self._get("raftState"))]

    @property
    def leader(self) -> str:
        """The leader this peer last heard of; "" when it knows none."""
        node = self._get("raftLeader")
        return str(node.id) if node is not None else ""

    @property
    def is_election_due(self) -> bool:
        """True when pysyncobj would begin an election at its next tick."""
        return bool(self._get("raftElectionDeadline") < now_s())

    def call_election(self) -> None:
        """Begin an election at the next tick."""
        self._set("raftElectionDeadline", 0)

    def put_off_election(self) -> None:
        """Wait for a leader for one more election timeout."""
        self._set("raftElectionDeadline", now_s() + self._get("generateRaftTimeout")())

    @property
    def is_taking_over(self) -> bool:
        """True when the leader has asked this peer to take over."""
        return bool(self._get("transferInProgress"))

    def answered_within(self, seconds: float) -> int:
        """How many partners have answered this leader within the last `seconds`."""
        since = now_s() - seconds
        last = self._get("lastResponseTime")
        return sum(last.get(node, 0.0) >= since for node in self._get("otherNodes"))

    def distrust(self, peer: str) -> None:
        """What `peer` acknowledged does not count any more: it has lost its disk."""
        for node, index in self._get("raftMatchIndex").items():
            if str(node.id) == peer and index:
                self._get("raftMatchIndex")[node] = 0

    def give_up_replies(self) -> None:
        """Whoever waits for the leader's word on a proposal hears that its fate is not known."""
        self._get("onLeaderChanged")()

    # ---- partners

    @property
    def partners(self) -> dict[str, Node]:
        """The other members by name, sorted."""
        return {str(node.id): node for node in sorted(self._get("otherNodes"), key=lambda node: str(node.id))}

    def change_partner(self, change: Literal["add", "rem"], name: str) -> None:
        """Add or remove one member of the consensus."""
        if change == "rem":
            self._get("connectedNodes").discard(self.partners[name])
        self._get("doChangeCluster")((change, name))

    # ---- snapshots

    def load_snapshot(self) -> None:
        """Put the newest snapshot into the replica, as at a start."""
        self._get("loadDumpFile")(clearJournal=False)

    def never_look_for_files(self) -> None:
        """Keep pysyncobj from looking for a dump file of its own."""
        self._set("needLoadDumpFile", False)

    def forget_transfers(self, node: Node) -> None:
        """A snapshot on its way to `node` starts again from its beginning."""
        self._get("serializer").cancelTransmisstion(node)

    @property
    def transport(self) -> Any:
        """What the transport class made."""
        return self._get("transport")
