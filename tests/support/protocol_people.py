"""What people do in a walk over the protocol, and what the channel makes of what it gets.

A mixin of the walk's World: silences come and go, somebody acknowledges; the channel keeps what was told, one
by one and by digests, and looks whether it should have been.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final

from support.core_support import WALL, instant
from support.protocol_checks import SERVICES, Violation
from support.protocol_peers import BOOT, CONFIGS, Peer, Right

from watchtower.core import requests as r
from watchtower.core.alerting import silencing
from watchtower.core.applying import digests, outbox
from watchtower.core.model import Doubt, NoticeKind, Notification, Stage, State
from watchtower.core.policies import Acknowledgement, Matcher, Silence, SilenceKind

LONG_S: Final = 1e6
SILENCES_END: Final = 0.7
"""In so many walks nobody wants quiet any more when all is healed."""


class People:
    """Silences, acknowledgements, and a reader of the channel."""

    random: Random
    left: dict[str, int]
    states: list[State]
    received: list[tuple[str, int]]
    told: set[str]
    lanes: dict[str, int]
    claimed_at: dict[str, int]
    may_repeat: set[str]
    state: Any
    spend: Any
    propose: Any
    append: Any
    entry: Any

    # ---- what people say

    def fault_silence(self, peer: Peer) -> None:
        """Somebody wants quiet about one service, or all."""
        if not peer.is_up or self.left["silence"] <= 0 or not self.spend("silence"):
            return
        silence = Silence(
            id=f"s{self.left['silence']}",
            kind=SilenceKind.SILENCE,
            matchers=(Matcher(label="service", patterns=(self.random.choice((*SERVICES, "*")),)),),
            author="ops",
            reason="test",
            starts_wall=WALL,
            ends_wall=WALL + LONG_S,
            created_wall=WALL,
        )
        self.propose(peer, r.SetSilence(silence=silence))

    def fault_unsilence(self, peer: Peer) -> None:
        """A silence is over."""
        known = [one for one in self.state(peer).silences.values() if one.ends_wall > instant(BOOT).wall]
        if peer.is_up and known and self.left["unsilence"] > 0 and self.spend("unsilence"):
            one = self.random.choice(known)
            self.propose(peer, r.EndSilence(id=one.id, by="ops", at_wall=WALL + 1.0))

    def unsilence(self) -> None:
        """Every silence is over: an entry of whichever peer, in the log at once."""
        for one in self.states[-1].silences.values():
            if one.ends_wall > instant(BOOT).wall:
                self.append(self.entry("a", r.EndSilence(id=one.id, by="ops", at_wall=WALL + 1.0)))

    def fault_ack(self, peer: Peer) -> None:
        """Somebody works on an incident, or does not after all."""
        known = [one for one in self.state(peer).incidents.values() if one.is_open]
        if peer.is_up and known and self.left["ack"] > 0 and self.spend("ack"):
            incident = self.random.choice(known)
            ack = None if incident.ack else Acknowledgement(by="ops", note="", at_wall=WALL)
            self.propose(peer, r.Acknowledge(incident=incident.number, ack=ack, by="ops", at_wall=WALL))

    def unwanted(self, state: State, item: Notification) -> str:
        """Sender rule 5, by the state that the sender has applied."""
        return silencing.unwanted(state, CONFIGS["a", "h1"], item, instant(BOOT).wall)

    # ---- what the channel gets

    def receive(self, state: State, item: Notification, right: Right) -> None:
        """The channel accepts a message; `state` is what its sender had applied."""
        if not right.is_valid:
            raise Violation("sent after its claim ran out")
        if any(item.id == identifier for identifier, _ in self.received) and item.id not in self.may_repeat:
            raise Violation("a repeat outside the window")
        now = self.states[-1].notifications.get(item.id, item)
        if now.stage is Stage.CANCELLED:
            raise Violation("cancelled, yet it is sent")
        self.received.append((item.id, item.order))
        told = (item,) if item.kind.is_of_incident else digests.worth_telling(state, item)
        # A message is read whole: what it says last of a service is what people know then.
        last = {one.lane: one.order for one in told}
        if any(order < self.lanes.get(lane, 0) for lane, order in last.items()):
            raise Violation("out of order")
        self.lanes.update(last)
        for one in told:
            self._read(one)
            if item.doubt is Doubt.NO and one.kind is not NoticeKind.RESOLVED:
                self._look_for_silence(state, one, item.claim_id)

    def _read(self, one: Notification) -> None:
        """One thing is told, by itself or in a digest."""
        self.told.add(one.id)
        if one.kind is not NoticeKind.RESOLVED and not outbox.has_left(self.states[-1], one):
            raise Violation("told, and the ledger is certain that it was not")

    def _look_for_silence(self, state: State, one: Notification, claim_id: str) -> None:
        """It had been silenced when the claim entered the log, and still was for all that its sender knew."""
        for known in (self.states[self.claimed_at[claim_id]], state):
            incident = known.incidents[one.incident]
            if not silencing.quieted(known, CONFIGS["a", "h1"], incident, instant(BOOT).wall):
                return
        raise Violation("told although it had been silenced before the claim")
