"""Random walks over the protocol: three peers on one ideal log, the real apply and the real decide, faults.

The abstraction is that of the protocol's model: each peer applies a prefix of the log at its own pace;
what is submitted is late, lost or duplicated and its answer is never trusted; a crash loses all that is
volatile; a claim may run out at any instant, and a rival waits until the claim it sees has run out. Time
does not exist beyond that. `switches` turns rules of the sender off, and `storms` on. A broken invariant
raises Violation.
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random
from unittest.mock import patch

from msgspec.structs import replace
from support.core_support import WALL, instant, unchanged, view
from support.protocol_checks import SERVICES, Violation, check_entry, check_rest
from support.protocol_peers import (
    ALWAYS_YOUNG_WALL,
    BOOT,
    CONFIGS,
    FAULTS,
    FAULTY_STEPS,
    FLIGHT_MAX,
    HEALING_SWEEPS,
    PEERS,
    Peer,
    Right,
)
from support.protocol_people import SILENCES_END, People

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.alerting import coalescing
from watchtower.core.applying import outbox
from watchtower.core.commands import Command, Entry
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import (
    Doubt,
    Notification,
    Opinion,
    Outcome,
    Stage,
    State,
    Vote,
)


class World(People):
    """The log, the peers, what is in flight, and what the channel has received."""

    def __init__(
        self, seed: int, faults: dict[str, int] | None = None, switches: Collection[str] = ()
    ) -> None:
        self.random = Random(seed)  # noqa: S311 - a walk is repeated by its seed
        self.left = dict(FAULTS if faults is None else faults)
        # In one half of the walks whatever waits for a busy channel is a storm, in the other nothing is.
        self.waiting_max = 0 if "storms" in switches else seed % 2 * 3
        self.switches = frozenset(switches)
        self.states: list[State] = [State()]
        self.peers = {name: Peer(name=name) for name in PEERS}
        self.flight: list[Entry] = []
        self.received: list[tuple[str, int]] = []
        self.told: set[str] = set()
        self.lanes: dict[str, int] = {}
        self.claimed_at: dict[str, int] = {}
        self.may_repeat: set[str] = set()
        self.steps: list[str] = []
        self.append(self.entry("a", c.Found(cluster="test", members=PEERS, at_wall=WALL)))
        faults_left = self.left
        self.heal()
        self.left = faults_left

    @property
    def head(self) -> State:
        """The state after the whole log."""
        return self.states[-1]

    def state(self, peer: Peer) -> State:
        """The state as `peer` has applied it."""
        return self.states[peer.at]

    def session(self, peer: Peer) -> int:
        """The session of this life, by what the peer has applied; 0 before its join."""
        row = self.state(peer).row(peer.name)
        return row.session if row.boot_id == peer.boot_id else 0

    def entry(self, name: str, command: Command) -> Entry:
        """The command as this life of the peer proposes it."""
        peer = self.peers[name]
        return Entry(v=1, by=name, boot=peer.boot_id, seq=0, session=self.session(peer), command=command)

    def spend(self, fault: str) -> bool:
        """True when one more fault of this kind is allowed; it is then used up."""
        self.left[fault] -= self.left[fault] > 0
        return self.left[fault] >= 0

    # ---- walking

    def walk(self, steps: int) -> None:
        """So many random steps with faults."""
        acts = (
            *(self.act_append,) * 4, *(self.act_apply,) * 8, self.act_join, *(self.act_report,) * 2,
            *(self.act_decide,) * 3, *(self.act_claim,) * 3, *(self.act_send,) * 3, *(self.act_settle,) * 3,
        )  # fmt: skip
        faults = (
            self.act_lease, self.fault_crash, self.fault_crash, self.fault_reload, self.fault_flip,
            self.fault_flip, self.fault_expire, self.fault_expire, self.fault_lose, self.fault_double,
            self.fault_silence, self.fault_unsilence, self.fault_ack,
        )  # fmt: skip
        for _ in range(steps):
            among = faults if self.random.random() < FAULTY_STEPS else acts
            self.random.choice(among)(self.random.choice(tuple(self.peers.values())))

    def heal(self) -> None:
        """No faults any more: go on until nothing changes, and look whether anything is undone."""
        self.left = dict.fromkeys(self.left, 0)
        if self.random.random() < SILENCES_END:
            self.unsilence()
        for _ in range(HEALING_SWEEPS):
            before = len(self.steps)
            self._restore_office()
            peers = list(self.peers.values())
            self.random.shuffle(peers)
            for peer in peers:
                self._drain(peer)
            rights = [right for peer in peers for right in peer.rights.values()]
            if len(self.steps) == before and not any(right.is_valid for right in rights):
                opinions = {peer.name: peer.opinion for peer in peers if peer.config == self.head.config.hash}
                check_rest(self.head, {identifier for identifier, _ in self.received}, self.told, opinions)
                return
        raise Violation("does not come to rest")

    def _restore_office(self) -> None:
        lease, live = self.head.lease, [peer for peer in self.peers.values() if peer.is_up]
        holder = self.peers.get(lease.holder)
        fits = holder is not None and self.head.row(lease.holder).session == lease.session
        fits = (
            fits and holder is not None and holder.config in (self.head.config.hash, self._majority_config())
        )
        if not fits and live and not any(isinstance(e.command, c.ClaimLease) for e in self.flight):
            wanted = [peer for peer in live if peer.config == self._majority_config()] or live
            self.left["lease"] = 1
            self.act_lease(wanted[0])

    def _majority_config(self) -> str:
        configs = [peer.config for peer in self.peers.values()]
        return max(sorted(configs), key=configs.count)

    def _drain(self, peer: Peer) -> None:
        """Everything a healthy peer does, until it has nothing to do."""
        if not peer.is_up:
            self.restart(peer)
        while self.flight:
            self.act_append(peer)
        while peer.at + 1 < len(self.states):
            self.act_apply(peer)
        for act in (self.act_join, self.act_report, self.act_decide, self.act_settle, self.act_send):
            act(peer)
        for right in peer.rights.values():
            if right.is_valid and not right.has_sent and self.random.random() < 0.5:
                right.is_valid = False
                self.steps.append(f"{peer.name}'s claim {right.claim_id} runs out")
        self.act_claim(peer)

    # ---- what peers do

    def propose(self, peer: Peer, command: Command) -> None:
        """Into flight, unless the very same is there already or too much is."""
        entry = self.entry(peer.name, command)
        if entry not in self.flight and len(self.flight) < FLIGHT_MAX:
            self.flight.append(entry)
            self.steps.append(f"{peer.name} proposes {command}")

    def act_append(self, _peer: Peer) -> None:
        """Something in flight reaches the log."""
        if self.flight:
            self.append(self.flight.pop(self.random.randrange(len(self.flight))))

    def act_apply(self, peer: Peer) -> None:
        """The peer applies the next entry."""
        if peer.is_up and peer.at + 1 < len(self.states):
            peer.at += 1

    def act_join(self, peer: Peer) -> None:
        """A life that is not in the row joins."""
        if peer.is_up and not self.session(peer):
            join = c.Join(boot_id=peer.boot_id, version="", command_version=1, at_wall=WALL)
            self.propose(peer, join)

    def act_report(self, peer: Peer) -> None:
        """Own truth against the own row; the text says which life saw it, and its how-manieth opinion."""
        if not peer.is_up or not self.session(peer):
            return
        row, text = self.state(peer).row(peer.name), f"{peer.boot_id} {peer.turns:04}"
        vote = Vote(opinion=peer.opinion, text=text, since_wall=ALWAYS_YOUNG_WALL)
        votes = dict.fromkeys(SERVICES, vote)
        if (row.config_hash, row.votes) == (peer.config, votes):
            return
        full = row.config_hash != peer.config
        self.propose(
            peer,
            c.Report(seq=row.report_seq, full=full, config_hash=peer.config, at_wall=WALL, votes=dict(votes)),
        )

    def act_lease(self, peer: Peer) -> None:
        """Any peer may take the lease at any time: when, is the business of clocks."""
        if peer.is_up and self.session(peer) and self.left["lease"] > 0 and self.spend("lease"):
            lease = self.state(peer).lease
            claim = c.ClaimLease(epoch=lease.epoch, renewals=lease.renewals, length_ms=1, id=str(lease.epoch))
            self.propose(peer, claim)

    def act_decide(self, peer: Peer) -> None:
        """One pass of the holder, on what it has applied; now and then it takes another for dead."""
        holder = self.peers.get(self.state(peer).lease.holder, peer)
        peer = self.random.choice((peer, holder, holder))
        state = self.state(peer)
        if not peer.is_up or (state.lease.holder, state.lease.session) != (peer.name, self.session(peer)):
            return
        heard = list(PEERS)
        if self.left["gone"] > 0 and self.random.random() < 0.1 and self.spend("gone"):
            heard.remove(self.random.choice([name for name in PEERS if name != peer.name]))
        config, early = CONFIGS[peer.name, peer.config], view(peer.name, BOOT - 10, heard)
        first = verdicts.observe(state, config, early, instant(BOOT - 10))
        looks = view(peer.name, BOOT, heard, standings=first)
        looks = replace(looks, standings=verdicts.observe(state, config, looks, instant(BOOT)))
        with patch.object(coalescing, "WAITING_MAX", self.waiting_max):
            commands = decide(state, config, looks, instant(BOOT))
        for command in commands:
            self.propose(peer, command)

    def act_claim(self, peer: Peer) -> None:
        """Claim what waits for this peer; what somebody has claimed only when that claim has run out."""
        state, session = self.state(peer), self.session(peer)
        for item in state.notifications.values() if peer.is_up and session else ():
            is_due = item.sender == peer.name and not item.stage.finished and outbox.head_of_lane(state, item)
            right = peer.rights.get(item.id)
            is_trying = right is not None and right.is_valid and right.attempt == item.attempt + 1
            is_settling = any(result.id == item.id for result in peer.results)
            if (
                not is_due
                or is_trying
                or is_settling
                or (self._must_wait(item) and "wait" not in self.switches)
            ):
                continue
            peer.claims += 1
            claim_id = f"{peer.boot_id}.{peer.claims}"
            peer.rights[item.id] = Right(claim_id=claim_id, attempt=item.attempt + 1)
            rev = state.policy_rev
            claim = c.Claim(id=item.id, attempt=item.attempt, hold_ms=1, claim_id=claim_id, policy_rev=rev)
            self.propose(peer, claim)

    def _must_wait(self, item: Notification) -> bool:
        """True while the applied claim gives its process a right to send."""
        rights = [peer.rights.get(item.id) for peer in self.peers.values() if peer.is_up]
        live = [right for right in rights if right and right.is_valid and right.claim_id == item.claim_id]
        return item.stage is not Stage.PENDING and bool(live)

    def act_send(self, peer: Peer) -> None:
        """Send under a right whose claim is applied here, once."""
        if not peer.is_up:
            return
        for identifier, right in tuple(peer.rights.items()):
            item = self.state(peer).notifications.get(identifier)
            if item is not None and not right.has_sent and self._is_mine(peer, item, right):
                self._attempt(peer, item, right)

    def _is_mine(self, peer: Peer, item: Notification, right: Right) -> bool:
        is_owner = (item.owner, item.session) == (peer.name, self.session(peer))
        is_very_claim = item.claim_id == right.claim_id or "match_claim" in self.switches
        return item.stage is Stage.CLAIMED and is_owner and is_very_claim

    def _attempt(self, peer: Peer, item: Notification, right: Right) -> None:
        """Rules 3 to 7 of the sender."""
        state, outcome = self.state(peer), None
        if item.doubt is Doubt.PROOF:
            outcome = Outcome.ACCEPTED
        elif self.unwanted(state, item):
            outcome = Outcome.NOT_SENT if item.doubt is Doubt.NO else Outcome.SUPERSEDED
        elif not right.is_valid and "fence" not in self.switches:
            outcome = Outcome.NOT_SENT
        right.has_sent = True
        if outcome is None:
            outcome = self._through_the_channel(state, item, right)
        peer.results.append(c.Settle(id=item.id, attempt=item.attempt, outcome=outcome, at_wall=WALL))
        self.steps.append(f"{peer.name} ends {item.kind} #{item.incident}: {outcome}")

    def _through_the_channel(self, state: State, item: Notification, right: Right) -> Outcome:
        fault = self.random.choice(("lost", "ambiguous", "refused")) if self.left["fault"] > 0 else ""
        if fault and self.random.random() < 0.4:
            self.left["fault"] -= 1
        else:
            fault = ""
        if fault in ("lost", "ambiguous"):
            self.may_repeat.add(item.id)
        if fault in ("", "lost"):
            self.receive(state, item, right)
        return {"": Outcome.ACCEPTED, "refused": Outcome.REJECTED}.get(fault, Outcome.AMBIGUOUS)

    def act_settle(self, peer: Peer) -> None:
        """Propose every outcome until the applied state shows it, or the claim is no longer ours."""
        for result in tuple(peer.results) if peer.is_up else ():
            item, right = self.state(peer).notifications.get(result.id), peer.rights.get(result.id)
            is_mine = item is not None and right is not None and self._is_mine(peer, item, right)
            is_done = not is_mine
            if result.outcome is Outcome.ACCEPTED and item is not None:
                is_over = item.stage.finished and item.stage is not Stage.SUPERSEDED
                # Proof is enough for who lost the claim; who holds it must still say that it is over.
                is_done = is_over or (item.doubt is Doubt.PROOF and not is_mine)
            if is_done:
                self.steps.append(f"{peer.name} has settled attempt {result.attempt}")
                peer.results.remove(result)
                peer.rights.pop(result.id, None)
            else:
                self.propose(peer, result)

    # ---- faults

    def fault_crash(self, peer: Peer) -> None:
        """A peer dies, or a dead one starts again."""
        if not peer.is_up:
            self.restart(peer)
        elif self.left["crash"] > 0 and self.spend("crash"):
            sent = {key for key, right in peer.rights.items() if right.has_sent}
            self.may_repeat |= sent | {result.id for result in peer.results}
            peer.is_up, peer.rights, peer.results = False, {}, []
            self.steps.append(f"{peer.name} crashes")

    def restart(self, peer: Peer) -> None:
        """Another life, which has lost everything but the log."""
        peer.is_up, peer.boot, peer.turns = True, peer.boot + 1, 0
        self.steps.append(f"{peer.name} restarts")

    def fault_reload(self, peer: Peer) -> None:
        """The peer reads the other configuration."""
        if peer.is_up and self.left["reload"] > 0 and self.spend("reload"):
            peer.config = "h2" if peer.config == "h1" else "h1"
            self.steps.append(f"{peer.name} loads {peer.config}")

    def fault_flip(self, peer: Peer) -> None:
        """The peer, or all of them, change their mind."""
        if self.left["flip"] > 0 and self.spend("flip"):
            opinion = Opinion.DOWN if peer.opinion is Opinion.UP else Opinion.UP
            for one in self.peers.values() if self.random.random() < 0.8 else (peer,):
                one.turns += one.opinion is not opinion
                one.opinion = opinion
            self.steps.append(f"{peer.name} and others see {opinion}")

    def fault_expire(self, peer: Peer) -> None:
        """A claim runs out, perhaps right after the message left."""
        for identifier, right in peer.rights.items():
            if right.is_valid and self.left["expire"] > 0 and self.spend("expire"):
                right.is_valid = False
                self.may_repeat |= {identifier} if right.has_sent else set()
                self.steps.append(f"{peer.name}'s claim {right.claim_id} runs out")

    def fault_lose(self, _peer: Peer) -> None:
        """Something in flight is lost."""
        if self.flight and self.left["lose"] > 0 and self.spend("lose"):
            self.flight.pop(self.random.randrange(len(self.flight)))

    def fault_double(self, _peer: Peer) -> None:
        """Something in flight arrives, and stays in flight to arrive again."""
        if self.flight and self.left["double"] > 0 and self.spend("double"):
            self.append(self.random.choice(self.flight))

    # ---- what must hold

    def append(self, entry: Entry) -> None:
        """The entry enters the log, and everything that must hold at an index is looked at."""
        before = self.head
        after, answer = ledger.apply(before, entry)
        self.steps.append(f"log {len(self.states)}: {entry.command} of {entry.by}: {answer.reason or 'ok'}")
        self.states.append(after)
        if isinstance(entry.command, c.Claim) and answer.ok:
            self.claimed_at[entry.command.claim_id] = len(self.states) - 2
        if not unchanged(after, ledger.apply(after, entry)[0]):
            raise Violation("applied twice is not applied once")
        check_entry(before, after, entry, {identifier for identifier, _ in self.received})


Finding = tuple[int, str, list[str]]


def search(
    walks: int,
    *,
    faults: dict[str, int] | None = None,
    switches: Collection[str] = (),
    first_seed: int = 0,
) -> Finding | None:
    """The first seed whose walk breaks an invariant, with the steps that led there; None when none does."""
    for seed in range(first_seed, first_seed + walks):
        world = World(seed, faults, switches)
        try:
            world.walk(world.random.randint(200, 2000))
            world.heal()
        except Violation as broken:
            return seed, str(broken), world.steps
    return None
