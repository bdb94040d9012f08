"""The one place that touches pysyncobj's inside: pinned version, mended modules, and a typed face.

pysyncobj is used without its sockets, its poller, its pickles and its fork. What we rely on by private
name is listed here and checked at start, so that another version says so instead of misbehaving.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import pysyncobj.journal as journal_module
import pysyncobj.serializer as serializer_module
import pysyncobj.syncobj as syncobj_module
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf
from pysyncobj.node import Node
from pysyncobj.version import VERSION

from watchtower.cluster import snapshot
from watchtower.cluster.frames import BATCH_BYTES_MAX, CHUNK_BYTES_MAX
from watchtower.cluster.replica import Replica
from watchtower.core.commands import Answer
from watchtower.errors import ClusterError

PINNED: Final = "0.3.17"
RAFT_MIN_S: Final = 1.0
_RELIED_ON: Final = (
    "raftLog",
    "raftState",
    "raftElectionDeadline",
    "serializer",
    "transport",
    "generateRaftTimeout",
)
_ROLES: Final = ("follower", "candidate", "leader")


class _PlainCommands:
    """Stands in for pysyncobj's pickle: the one replicated method has one argument, a text.

    A command in the log is that text in UTF-8, nothing is ever unpickled, and `loads` never raises,
    because an exception while applying would stop every peer for good.
    """

    @staticmethod
    def dumps(command: tuple[int, tuple[str]]) -> bytes:
        method, (text,) = command
        if method != 0:
            raise TypeError("there is exactly one replicated method")
        return text.encode()

    @staticmethod
    def loads(raw: bytes) -> tuple[int, tuple[str]]:
        return 0, (raw.decode("utf-8", "replace"),)


class _NoPoller:
    """pysyncobj never waits for anything: our own loop does."""

    def subscribe(self, *_: Any) -> None:
        """Nothing to watch."""

    def unsubscribe(self, *_: Any) -> None:
        """Nothing was watched."""

    def poll(self, _timeout: float) -> None:
        """Return at once."""


class _Meta:
    """Term, vote and commit index beside the journal: JSON, on disk before any message tells of them.

    Stands in for pysyncobj's MetaStorer (a pickle without fsync). Files are checked by journal.py
    before they are read here, so a missing one is a new one.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def getMeta(self) -> dict[str, Any]:  # noqa: N802 - pysyncobj calls it so
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            return {}

    def storeMeta(self, meta: dict[str, Any]) -> None:  # noqa: N802 - pysyncobj calls it so
        fresh = self._path.with_suffix(".tmp")
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(meta))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        snapshot.sync_folder(self._path.parent)

    def getPath(self) -> str:  # noqa: N802 - pysyncobj calls it so
        return str(self._path)


def mend() -> None:
    """Check the version and put our parts into pysyncobj's modules. Doing it again changes nothing.

    Raises ClusterError when another version is installed.
    """
    if VERSION != PINNED:
        raise ClusterError(
            f"pysyncobj {VERSION} is installed, watchtower works with {PINNED} only: "
            f"run `pip install pysyncobj=={PINNED}`"
        )
    syncobj_module.pickle = _PlainCommands
    syncobj_module.createPoller = lambda _kind: _NoPoller()
    syncobj_module.PIPE_NOTIFIER_ENABLED = False
    journal_module.MetaStorer = _Meta
    serializer_module.atomicReplace = snapshot.install


class Consensus:
    """One SyncObj, with the few of its private names that we need as plain properties.

    Built in the thread that ticks it; every method belongs to that thread.
    """

    def __init__(
        self,
        *,
        me: str,
        partners: tuple[str, ...],
        replica: Replica,
        journal: Path,
        snapshot_file: snapshot.SnapshotFile,
        transport_class: Callable[..., Any],
    ) -> None:
        mend()
        conf = _configuration(journal, snapshot_file)
        self._replica = replica
        others = [Node(name) for name in partners]
        self._object = SyncObj(
            Node(me), others, conf, consumers=[replica], nodeClass=Node, transportClass=transport_class
        )
        missing = [name for name in _RELIED_ON if not hasattr(self._object, f"_SyncObj__{name}")]
        if missing:
            raise ClusterError(f"this pysyncobj lacks {', '.join(missing)}: reinstall pysyncobj=={PINNED}")
        self.deadline = ElectionDeadline(self._object)

    @property
    def transport(self) -> Any:
        """What `transport_class` made."""
        return self._object._SyncObj__transport  # noqa: SLF001 - listed in _RELIED_ON

    def tick(self) -> None:
        """One pass: elections, commits, applying, sending."""
        self._object.doTick(0)

    def propose(self, text: str, done: Callable[[Answer | None], None]) -> None:
        """Queue one command. `done` gets the answer once it is applied here, None when its fate is unknown.

        `done` may never be called (a snapshot can jump over the entry): the caller keeps its own time.
        """

        def answered(answer: Answer | None, reason: int) -> None:
            done(answer if reason == FAIL_REASON.SUCCESS else None)

        self._replica.apply_entry(text, callback=answered)

    def hand_over(self) -> None:
        """As leader, ask the follower that is furthest along to take over at once; else nothing."""
        if self.role == "leader":
            self._object.transferLeadership()

    def close(self) -> None:
        """Write what is known to be committed, and let go of the files."""
        log = self.log
        log.onOneSecondTimer()
        self._object.destroy()

    @property
    def log(self) -> Any:
        """The journal: a sequence of (command, index, term)."""
        return self._object._SyncObj__raftLog  # noqa: SLF001 - listed in _RELIED_ON

    @property
    def role(self) -> str:
        """`follower`, `candidate` or `leader`: a hint; two peers may both believe to be leader."""
        return _ROLES[self._object._SyncObj__raftState]  # noqa: SLF001 - listed in _RELIED_ON

    @property
    def leader(self) -> str:
        """The leader this peer heard of within an election timeout; "" when there is none."""
        node = self._object._getLeader()  # noqa: SLF001 - pysyncobj has no public way
        if node is None or (self.role != "leader" and self.deadline.is_over):
            return ""
        return str(node.id)

    @property
    def term(self) -> int:
        """Raft's current term."""
        return int(self._object.raftCurrentTerm)

    @property
    def commit_index(self) -> int:
        """Index of the last entry known to be committed."""
        return int(self._object.raftCommitIndex)

    @property
    def applied_index(self) -> int:
        """Index of the last entry in the replica's state."""
        return int(self._object.raftLastApplied)


class ElectionDeadline:
    """When this peer would start an election."""

    def __init__(self, syncobj: SyncObj) -> None:
        self._object = syncobj

    @property
    def is_over(self) -> bool:
        """True when no leader was heard for a whole election timeout."""
        deadline = self._object._SyncObj__raftElectionDeadline  # noqa: SLF001 - listed in _RELIED_ON
        return bool(deadline < syncobj_module.monotonicTime())

    def expire(self) -> None:
        """Start an election at the next tick."""
        self._object._SyncObj__raftElectionDeadline = 0  # noqa: SLF001 - listed in _RELIED_ON

    def renew(self) -> None:
        """Wait for a leader for one more election timeout."""
        timeout_s = self._object._SyncObj__generateRaftTimeout()  # noqa: SLF001 - listed in _RELIED_ON
        self._object._SyncObj__raftElectionDeadline = (  # noqa: SLF001 - listed in _RELIED_ON
            syncobj_module.monotonicTime() + timeout_s
        )


def _configuration(journal: Path, snapshot_file: snapshot.SnapshotFile) -> SyncObjConf:
    """Settings of pysyncobj. Elections are slow on purpose: the lease dominates every take-over."""
    conf = SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=False,
        commandsWaitLeader=False,
        commandsQueueSize=10_000,
        appendEntriesPeriod=0.2,
        raftMinTimeout=RAFT_MIN_S,
        raftMaxTimeout=2.0,
        leaderFallbackTimeout=1.0,
        connectionTimeout=2.0,
        appendEntriesBatchSizeBytes=BATCH_BYTES_MAX,
        logCompactionMinEntries=5000,
        logCompactionMinTime=300,
        logCompactionBatchSize=CHUNK_BYTES_MAX,
        dynamicMembershipChange=False,
        useFork=False,
        journalFile=str(journal),
        fullDumpFile=str(snapshot_file.path),
        serializer=snapshot_file.write,
        deserializer=snapshot_file.read,
    )
    # A leader that cannot reach a majority must step down before the others may elect another one.
    if conf.leaderFallbackTimeout > conf.raftMinTimeout:
        raise ClusterError("leaderFallbackTimeout must not be longer than raftMinTimeout")
    return conf
