"""The border between pysyncobj and the wire: messages in and out, mended where pysyncobj trusts too much.

What is mended (line numbers of pysyncobj 0.3.17): acknowledgements carry their term and stale ones are
dropped (1070-1083); the commit index that comes with a snapshot is not believed beyond our own (1022-1033);
entries that match are kept (991-1006 would cut and add them again, even applied ones); a leader of an
older term is told the newer one (it would be ignored in silence). A peer that was alone waits for a
leader once more before it calls an election. PreVote is not here yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport

from watchtower.cluster.frames import LogEntry, Message
from watchtower.cluster.library import ElectionDeadline


class GuardTransport(Transport):  # type: ignore[misc] # pysyncobj is untyped
    """pysyncobj's transport over whatever `send(peer, message)` and the three events below connect.

    `is_halted` says that this peer must not speak any more; `stale_acks` counts acknowledgements dropped.
    """

    def __init__(
        self,
        syncobj: Any,
        me: Node,
        others: set[Node],
        *,
        send: Callable[[str, Message], bool],
        is_halted: Callable[[], bool],
    ) -> None:
        super().__init__(syncobj, me, others)
        self._syncobj = syncobj
        self._nodes = {str(node.id): node for node in others}
        self._send = send
        self._is_halted = is_halted
        self._up: set[str] = set()
        self.stale_acks = 0

    def send(self, node: Node, message: Message) -> bool:
        """Send one message of pysyncobj's; False when there is no link to `node`."""
        if self._is_halted():
            return False
        if message["type"] == "next_node_idx":
            message = {**message, "term": self._syncobj.raftCurrentTerm}
        return self._send(str(node.id), message)

    def connected(self, peer: str) -> None:
        """A link to `peer` is up."""
        if not self._up:
            # Back from isolation: hear the leader first, instead of deposing it with an election.
            ElectionDeadline(self._syncobj).renew()
        self._up.add(peer)
        self._onNodeConnected(self._nodes[peer])

    def disconnected(self, peer: str) -> None:
        """The link to `peer` is gone; a snapshot on its way there starts again from its beginning."""
        self._up.discard(peer)
        self._onNodeDisconnected(self._nodes[peer])
        self._syncobj._SyncObj__serializer.cancelTransmisstion(self._nodes[peer])  # noqa: SLF001 - see library.py

    def received(self, peer: str, message: Message) -> None:
        """`peer` sent `message`, already checked by frames.decode."""
        if self._is_halted():
            return
        term = self._syncobj.raftCurrentTerm
        kind = message["type"]
        if kind == "next_node_idx" and message["term"] != term:
            self.stale_acks += 1
            return
        if kind == "append_entries":
            if message["term"] < term:
                self._tell_newer_term(peer)
                return
            self._append(self._nodes[peer], message)
            return
        self._onMessageReceived(self._nodes[peer], message)

    def _append(self, node: Node, message: Message) -> None:
        """A leader's entries, heartbeat or part of a snapshot."""
        committed = self._syncobj.raftCommitIndex
        if "prevLogIdx" not in message:
            # A snapshot is under way: our tail is not verified, so its commit index is not ours.
            self._onMessageReceived(
                node, {**message, "commit_index": min(message["commit_index"], committed)}
            )
            return
        log = self._syncobj._SyncObj__raftLog  # noqa: SLF001 - see library.py
        fresh = without_known(log, message)
        verified = fresh["prevLogIdx"]
        matches = verified is not None and _term_at(log, verified) == fresh["prevLogTerm"]
        if fresh["entries"] or not matches:
            self._onMessageReceived(node, fresh)
            return
        # We hold all of it and more: only the heartbeat counts, up to what was verified.
        heartbeat = {key: fresh[key] for key in ("type", "term")}
        leader_commit = message["commit_index"]
        heartbeat["commit_index"] = max(min(leader_commit, verified), min(leader_commit, committed))
        self._onMessageReceived(node, heartbeat)
        acknowledged = {
            "type": "next_node_idx",
            "next_node_idx": verified + 1,
            "reset": False,
            "success": True,
        }
        self.send(node, acknowledged)

    def _tell_newer_term(self, peer: str) -> None:
        """A vote request that cannot win: its only effect is that the old leader steps down."""
        nudge = {
            "type": "request_vote",
            "term": self._syncobj.raftCurrentTerm,
            "last_log_index": 0,
            "last_log_term": -1,
        }
        self._send(peer, nudge)


def without_known(log: Sequence[LogEntry], message: Message) -> Message:
    """`message` without the entries at its front that `log` has already, its previous entry moved on.

    The message itself when its previous entry does not match: then pysyncobj answers that.
    """
    previous, entries = message["prevLogIdx"], message["entries"]
    if previous is None or _term_at(log, previous) != message["prevLogTerm"]:
        return message
    known = 0
    while known < len(entries) and _term_at(log, entries[known][1]) == entries[known][2]:
        known += 1
    if known == 0:
        return message
    _, index, term = entries[known - 1]
    return {**message, "prevLogIdx": index, "prevLogTerm": term, "entries": entries[known:]}


def _term_at(log: Sequence[LogEntry], index: int) -> int | None:
    """Term of the entry at `index`; None when `log` does not have it."""
    place = index - log[0][1]
    return log[place][2] if 0 <= place < len(log) else None
