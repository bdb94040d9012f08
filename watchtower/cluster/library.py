"""pysyncobj as we use it: without its sockets, poller, pickles, fork and files, behind a typed face.

`mend` puts our parts into pysyncobj's modules; `Consensus` is one SyncObj with our journal, our snapshots
and the guard as its transport. Its private names are in inside.py. Nothing here decides anything.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pysyncobj.syncobj as syncobj_module
from pysyncobj import FAIL_REASON, SyncObj, SyncObjConf
from pysyncobj.monotonic import monotonic
from pysyncobj.node import Node

from watchtower.cluster.exchange import SnapshotExchange
from watchtower.cluster.frames import BATCH_BYTES_MAX, CHUNK_BYTES_MAX
from watchtower.cluster.inside import Inside, check_version
from watchtower.cluster.journal import Journal
from watchtower.cluster.replica import Replica
from watchtower.cluster.transport import GuardTransport
from watchtower.core.commands import Answer
from watchtower.core.settings import Timing
from watchtower.errors import ClusterError

_QUEUE_MAX: Final = 10_000
_COMPACT_ENTRIES: Final = 5_000
_COMPACT_EVERY_S: Final = 300


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

    def poll(self, _timeout: float) -> None:
        """Return at once."""


class Member(Node):  # type: ignore[misc] # pysyncobj is untyped
    """A peer as pysyncobj knows it, by name. Sets of them have the same order in every process."""

    def __hash__(self) -> int:
        return zlib.crc32(str(self.id).encode())


def mend() -> None:
    """Check the version and put our parts into pysyncobj's modules. Doing it again changes nothing.

    Raises ClusterError when another version is installed.
    """
    check_version()
    syncobj_module.pickle = _PlainCommands
    syncobj_module.createPoller = lambda _kind: _NoPoller()
    syncobj_module.PIPE_NOTIFIER_ENABLED = False
    # What the configuration names as journal and serializer already is one.
    syncobj_module.createJournal = lambda journal: journal
    syncobj_module.Serializer = lambda _file, _batch, _fork, serializer, *_: serializer


def use(*, now_s: Callable[[], float] = monotonic, dice: Any = random) -> None:
    """Let every SyncObj of this process run on another clock and other dice: the simulation does."""
    syncobj_module.monotonicTime = now_s
    syncobj_module.random = dice


class Consensus:
    """One SyncObj. Built in the thread that ticks it; every method belongs to that thread.

    `send(peer, message)` puts a message on the wire, False when it cannot.
    """

    def __init__(
        self,
        *,
        me: str,
        partners: tuple[str, ...],
        replica: Replica,
        journal: Journal,
        disk_id: str,
        exchange: SnapshotExchange,
        timing: Timing,
        send: Callable[[str, dict[str, Any]], bool],
    ) -> None:
        mend()
        self._replica = replica
        self._journal = journal
        guard = partial(
            GuardTransport,
            send=send,
            is_halted=lambda: bool(replica.halted),
            applied=lambda: replica.state,
            journal=journal,
            disk_id=disk_id,
            stickiness_s=timing.raft_min_s,
            silence_s=timing.raft_max_s,
        )
        self._object = SyncObj(
            Member(me),
            [Member(name) for name in partners],
            _configuration(journal, exchange, timing),
            consumers=[replica],
            nodeClass=Member,
            transportClass=guard,
        )
        self.inside = Inside(self._object)
        self.inside.never_look_for_files()
        self.guard: GuardTransport = self.inside.transport
        self.guard.attach(self.inside)

    def tick(self) -> None:
        """One pass: elections, commits, applying, sending. Raises OSError when the disk takes nothing."""
        committed = self.inside.commit_index
        self.guard.before_tick()
        try:
            self._object.doTick(0)
        except OSError:
            # Committed in memory only: the entries are not ours to count before they are on the disk.
            self.inside.commit_index = max(committed, self.inside.applied_index)
            raise

    def propose(self, text: str, done: Callable[[Answer | None], None]) -> None:
        """Queue one command. `done` gets the answer once it is applied here, None when its fate is unknown.

        `done` may never be called (a snapshot can jump over the entry): the caller keeps its own time.
        """

        def answered(answer: Answer | None, reason: int) -> None:
            done(answer if reason == FAIL_REASON.SUCCESS else None)

        self._replica.apply_entry(text, callback=answered)

    def hand_over(self, to: str = "") -> str:
        """As leader, ask `to`, or the follower that is furthest along, to take over. "" or why not."""
        if self.inside.role != "leader":
            return "it is not the leader"
        partners = self.inside.partners
        if to and to not in partners:
            return f"{to} is no other member"
        reasons: list[int] = []
        self._object.transferLeadership(partners.get(to), lambda _, reason: reasons.append(reason))
        return "" if reasons == [FAIL_REASON.SUCCESS] else "nobody is linked and caught up"

    def compact(self) -> None:
        """Write a snapshot and shorten the log at the next tick."""
        self._object.forceLogCompaction()

    def set_members(self, names: tuple[str, ...], me: str) -> None:
        """Count exactly these as the cluster from now on."""
        present = self.inside.partners
        for name in sorted(set(names) - set(present) - {me}):
            self.inside.change_partner("add", name)
        for name in sorted(set(present) - set(names)):
            self.inside.change_partner("rem", name)

    def close(self) -> None:
        """Let go of the object; the journal belongs to whoever opened it."""
        self._object.destroy()


def _configuration(journal: Journal, exchange: SnapshotExchange, timing: Timing) -> SyncObjConf:
    """Settings of pysyncobj. Elections are slow on purpose: the lease dominates every take-over."""
    # A leader that cannot reach a majority must step down before the others may elect another one.
    if timing.fallback_s > timing.raft_min_s:
        raise ClusterError("the leader's fallback must not be longer than the shortest election timeout")
    return SyncObjConf(
        autoTick=False,
        appendEntriesUseBatch=False,
        commandsWaitLeader=False,
        commandsQueueSize=_QUEUE_MAX,
        appendEntriesPeriod=timing.heartbeat_s,
        raftMinTimeout=timing.raft_min_s,
        raftMaxTimeout=timing.raft_max_s,
        leaderFallbackTimeout=timing.fallback_s,
        connectionTimeout=timing.raft_max_s,
        appendEntriesBatchSizeBytes=BATCH_BYTES_MAX,
        logCompactionMinEntries=_COMPACT_ENTRIES,
        logCompactionMinTime=_COMPACT_EVERY_S,
        logCompactionBatchSize=CHUNK_BYTES_MAX,
        dynamicMembershipChange=False,
        useFork=False,
        journalFile=journal,
        fullDumpFile="snapshot",  # only has to be something: never_look_for_files
        serializer=exchange,
        deserializer=exchange.deserialize,
    )
