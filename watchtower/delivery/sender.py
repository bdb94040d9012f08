"""The sender of protocol.md section 3: when to claim, when to send, what to settle. Pure and steppable.

Theory. A claim is a right to send until t0 + hold on this machine's own clock, where t0 was read
before the claim was proposed and counts only for that very claim id. Nothing is believed but applied
state: an answer that is missing or late means "not mine". Who wants to take over an item that is
claimed or uncertain waits, from when this process first saw that claim id, so long that the other's
right has ended on any clock. `step` compares what it holds with the applied state and says what to
propose and what to send; it reads no clock, touches no socket, and may be called at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchtower.core.commands import Answer, Claim, Settle
from watchtower.core.model import (
    Doubt,
    Instant,
    NoticeKind,
    Notification,
    Outcome,
    Stage,
    State,
)
from watchtower.core.outbox import head_of_lane, next_attempt
from watchtower.core.settings import Channel, Settings
from watchtower.delivery.witness import Ending

HOLD_S: Final = 15.0
BUDGET_S: Final = 10.0
MARGIN_S: Final = 1.0
CLOCK_RATE_ERROR: Final = 0.001
FAILURES_MAX: Final = 8
"""A permanent refusal without a fallback channel is given up after so many failures."""
REPROPOSE_S: Final = 0.5
FORGOTTEN_MAX: Final = 1_000
IDLE_S: Final = 3_600.0
_OVER: Final = (Stage.DELIVERED, Stage.DEAD, Stage.CANCELLED)


def rival_wait_s(hold_ms: int) -> float:
    """How long a rival waits, on its own clock, after it saw a claim of `hold_ms` (protocol.md, Rival)."""
    r = CLOCK_RATE_ERROR
    return hold_ms / 1000 * (1 + r) / (1 - r) + MARGIN_S


class Phase(StrEnum):
    """Where a claim of ours stands."""

    CLAIMING = "claiming"
    SENDING = "sending"
    SETTLING = "settling"


class Held(Struct):
    """A claim this process proposed. `attempt` is the number it will have once applied."""

    id: str
    channel: str
    claim_id: str
    attempt: int
    t0_boot: float
    is_takeover: bool
    phase: Phase = Phase.CLAIMING
    is_proposing: bool = True
    settle: Settle | None = None
    not_before_boot: float = 0.0

    @property
    def send_until_boot(self) -> float:
        """The fence: no first byte later than this."""
        return self.t0_boot + HOLD_S - BUDGET_S


class _Seen(Struct):
    """When this process first saw an item's latest claim, and its latest failure."""

    claim_id: str = ""
    claim_boot: float = 0.0
    failures: int = 0
    failure_boot: float = 0.0


class Sending(Struct, frozen=True, kw_only=True):
    """An order to send: the item as applied, and the right it rests on."""

    item: Notification
    channel: Channel
    claim_id: str
    t0_boot: float
    is_takeover: bool


class Orders(Struct, frozen=True, kw_only=True):
    """What to do after one step, and when to step again at the latest."""

    claims: tuple[Claim, ...] = ()
    sends: tuple[Sending, ...] = ()
    settles: tuple[Settle, ...] = ()
    wake_boot: float = 0.0


class Sender:
    """The claims of this process and the timers of everybody else's."""

    def __init__(self, me: str, new_id: Callable[[], str]) -> None:
        self._me = me
        self._new_id = new_id
        self._held: dict[str, Held] = {}
        self._forgotten: dict[str, str] = {}
        self._refused: dict[str, float] = {}
        self._seen: dict[str, _Seen] = {}
        self._is_draining = False

    @property
    def is_idle(self) -> bool:
        """True when nothing is claimed, being sent, or waiting to be settled."""
        return not self._held

    def drain(self) -> None:
        """Claim nothing more; what is under way goes on to its end."""
        self._is_draining = True

    def step(
        self, state: State, session: int, settings: Settings, now: Instant, full: Collection[str] = ()
    ) -> Orders:
        """Compare with `state` as applied here. `full` are channels that can take no further send now."""
        self._look(state, now)
        if session == 0:
            return Orders(wake_boot=now.boot + IDLE_S)
        sends = tuple(self._begun(state, session, settings, now))
        settles = tuple(self._settles(state, session, now))
        claims = tuple(self._new_claims(state, settings, now, full))
        return Orders(claims=claims, sends=sends, settles=settles, wake_boot=self._wake(state, now))

    def answered(self, command: Claim | Settle, answer: Answer | None, now: Instant) -> None:
        """What became of a proposal. None, or a refusal, of a claim: it is not ours, and is forgotten."""
        held = self._held.get(command.id)
        if held is None:
            return
        if isinstance(command, Settle):
            if held.settle == command:
                held.is_proposing, held.not_before_boot = False, now.boot + REPROPOSE_S
        elif held.claim_id == command.claim_id:
            held.is_proposing = False
            is_granted = answer is not None and answer.ok
            if not is_granted and held.phase is Phase.CLAIMING:
                self._forget(held)
                self._refused[command.id] = now.boot + REPROPOSE_S

    def ended(self, order: Sending, ending: Ending, now: Instant) -> Outcome:
        """An attempt is over. Returns the outcome that will be settled."""
        outcome = outcome_of(order.item, order.channel, ending)
        held = self._held.get(order.item.id)
        if held is not None and held.claim_id == order.claim_id:
            self._settling(held, outcome, now, ending)
        return outcome

    def may_send(self, state: State, session: int, order: Sending, boot: float) -> bool:
        """The fence of an order: in time, and still ours in the latest applied state."""
        item = state.notifications.get(order.item.id)
        in_time = boot <= order.t0_boot + HOLD_S - BUDGET_S
        return in_time and self._is_mine(item, order.claim_id, session)

    # ---- what is ours

    def _is_mine(self, item: Notification | None, claim_id: str, session: int) -> bool:
        if item is None or item.stage is not Stage.CLAIMED:
            return False
        return (item.owner, item.session, item.claim_id) == (self._me, session, claim_id)

    def _forget(self, held: Held) -> None:
        """Never send under this claim, should it still be applied one day."""
        del self._held[held.id]
        self._forgotten[held.claim_id] = held.id
        while len(self._forgotten) > FORGOTTEN_MAX:
            del self._forgotten[next(iter(self._forgotten))]

    def _begun(self, state: State, session: int, settings: Settings, now: Instant) -> Iterator[Sending]:
        """Claims that the applied state shows to be ours: send, or settle without sending."""
        for held in [one for one in self._held.values() if one.phase is Phase.CLAIMING]:
            item = state.notifications.get(held.id)
            if item is None or not self._is_mine(item, held.claim_id, session):
                self._give_up_if_lost(held, item, now)
                continue
            channel = settings.channels.get(held.channel)
            instead = _instead_of_sending(state, item, channel, is_too_late=now.boot > held.send_until_boot)
            if instead is not None:
                self._settling(held, instead.outcome, now, instead)
            elif channel is not None:
                held.phase = Phase.SENDING
                yield Sending(
                    item=item,
                    channel=channel,
                    claim_id=held.claim_id,
                    t0_boot=held.t0_boot,
                    is_takeover=held.is_takeover,
                )

    def _give_up_if_lost(self, held: Held, item: Notification | None, now: Instant) -> None:
        """A granted claim may be applied a moment before its state reaches us; one overtaken is gone."""
        is_overtaken = item is None or item.stage.finished or item.attempt > held.attempt
        if not held.is_proposing and (is_overtaken or now.boot > held.send_until_boot):
            self._forget(held)

    def _settling(self, held: Held, outcome: Outcome, now: Instant, ending: Ending) -> None:
        held.phase = Phase.SETTLING
        held.is_proposing = False
        held.not_before_boot = now.boot
        held.settle = Settle(
            id=held.id,
            attempt=held.attempt,
            outcome=outcome,
            at_wall=now.wall,
            receipt=ending.receipt,
            detail=ending.detail,
            retry_after_s=ending.retry_after_s,
        )

    def _settles(self, state: State, session: int, now: Instant) -> Iterator[Settle]:
        for held in [one for one in self._held.values() if one.settle is not None]:
            item = state.notifications.get(held.id)
            if held.settle is None or self._is_settled(held, item, session):
                del self._held[held.id]
            elif not held.is_proposing and now.boot >= held.not_before_boot:
                held.is_proposing = True
                yield held.settle
        yield from self._disowned(state, session, now)

    def _is_settled(self, held: Held, item: Notification | None, session: int) -> bool:
        """Proposed until the state shows it, or the claim is no longer ours; `accepted` until it is known."""
        is_ours = self._is_mine(item, held.claim_id, session)
        if held.settle is not None and held.settle.outcome is Outcome.ACCEPTED and not is_ours:
            return item is None or item.stage in _OVER or item.doubt is Doubt.PROOF
        return not is_ours

    def _disowned(self, state: State, session: int, now: Instant) -> Iterator[Settle]:
        """A forgotten claim that was applied after all: nothing was sent under it, so it is given back."""
        for claim_id, notification_id in tuple(self._forgotten.items()):
            item = state.notifications.get(notification_id)
            if item is None or item.stage.finished:
                del self._forgotten[claim_id]
            elif notification_id not in self._held and self._is_mine(item, claim_id, session):
                held = Held(
                    id=item.id,
                    channel=item.channel,
                    claim_id=claim_id,
                    attempt=item.attempt,
                    t0_boot=now.boot,
                    is_takeover=False,
                )
                detail = "the claim was applied too late"
                self._settling(held, Outcome.NOT_SENT, now, Ending(outcome=Outcome.NOT_SENT, detail=detail))
                held.is_proposing = True
                self._held[item.id] = held
                if held.settle is not None:
                    yield held.settle

    # ---- what may become ours

    def _look(self, state: State, now: Instant) -> None:
        """Start a timer for every claim and every failure when this process first sees it."""
        known, self._seen = self._seen, {}
        for item in state.notifications.values():
            if item.stage.finished:
                continue
            seen = known.get(item.id) or _Seen()
            if seen.claim_id != item.claim_id:
                seen.claim_id, seen.claim_boot = item.claim_id, now.boot
            if seen.failures != item.failures:
                seen.failures, seen.failure_boot = item.failures, now.boot
            self._seen[item.id] = seen
        self._refused = {key: boot for key, boot in self._refused.items() if boot > now.boot}

    def _new_claims(
        self, state: State, settings: Settings, now: Instant, full: Collection[str]
    ) -> Iterator[Claim]:
        if self._is_draining:
            return
        # One at a time until it is settled: a crash leaves at most one delivery per channel in doubt.
        busy = {held.channel for held in self._held.values()} | set(full) | self._resting(state, now)
        for item in sorted(self._wanted(state), key=lambda one: one.order):
            is_free = item.channel not in busy and self._is_sendable(item, state, settings)
            if is_free and self._due_boot(item, now) <= now.boot and head_of_lane(state, item):
                busy.add(item.channel)
                yield self._claim(item, now)

    def _wanted(self, state: State) -> Iterator[Notification]:
        for item in state.notifications.values():
            if item.sender == self._me and not item.stage.finished and item.id not in self._held:
                yield item

    @staticmethod
    def _is_sendable(item: Notification, state: State, settings: Settings) -> bool:
        """An unknown channel is claimed (to settle it as dead) only under the config in force."""
        return item.channel in settings.channels or settings.config_hash == state.config.hash

    def _claim(self, item: Notification, now: Instant) -> Claim:
        held = Held(
            id=item.id,
            channel=item.channel,
            claim_id=self._new_id(),
            attempt=item.attempt + 1,
            t0_boot=now.boot,
            is_takeover=item.stage is not Stage.PENDING,
        )
        self._held[item.id] = held
        return Claim(id=item.id, attempt=item.attempt, hold_ms=round(HOLD_S * 1000), claim_id=held.claim_id)

    def _due_boot(self, item: Notification, now: Instant) -> float:
        """When this process may claim the item, on its own clock."""
        seen = self._seen[item.id]
        due_boot = self._refused.get(item.id, now.boot)
        if item.failures:
            due_boot = max(due_boot, self._retry_boot(item, now, seen.failure_boot))
        if item.stage in (Stage.CLAIMED, Stage.UNCERTAIN):
            due_boot = max(due_boot, seen.claim_boot + rival_wait_s(item.hold_ms))
        return due_boot

    def _resting(self, state: State, now: Instant) -> set[str]:
        """Channels that asked to wait: what they told one sender holds for all, and for every message."""
        return {
            item.channel
            for item in state.notifications.values()
            if not item.stage.finished
            and item.retry_after_s
            and self._retry_boot(item, now, self._seen[item.id].failure_boot) > now.boot
        }

    @staticmethod
    def _retry_boot(item: Notification, now: Instant, failure_boot: float) -> float:
        """By the wall clock of who settled, but never longer than the pause itself since we saw it."""
        at_wall = next_attempt(item).at_wall
        return min(now.boot + at_wall - now.wall, failure_boot + at_wall - item.settled_wall)

    def _wake(self, state: State, now: Instant) -> float:
        settling = [held.not_before_boot for held in self._held.values() if held.settle is not None]
        claiming = [held.send_until_boot for held in self._held.values() if held.phase is Phase.CLAIMING]
        waiting = [self._due_boot(item, now) for item in self._wanted(state)]
        return min(
            (boot for boot in (*settling, *claiming, *waiting) if boot > now.boot), default=now.boot + IDLE_S
        )


def outcome_of(item: Notification, channel: Channel, ending: Ending) -> Outcome:
    """What an ending means for the notification: a permanent refusal goes to the fallback, or is given up."""
    if ending.outcome is not Outcome.REJECTED or not ending.is_permanent:
        return ending.outcome
    is_hopeless = bool(channel.fallback) or item.failures + 1 >= FAILURES_MAX
    return Outcome.DEAD if is_hopeless else Outcome.REJECTED


def _instead_of_sending(
    state: State, item: Notification, channel: Channel | None, *, is_too_late: bool
) -> Ending | None:
    """Sender rules 3, 5 and 6 before a socket is opened; None when the item is to be sent."""
    if item.doubt is Doubt.PROOF:
        return Ending(outcome=Outcome.ACCEPTED, detail="an earlier attempt had been accepted")
    if item.kind is not NoticeKind.RESOLVED and not _is_open(state, item):
        outcome = Outcome.SUPERSEDED if item.doubt is Doubt.MAYBE else Outcome.NOT_SENT
        return Ending(outcome=outcome, detail="the incident ended before it was sent")
    if channel is None:
        return Ending(outcome=Outcome.DEAD, detail="the channel is not configured")
    if is_too_late:
        return Ending(outcome=Outcome.NOT_SENT, detail="the claim was applied too late", is_fenced=True)
    return None


def _is_open(state: State, item: Notification) -> bool:
    incident = state.incidents.get(item.incident)
    return incident is not None and incident.is_open
