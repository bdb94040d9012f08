"""The guard: the border between pysyncobj and the wire, where each of its known faults is mended.

Line numbers are of pysyncobj 0.3.17. Acknowledgements carry their term and stale ones are dropped
(1070-1083); the commit index that comes with a snapshot is not believed beyond our own (1022-1033);
entries that match are kept (991-1006 would cut and add them again, even applied ones); a leader of an
older term is told the newer one; elections are asked for first (prevote.py); a peer without memory keeps
silent (quarantine.py); nothing is promised before the disk holds it (journal.py). It decides no policy.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from msgspec import convert
from pysyncobj import FAIL_REASON
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from watchtower.cluster.frames import Message
from watchtower.cluster.greeting import Greeting
from watchtower.cluster.inside import Inside, now_s
from watchtower.cluster.journal import Journal
from watchtower.cluster.matching import acknowledgement, changes_members, heartbeat, term_at, without_known
from watchtower.cluster.prevote import Ballot, PreVote, Tail
from watchtower.cluster.quarantine import Hello, Quarantine
from watchtower.core.model import State

_log = logging.getLogger(__name__)

_PROMISES: Final = ("next_node_idx", "request_vote", "response_vote")
"""Messages that others count on: what they tell must be on our disk first."""
_VOTES: Final = ("request_vote", "response_vote", "pre_vote", "pre_vote_answer")
_NOBODY: Final = "-"
"""Whom a peer without memory has voted for in the term it comes back in: so it votes for no one."""

Send = Callable[[str, Message], bool]


class GuardTransport(Transport):  # type: ignore[misc] # pysyncobj is untyped
    """pysyncobj's transport over whatever `send(peer, message)` and the three events below connect.

    `is_halted` says that this peer must not speak any more, `applied` is its state; `stale_acks` counts
    acknowledgements that were dropped.
    """

    def __init__(
        self,
        syncobj: Any,
        me: Node,
        others: set[Node],
        *,
        send: Send,
        is_halted: Callable[[], bool],
        applied: Callable[[], State],
        journal: Journal,
        disk_id: str,
        stickiness_s: float,
        silence_s: float,
    ) -> None:
        super().__init__(syncobj, me, others)
        self._syncobj = syncobj
        self._me = str(me.id)
        self._make_node = type(me)
        self._nodes = {str(node.id): node for node in others}
        self._send = send
        self._is_halted = is_halted
        self._applied = applied
        self._journal = journal
        self._disk_id = disk_id
        self._linked: set[str] = set()
        self._greeting = Greeting(send)
        self._paused: set[str] = set()
        self._prevote = PreVote(self._me, stickiness_s)
        self._ballot = Ballot()
        self._calls_election = False
        self._stickiness_s = stickiness_s
        self._silence_s = silence_s
        self.quarantine = Quarantine(self._me, self._nodes, journal.quarantine, disk_id)
        self.stale_acks = 0

    def attach(self, inside: Inside) -> None:
        """Take the inside of the SyncObj that made this transport."""
        self._inside = inside

    @property
    def is_leader_silent(self) -> bool:
        """True when no leader was heard for a whole election timeout."""
        return now_s() - self._prevote.heard_s > self._silence_s

    @property
    def waits_for(self) -> str:
        """Why this peer does not vote, and what it waits for; "" when it votes."""
        reason = self.quarantine.reason
        return f"{reason}; waits for {self.quarantine.missing}" if reason else ""

    def begin_alone(self) -> None:
        """There are no others who could remember: what is here is all there is."""
        if self.quarantine.reason:
            self._lift("it is the only member")

    def retire(self, why: str) -> None:
        """Vote no more; should this peer be taken back, it is refilled first."""
        if not self.quarantine.reason:
            self.quarantine.reason = why
            self._journal.set_quarantine(why)

    def refuse(self, peer: str, request_id: int) -> None:
        """Tell `peer` that its proposal is in no log."""
        answer = {"request_id": request_id, "error": FAIL_REASON.NOT_LEADER}
        self._send(peer, {"type": "apply_command_response", **answer})

    # ---- what pysyncobj calls

    def send(self, node: Node, message: Message) -> bool:
        """Send one message of pysyncobj's; False when it did not leave."""
        if not self._may_speak() or (self.quarantine.reason and message["type"] in _VOTES):
            return False
        if message["type"] == "next_node_idx":
            message = {**message, "term": self._inside.term}
        elif message["type"] == "response_vote":
            message = {**message, "disks": self.quarantine.disks}
        if message.get("serialized", ...) is None:
            # No snapshot to send just now: pysyncobj would ask for it until its heartbeat period is over.
            self._paused.add(str(node.id))
            self._onNodeDisconnected(node)
            return False
        if message["type"] in _PROMISES and not self._is_on_disk():
            return False
        return self._send(str(node.id), message)

    def addNode(self, node: Node) -> None:  # noqa: N802 - pysyncobj calls it so
        """A member more."""
        name = str(node.id)
        self._nodes[name] = node
        if name in self._linked:
            self._onNodeConnected(node)

    def dropNode(self, node: Node) -> None:  # noqa: N802 - pysyncobj calls it so
        """A member less; its link may stay until its own configuration follows."""
        self._nodes.pop(str(node.id), None)

    def destroy(self) -> None:
        """Nothing to close: the links belong to whoever made them."""

    # ---- what the links tell

    def connected(self, peer: str) -> None:
        """A link to `peer` is up."""
        if not self._linked:
            # Back from isolation: hear the leader first, instead of deposing it with an election.
            self._inside.put_off_election()
        self._linked.add(peer)
        self._greeting.owe(peer)
        self._greet()
        if peer in self._nodes:
            self._onNodeConnected(self._nodes[peer])

    def disconnected(self, peer: str) -> None:
        """The link to `peer` is gone."""
        self._linked.discard(peer)
        self._greeting.forget(peer)
        if peer in self._nodes:
            self._onNodeDisconnected(self._nodes[peer])
            self._inside.forget_transfers(self._nodes[peer])

    def received(self, peer: str, message: Message) -> None:
        """`peer` sent `message`, already checked by frames.decode."""
        kind = message["type"]
        if self._is_halted():
            return
        if kind == "hello":
            # Also while the disk takes nothing: it is said only once on a link.
            self._on_hello(peer, message)
        elif not self._may_speak():
            return
        elif peer not in self._nodes:
            self._on_stranger(peer, message)
        elif kind == "pre_vote":
            self._on_pre_vote(peer, message)
        elif kind == "pre_vote_answer":
            self._on_pre_vote_answer(peer, message)
        elif kind == "append_entries":
            self._on_append(self._nodes[peer], message)
        elif kind == "next_node_idx" and not self._is_answer(message):
            self.stale_acks += 1
        elif not (self.quarantine.reason and kind in (*_VOTES, "timeout_now")):
            self._deliver(peer, message)

    def _deliver(self, peer: str, message: Message) -> None:
        """Everything else is pysyncobj's; a vote only while all that were counted are good."""
        if message["type"] == "response_vote" and message["term"] == self._inside.term:
            known = message.get("disks", {})
            if not self._ballot.take(message["term"], peer, self.quarantine.disks.get(peer, ""), known):
                self._give_up_candidacy()
                return
        self._onMessageReceived(self._nodes[peer], message)

    def _give_up_candidacy(self) -> None:
        if self._inside.role == "candidate":
            _log.warning("A peer that voted for this one has lost its disk since: the election is void.")
            self._inside.adopt_term(self._inside.term, self._me)

    def _is_answer(self, message: Message) -> bool:
        """True for an answer to what we have sent as leader of this very term."""
        is_ours = bool(1 <= message["next_node_idx"] <= self._inside.tail.index + 1)
        return is_ours and bool(message["term"] == self._inside.term)

    # ---- before every tick

    def before_tick(self) -> None:
        """Hold back an election until it could be won, and tell the others what has changed with us."""
        self._may_begin()
        self._resume()
        self._greet()
        inside = self._inside
        if inside.role == "leader" or not self._nodes or inside.is_taking_over or not inside.is_election_due:
            return
        if self._calls_election:
            self._calls_election = False
            return
        inside.put_off_election()
        if self.quarantine.reason or not self._linked.intersection(self._nodes):
            return
        self._ask()

    def _resume(self) -> None:
        """Try again whom we could send nothing."""
        paused, self._paused = self._paused, set()
        for name in sorted(paused & self._linked & self._nodes.keys()):
            self._onNodeConnected(self._nodes[name])

    def _ask(self) -> None:
        tail = self._inside.tail
        question = {"round": self._prevote.ask(), "term": self._inside.term + 1}
        ours = {"last_log_index": tail.index, "last_log_term": tail.term}
        for peer in sorted(self._nodes):
            self._send(peer, {"type": "pre_vote", **question, **ours})

    # ---- elections

    def _on_pre_vote(self, peer: str, message: Message) -> None:
        if self.quarantine.reason:
            return
        inside = self._inside
        majority = (len(self._nodes) + 1) // 2 + 1
        leads = inside.role == "leader" and 1 + inside.answered_within(self._stickiness_s) >= majority
        asked = Tail(term=message["last_log_term"], index=message["last_log_index"])
        refusal = self._prevote.refusal(asked, inside.tail, now_s(), leads=leads)
        granted = not refusal and message["term"] > inside.term
        answer = {"round": message["round"], "term": inside.term, "granted": granted}
        self._send(peer, {"type": "pre_vote_answer", **answer})

    def _on_pre_vote_answer(self, peer: str, message: Message) -> None:
        if message["term"] > self._inside.term:
            # Our question was about a term that is over: ask again in a newer one.
            self._inside.adopt_term(message["term"], None)
            return
        may_lead = message["granted"] and self._inside.role != "leader"
        if may_lead and self._prevote.answered(message["round"], peer, (*self._nodes, self._me)):
            self._calls_election = True
            self._inside.call_election()

    # ---- what a leader sends

    def _on_append(self, node: Node, message: Message) -> None:
        if message["term"] < self._inside.term:
            self._tell_newer_term(str(node.id))
            return
        if self.quarantine.reason and not self._believes(message):
            return
        self._prevote.heard(now_s())
        self._calls_election = False
        self._append(node, message)
        if self.quarantine.reason and self._is_refilled(message):
            self._lift("it holds everything that is committed")

    def _on_stranger(self, peer: str, message: Message) -> None:
        """Who is no member for us leads nevertheless when it became one without our seeing it.

        So it is followed like any other leader (Raft dissertation, 4.1), snapshots included, if it has
        applied newer members than we and both of us are among them.
        """
        if message["type"] == "append_entries" and self.quarantine.names_us(
            peer, self._applied().members_gen
        ):
            self._on_append(self._make_node(peer), message)

    def _append(self, node: Node, message: Message) -> None:
        """A leader's entries, heartbeat or part of a snapshot."""
        committed = self._inside.commit_index
        if "prevLogIdx" not in message:
            # A snapshot is under way: our tail is not verified, so its commit index is not ours.
            self._onMessageReceived(
                node, {**message, "commit_index": min(message["commit_index"], committed)}
            )
            return
        log = self._inside.log
        fresh = without_known(log, message)
        verified = fresh["prevLogIdx"]
        matches = verified is not None and term_at(log, verified) == fresh["prevLogTerm"]
        if fresh["entries"] or not matches:
            self._onMessageReceived(node, fresh)
            return
        # We hold all of it and more: only the heartbeat counts, up to what was verified.
        self._onMessageReceived(node, heartbeat(fresh, verified, committed))
        self.send(node, acknowledgement(verified))

    def _tell_newer_term(self, peer: str) -> None:
        """A vote request that cannot win: its only effect is that the old leader steps down."""
        hopeless = {"term": self._inside.term, "last_log_index": 0, "last_log_term": -1}
        self._send(peer, {"type": "request_vote", **hopeless})

    # ---- memory

    def _greet(self) -> None:
        if self._may_speak():
            self._greeting.say(self._hello(), self._linked)

    def _hello(self) -> Hello:
        state = self._applied()
        return Hello(
            disk=self._disk_id,
            term=self._inside.term,
            is_blank=self._inside.tail.index <= 1,
            votes=not self.quarantine.reason,
            members=state.members,
            members_gen=state.members_gen,
            is_resizing=self._is_resizing(),
            disks=self.quarantine.disks,
        )

    def _is_resizing(self) -> bool:
        """True when the log holds a change of the members that is not applied here yet."""
        log, applied = self._inside.log, self._inside.applied_index
        return changes_members(command for command, _, _ in log[max(0, applied + 1 - log[0][1]) :])

    def _on_hello(self, peer: str, message: Message) -> None:
        hello = convert({key: value for key, value in message.items() if key != "type"}, Hello)
        if self.quarantine.hello(peer, hello):
            _log.warning("Peer %s has lost its disk: what it promised before counts no more.", peer)
            if self._inside.role == "leader":
                self._inside.distrust(peer)
            else:
                # It may have voted for us, and may not know it.
                self._give_up_candidacy()

    def _may_begin(self) -> None:
        """A cluster whose peers are all new has nothing to remember."""
        if not self.quarantine.reason or self._inside.tail.index > 1 or not self._nodes:
            return
        if self.quarantine.all_begin(self._linked):
            self._lift("every configured peer is there and none has run before")

    def _believes(self, message: Message) -> bool:
        """True for a leader that is no older than anything our earlier self may have promised."""
        floor = self.quarantine.floor
        if floor is None or message["term"] < floor:
            return False
        if self._inside.term < message["term"] or not self._journal.getVotedForNodeId():
            # It may have voted in this very term: it does not do so again.
            self._inside.adopt_term(message["term"], _NOBODY)
        return True

    def _is_refilled(self, message: Message) -> bool:
        """True when we hold what the leader has committed, and it has committed something of its own term."""
        index = message["commit_index"]
        return (
            "prevLogIdx" in message
            and index <= self._inside.commit_index
            and term_at(self._inside.log, index) == message["term"]
        )

    def _lift(self, why: str) -> None:
        self._journal.set_quarantine("")
        if self._is_on_disk():
            _log.info("This peer votes: %s.", why)
            self.quarantine.lift()
        else:
            self._journal.set_quarantine(self.quarantine.reason)

    # ---- the disk

    def _may_speak(self) -> bool:
        return not self._is_halted() and not self._journal.trouble

    def _is_on_disk(self) -> bool:
        """Bring everything onto the disk; False when it does not take it (the journal keeps the reason)."""
        try:
            self._journal.flush()
        except OSError as error:
            _log.error("The journal cannot be written: %s.", error.strerror or error)
            return False
        return True
