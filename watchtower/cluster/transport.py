"""The border between pysyncobj and the wire: messages in and out, mended where pysyncobj trusts too much.

What is mended (line numbers of pysyncobj 0.3.17): acknowledgements carry their term and stale ones are
dropped (1070-1083); the commit index that comes with a snapshot is not believed beyond our own (1022-1033);
a leader of an older term is told the newer one (it would be ignored in silence). A peer that was alone
waits for a leader once more before it calls an election. PreVote, and keeping entries that match, are
not here yet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pysyncobj.node import Node
from pysyncobj.transport import Transport

from watchtower.cluster.frames import Message
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
            if "prevLogIdx" not in message:
                known = min(message["commit_index"], self._syncobj.raftCommitIndex)
                message = {**message, "commit_index": known}
        self._onMessageReceived(self._nodes[peer], message)

    def _tell_newer_term(self, peer: str) -> None:
        """A vote request that cannot win: its only effect is that the old leader steps down."""
        nudge = {
            "type": "request_vote",
            "term": self._syncobj.raftCurrentTerm,
            "last_log_index": 0,
            "last_log_term": -1,
        }
        self._send(peer, nudge)
