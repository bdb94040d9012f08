"""Random schedules of three real Senders over the real outbox: pauses, crashes, late and lost entries.

Each peer applies a prefix of one log at its own pace; what it proposes is late, lost or doubled; it may stand
still for longer than any claim lasts, also between the order to send and the first byte, or act on an old
state. An oracle opens and closes incidents and names senders. What arrives at the channel is checked; a
broken rule raises Violation.
"""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Final

from msgspec import Struct
from support.core_support import WALL, Book, settings
from support.protocol_checks import Violation

from watchtower.core import commands as c
from watchtower.core import ledger
from watchtower.core.commands import Answer, Claim, Entry, Settle
from watchtower.core.model import Instant, Notification, Outcome, Stage, State
from watchtower.delivery.orders import Sending
from watchtower.delivery.sender import Sender
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending

PEERS: Final = ("a", "b", "c")
ORACLE: Final = "o"
CONFIG: Final = settings(peers=(ORACLE, *PEERS))
ANSWER_S: Final = 2.0
SEND_MAX_S: Final = 9.5
PAUSES_S: Final = (6.0, 20.0, 40.0)
LATE_S: Final = (3.0, 12.0, 30.0)
DEAF_S: Final = (3.0, 8.0)


class Flying(Struct, kw_only=True):
    """An entry on its way into the log."""

    entry: Entry
    due: float


class Attempt(Struct, kw_only=True):
    """A message on its way: ordered, perhaps on the wire, perhaps arrived. Times are real ones."""

    order: Sending
    begins: float
    takes_s: float
    fate: str
    has_begun: bool = False
    has_arrived: bool = False


class Actor:
    """One peer with its Sender; `boot` changes with every life."""

    def __init__(self, name: str, rate: float) -> None:
        self.name = name
        self.rate = rate
        self.lives = count(1)
        self.ids = count(1)
        self.at = 0
        self.paused_until = 0.0
        self.deaf_until = 0.0
        self.begin()

    def begin(self) -> None:
        """A new life that knows nothing but the log."""
        self.boot_id = f"{self.name}{next(self.lives)}"
        self.sender = Sender(self.name, lambda: f"{self.boot_id}.{next(self.ids)}")
        self.waiting: list[tuple[int, Claim | Settle, float]] = []
        self.attempts: list[Attempt] = []

    def now(self, real: float) -> Instant:
        """This machine's clocks at a real time."""
        return Instant(wall=WALL + real, boot=1000.0 + real * self.rate)


class World:
    """The log, the network, the channel, and three actors."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - a walk is repeated by its seed
        self.book = Book(peers=(ORACLE, *PEERS))
        self.states: list[State] = [self.book.state]
        self.answers: list[tuple[str, int, Answer]] = [("", 0, Answer(ok=True))]
        self.actors = {name: Actor(name, self.random.choice((0.9995, 1.0, 1.0005))) for name in PEERS}
        self.flying: list[Flying] = []
        self.numbers = count(1)
        self.real = 0.0
        self.rights: dict[str, tuple[str, float]] = {}
        self.arrived: list[tuple[str, int, str]] = []
        self.unsettled: dict[str, str] = {}
        self.may_repeat: set[str] = set()
        self.wire: list[Attempt] = []

    @property
    def head(self) -> State:
        """The state after the whole log."""
        return self.states[-1]

    def walk(self, turns: int) -> None:
        """So many turns: time goes on, things arrive, everybody who can does something."""
        for _ in range(turns):
            self.real += self.random.choice((0.05, 0.2, 0.2, 0.7, 1.5))
            self._deliver()
            self._oracle()
            for actor in self.actors.values():
                self._trouble(actor)
                if self.real >= actor.paused_until:
                    self._act(actor)
            self._arrivals()
            self._expiries()

    # ---- the log

    def _append(self, entry: Entry) -> None:
        after, answer = ledger.apply(self.head, entry)
        self.states.append(after)
        self.answers.append((entry.boot, entry.seq, answer))

    def _propose(self, actor: Actor, command: c.Command) -> int:
        row = self.states[actor.at].row(actor.name)
        session = row.session if row.boot_id == actor.boot_id else 0
        seq = next(self.numbers)
        entry = Entry(v=1, by=actor.name, boot=actor.boot_id, seq=seq, session=session, command=command)
        luck = self.random.random()
        for _ in range(0 if luck < 0.05 else 2 if luck < 0.12 else 1):
            late = self.random.random() < 0.12
            delay_s = self.random.choice(LATE_S) if late else self.random.uniform(0.01, 0.3)
            self.flying.append(Flying(entry=entry, due=self.real + delay_s))
        return seq

    def _deliver(self) -> None:
        due = [one for one in self.flying if one.due <= self.real]
        self.flying = [one for one in self.flying if one.due > self.real]
        for one in sorted(due, key=lambda one: one.due):
            self._append(one.entry)

    # ---- what should be told, and by whom

    def _oracle(self) -> None:
        self.book.state, seen = self.head, len(self.book.entries)
        item = self._somebody_elses()
        luck = self.random.random()
        if luck < 0.1 and not self.head.service("web").open:
            self.book.do(ORACLE, self.book.opening())
        elif luck < 0.08 and self.head.service("web").open:
            self.book.do(ORACLE, self.book.closing())
        elif item is not None:
            wanted = self.random.choice(PEERS)
            self.book.do(ORACLE, c.Assign(epoch=self.head.lease.epoch, id=item.id, sender=wanted))
        for entry in self.book.entries[seen:]:
            self._append(entry)

    def _somebody_elses(self) -> Notification | None:
        """What waits for a sender that will not act, and now and then whatever waits."""
        for item in self.head.notifications.values():
            idle = item.sender == ORACLE or self.real < self.actors[item.sender].paused_until
            if not item.stage.finished and (idle or self.random.random() < 0.02):
                return item
        return None

    # ---- what an actor does

    def _trouble(self, actor: Actor) -> None:
        luck = self.random.random()
        if luck < 0.004:
            begun = [attempt for attempt in actor.attempts if attempt.has_begun]
            held = {attempt.order.item.id for attempt in begun} | set(self._unsettled_of(actor))
            self.may_repeat |= held
            actor.begin()
        elif luck < 0.02:
            actor.paused_until = self.real + self.random.choice(PAUSES_S)
        elif luck < 0.03:
            actor.deaf_until = self.real + self.random.choice(DEAF_S)

    def _unsettled_of(self, actor: Actor) -> list[str]:
        return [item for claim_id, item in self.unsettled.items() if claim_id.startswith(f"{actor.boot_id}.")]

    def _act(self, actor: Actor) -> None:
        self._apply(actor)
        now, state = actor.now(self.real), self.states[actor.at]
        row = state.row(actor.name)
        if row.boot_id != actor.boot_id:
            join = c.Join(boot_id=actor.boot_id, version="", command_version=1, at_wall=now.wall)
            self._propose(actor, join)
            return
        orders = actor.sender.step(state, row.session, CONFIG, now)
        for claim in orders.claims:
            self._submit(actor, claim)
            self.rights[claim.claim_id] = (actor.name, now.boot + claim.hold_ms / 1000)
        for settle in orders.settles:
            self._submit(actor, settle)
        for search in orders.searches:
            actor.sender.searched(search, Found(trace=Trace.UNKNOWN))
        for order in orders.sends:
            self._order(actor, order)
        self._progress(actor)

    def _submit(self, actor: Actor, command: Claim | Settle) -> None:
        """Propose, and wait a while for the answer."""
        actor.waiting.append((self._propose(actor, command), command, self.real + ANSWER_S))

    def _apply(self, actor: Actor) -> None:
        """Some or all of the log, with the answers to what this life has proposed."""
        last = len(self.states) - 1 if self.real >= actor.deaf_until else actor.at
        upto = last if self.random.random() < 0.8 else self.random.randint(actor.at, last)
        answers = {
            seq: answer
            for boot, seq, answer in self.answers[actor.at + 1 : upto + 1]
            if boot == actor.boot_id
        }
        actor.at = upto
        still = []
        for seq, command, deadline in actor.waiting:
            if seq in answers or self.real >= deadline:
                actor.sender.answered(command, answers.get(seq), actor.now(self.real))
            else:
                still.append((seq, command, deadline))
        actor.waiting = still

    def _order(self, actor: Actor, order: Sending) -> None:
        fates = ("accepted",) * 6 + ("lost", "ambiguous", "refused", "refused")
        attempt = Attempt(
            order=order,
            begins=self.real + self.random.uniform(0.0, 0.1),
            takes_s=self.random.choice((0.1, 0.1, 1.0, 4.0, SEND_MAX_S)),
            fate=self.random.choice(fates),
        )
        actor.attempts.append(attempt)
        if self.random.random() < 0.05:
            actor.paused_until = self.real + self.random.choice(PAUSES_S)

    def _progress(self, actor: Actor) -> None:
        """First bytes through the fence, and ends that the sender is told of."""
        now, state = actor.now(self.real), self.states[actor.at]
        session = state.row(actor.name).session
        for attempt in tuple(actor.attempts):
            order = attempt.order
            if not attempt.has_begun and self.real >= attempt.begins:
                if not actor.sender.may_send(state, session, order, now.boot):
                    actor.attempts.remove(attempt)
                    actor.sender.ended(order, Ending(outcome=Outcome.NOT_SENT, detail=""), now)
                    continue
                attempt.has_begun, attempt.begins = True, self.real
                self.wire.append(attempt)
                self.unsettled[order.item.claim_id] = order.item.id
                if attempt.fate in ("lost", "ambiguous"):
                    self.may_repeat.add(order.item.id)
            elif attempt.has_begun and self.real >= attempt.begins + attempt.takes_s:
                actor.attempts.remove(attempt)
                outcomes = {"accepted": Outcome.ACCEPTED, "refused": Outcome.REJECTED}
                outcome = outcomes.get(attempt.fate, Outcome.AMBIGUOUS)
                actor.sender.ended(order, Ending(outcome=outcome, detail=""), now)

    # ---- what arrives, and what must hold

    def _arrivals(self) -> None:
        for attempt in tuple(self.wire):
            arrival = attempt.begins + attempt.takes_s
            if self.real < arrival:
                continue
            self.wire.remove(attempt)
            if attempt.fate in ("accepted", "lost"):
                self._receive(attempt.order, arrival)
            else:
                self.unsettled.pop(attempt.order.item.claim_id, None)

    def _receive(self, order: Sending, arrival: float) -> None:
        item = order.item
        # The right that counts is that of the claim which was applied, whatever the sender took for it.
        name, until_boot = self.rights[item.claim_id]
        if self.actors[name].now(arrival).boot > until_boot:
            raise Violation("sent after its claim ran out")
        if any(item.id == identifier for identifier, *_ in self.arrived) and item.id not in self.may_repeat:
            raise Violation("a repeat outside the window")
        lane = [number for _, number, known in self.arrived if known == item.lane]
        if lane and item.order < lane[-1]:
            raise Violation("out of order")
        if self.head.notifications.get(item.id, item).stage is Stage.CANCELLED:
            raise Violation("cancelled, yet it is sent")
        self.arrived.append((item.id, item.order, item.lane))

    def _expiries(self) -> None:
        """A claim that was used and ran out before its outcome was in the log opens the window."""
        for claim_id, identifier in tuple(self.unsettled.items()):
            name, until_boot = self.rights[claim_id]
            item = self.head.notifications.get(identifier)
            if item is None or item.claim_id != claim_id or item.stage is not Stage.CLAIMED:
                # Settled, or taken over: then the claim had run out before, or nobody should have taken it.
                self.unsettled.pop(claim_id)
            elif self.actors[name].now(self.real).boot > until_boot:
                self.may_repeat.add(identifier)


def search(walks: int, *, first_seed: int = 0, turns: int = 500) -> tuple[int, str] | None:
    """The first seed whose walk breaks a rule, and which; None when none does."""
    for seed in range(first_seed, first_seed + walks):
        try:
            World(seed).walk(turns)
        except Violation as broken:
            return seed, str(broken)
    return None
