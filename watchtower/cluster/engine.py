"""One peer's Raft without thread, socket, clock of its own or sleep: whoever owns it ticks it.

The real thread and the simulation drive the very same object. It ties replica, journal, snapshots and the
guarded SyncObj together, follows the members that the ledger names, steps back while the disk takes
nothing, and says how it is. A tick that fails is counted and logged; a halted replica is never ticked again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from watchtower.cluster.exchange import SnapshotExchange
from watchtower.cluster.frames import Message
from watchtower.cluster.inside import now_s
from watchtower.cluster.library import Consensus
from watchtower.cluster.matching import changes_members, term_at
from watchtower.cluster.prevote import Tail
from watchtower.cluster.replica import Replica, after
from watchtower.cluster.storage import EMPTY, WITHOUT_OTHERS, Storage
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.commands import Answer, NewerVersion
from watchtower.core.ports import Clock
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError

_log = logging.getLogger(__name__)

LOG_BYTES_MAX: Final = 6 * 2**20
"""A longer journal is compacted: one batch must always hold the whole log (frames.BATCH_BYTES_MAX)."""
_COMPACT_AGAIN_S: Final = 10.0
_HEAL_EVERY_S: Final = 0.5
_ERRORS_PER_LINE: Final = 100
_HAND_OVER_S: Final = 0.5
"""So long a leader that hands over takes no proposals: the successor's log must stay the most complete."""

Done = Callable[[Answer | None], None]
Send = Callable[[str, Message], bool]


class Engine:
    """Raft of peer `settings.me`. Everything belongs to the thread that ticks it, `status` to everybody.

    `send(peer, message)` puts a message on the wire. Raises ClusterError when the files are of another
    cluster or cannot be replayed.
    """

    def __init__(
        self, settings: Settings, storage: Storage, replica: Replica, clock: Clock, send: Send
    ) -> None:
        self._me = settings.me
        self._clock = clock
        self._storage = storage
        self.replica = replica
        cluster = settings.cluster
        self._exchange = SnapshotExchange(storage.snapshots, replica, cluster.name)
        journal = storage.journal
        self._configured = tuple(name for name in cluster.peer_names if name != settings.me)
        self._consensus = Consensus(
            me=settings.me,
            partners=self._configured,
            replica=replica,
            journal=journal,
            disk_id=storage.disk_id,
            exchange=self._exchange,
            timing=cluster.timing,
            send=send,
        )
        self._links: dict[str, bool] = dict.fromkeys(self._configured, False)
        self._remembered: tuple[Tail, tuple[str, ...]] = (Tail(term=0, index=0), ())
        self._committed = 0
        self._committed_boot = clock.now().boot
        self._heal_at_s = self._compact_at_s = self._hand_over_until_s = 0.0
        self._errors = 0
        self.rejected = 0
        self.status = ClusterStatus()
        self._begin()

    def _begin(self) -> None:
        """Put what is on the disk into the replica. A peer that has no partners has nobody to ask."""
        for finding in self._storage.findings:
            _log.warning("%s", finding)
        if self._storage.snapshots.exists:
            self._consensus.inside.load_snapshot()
        self._remember_members()
        self._follow_members()
        self._raise_if_halted()
        if not self._consensus.inside.partners:
            self._refuse_damage()
            self._consensus.guard.begin_alone()
            self._consensus.inside.call_election()

    def _refuse_damage(self) -> None:
        """The only member of its cluster has nobody to be refilled by, whatever its file says of others."""
        reason = self._storage.journal.quarantine
        if reason not in ("", EMPTY):
            raise ClusterError(
                f"{reason}, and the cluster has no other member to copy from: {WITHOUT_OTHERS}"
            )

    def _raise_if_halted(self) -> None:
        if self.replica.halted:
            raise ClusterError(self.replica.halted)

    # ---- what drives it

    def tick(self) -> bool:
        """One pass. False when it failed or was not made; the next one goes on."""
        if self.replica.halted or not self._is_disk_well():
            self.status = self._look()
            return False
        try:
            self._consensus.tick()
            self._follow_members()
            self._keep_log_short()
        except OSError as error:
            _log.error("The disk does not take what Raft must keep: %s.", error.strerror or error)
            self.status = self._look()
            return False
        except Exception:  # noqa: BLE001 - the root of a tick: pysyncobj goes on with the next one
            self._failed()
            return False
        self.status = self._look()
        return True

    def propose(self, text: str, done: Done) -> None:
        """Propose one entry; `done` gets None at once when this peer cannot take part just now."""
        if self.replica.halted or self._storage.journal.trouble or self._hands_over() or not self._leader():
            done(None)
            return
        self._consensus.propose(text, done)

    def connected(self, peer: str) -> None:
        """A link to `peer` is up."""
        self._links[peer] = True
        self._consensus.guard.connected(peer)

    def disconnected(self, peer: str) -> None:
        """The link to `peer` is gone."""
        self._links[peer] = False
        if peer == self._consensus.inside.leader:
            self._consensus.inside.give_up_replies()
        self._consensus.guard.disconnected(peer)

    def received(self, peer: str, message: Message) -> None:
        """`peer` sent `message`."""
        if message["type"] == "apply_command" and self._hands_over():
            self._consensus.guard.refuse(peer, message["request_id"])
            return
        try:
            self._consensus.guard.received(peer, message)
        except OSError as error:
            _log.error("The disk does not take what peer %s sent: %s.", peer, error.strerror or error)

    def transfer(self, to: str = "") -> str:
        """As leader, hand the leadership to `to`, or to whoever is furthest along. "" or why not.

        Until it is gone, or half a second is over, nothing more is proposed (Raft dissertation, 3.10).
        """
        self.tick()
        reason = self._consensus.hand_over(to)
        if not reason:
            self._hand_over_until_s = now_s() + _HAND_OVER_S
        return reason

    def _hands_over(self) -> bool:
        return now_s() < self._hand_over_until_s and self._consensus.inside.role == "leader"

    def compact(self) -> None:
        """Write a snapshot and shorten the log."""
        self._consensus.compact()

    def close(self) -> None:
        """Write what is still to be written; the folder belongs to whoever opened it."""
        try:
            self._storage.journal.flush()
        except OSError as error:
            _log.error("The last words of Raft were not written: %s.", error.strerror or error)
        self._consensus.close()

    # ---- what it looks after

    def _failed(self) -> None:
        if self.replica.halted:
            return
        self._errors += 1
        if self._errors % _ERRORS_PER_LINE == 1:
            _log.exception("A Raft tick failed (%d so far).", self._errors)

    def _is_disk_well(self) -> bool:
        """True when the journal takes what it is given; while it does not, this peer is as if not there."""
        journal = self._storage.journal
        if not journal.trouble:
            return True
        if now_s() < self._heal_at_s:
            return False
        self._heal_at_s = now_s() + _HEAL_EVERY_S
        if not journal.heal():
            return False
        _log.warning("The disk takes what Raft must keep again: this peer is back.")
        self._consensus.inside.put_off_election()
        return True

    def _remember_members(self) -> None:
        """Never fall behind what was confirmed before a crash: until it is applied again the log tells it."""
        inside = self._consensus.inside
        index = max(inside.applied_index, inside.log[0][1])
        ahead = [command for command, at, _ in inside.log if at > index]
        if not changes_members(ahead):
            return
        state = self.replica.state
        for command in ahead:
            with suppress(NewerVersion):  # the replica stops there once it is committed
                state = after(state, command)
        self._remembered = (inside.tail, state.members)

    def _follow_members(self) -> None:
        """Raft's members are the ledger's, once it has any; what the file names counts until then."""
        until, remembered = self._remembered
        inside = self._consensus.inside
        # Once another leader has replaced that part of the log, it led nowhere.
        is_there = term_at(inside.log, until.index) == until.term
        members = (
            remembered if is_there and inside.applied_index < until.index else self.replica.state.members
        )
        wanted = set(members) if members else {self._me, *self._configured}
        if wanted == {self._me, *self._consensus.inside.partners}:
            return
        if self._me not in wanted:
            self._consensus.guard.retire("the cluster does without this peer")
            return
        self._consensus.set_members(tuple(sorted(wanted)), self._me)
        _log.info("The cluster has the members %s.", ", ".join(sorted(wanted)))

    def _keep_log_short(self) -> None:
        if self._storage.journal.size_bytes > LOG_BYTES_MAX and now_s() >= self._compact_at_s:
            self._compact_at_s = now_s() + _COMPACT_AGAIN_S
            self._consensus.compact()

    def _look(self) -> ClusterStatus:
        inside, journal, guard = self._consensus.inside, self._storage.journal, self._consensus.guard
        if inside.commit_index != self._committed:
            self._committed, self._committed_boot = inside.commit_index, self._clock.now().boot
        is_out = bool(journal.trouble or self.replica.halted)
        return ClusterStatus(
            role="follower" if is_out else inside.role,
            leader="" if is_out else self._leader(),
            term=inside.term,
            commit_index=inside.commit_index,
            applied_index=inside.applied_index,
            links={name: self._links.get(name, False) for name in inside.partners},
            tick_errors=self._errors + self.replica.failures,
            rejected_connections=self.rejected,
            last_commit_age_s=self._clock.now().boot - self._committed_boot,
            # The first entry is written by every peer alone; a second one only a leader commits.
            had_quorum=inside.commit_index > 1 or inside.applied_index > 1,
            trouble=journal.trouble or self._exchange.trouble,
            quarantine=guard.waits_for,
            members=tuple(sorted({self._me, *inside.partners})),
            findings=self._storage.findings,
            snapshot_s=self._exchange.stall_s,
            log_bytes=journal.size_bytes,
            state_bytes=self._exchange.state_bytes,
            stale_acks=guard.stale_acks,
        )

    def _leader(self) -> str:
        """The leader heard of within an election timeout; "" when there is none."""
        inside = self._consensus.inside
        is_stale = inside.role != "leader" and self._consensus.guard.is_leader_silent
        return "" if is_stale else inside.leader
