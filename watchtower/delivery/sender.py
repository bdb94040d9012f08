"""The sender of protocol.md section 3: when to claim, search, send, and what to settle. Pure and steppable.

Theory. A claim is a right to send until t0 + hold on this machine's own clock, where t0 was read
before the claim was proposed and counts only for that very claim id. Nothing is believed but applied
state: an answer that is missing or late means "not mine". Who wants to take over an item that is
claimed or uncertain waits, from when this process first saw that claim id, so long that the other's
right has ended on any clock. `step` compares what it holds with the applied state and says what to
propose and what to send; it reads no clock, touches no socket, and may be called at any time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Final

from watchtower.core.alerting import silencing
from watchtower.core.alerting.attempts import is_hopeless, turn
from watchtower.core.applying.outbox import is_waiting, lane_heads
from watchtower.core.channel_rows import ChannelRow
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
from watchtower.core.settings import Channel, Settings
from watchtower.delivery.orders import HOLD_S, SEARCH_S, Held, Orders, Phase, Search, Sending
from watchtower.delivery.timers import REPROPOSE_S, Timers
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.witness import Ending

FORGOTTEN_MAX: Final = 1_000
IDLE_S: Final = 3_600.0
_NOT_YET_SENDING: Final = (Phase.CLAIMING, Phase.RECONCILING)
_OVER: Final = (Stage.DELIVERED, Stage.DEAD, Stage.CANCELLED)


class Sender:
    """The claims of this process and the timers of everybody else's."""

    def __init__(self, me: str, new_id: Callable[[], str]) -> None:
        self._me = me
        self._new_id = new_id
        self._held: dict[str, Held] = {}
        self._forgotten: dict[str, str] = {}
        self._timers = Timers()
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
        self._timers.look(state, now)
        if session == 0:
            return Orders(wake_boot=now.boot + IDLE_S)
        begun = tuple(self._begun(state, session, settings, now))
        settles = tuple(self._settles(state, session, now))
        claims = tuple(self._new_claims(state, settings, now, full))
        return Orders(
            claims=claims,
            searches=tuple(order for order in begun if isinstance(order, Search)),
            sends=tuple(order for order in begun if isinstance(order, Sending)),
            settles=settles,
            wake_boot=self._wake(state, settings, now),
        )

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
                self._timers.refused(command.id, now)

    def searched(self, order: Search, found: Found) -> None:
        """A search is over; the next step goes on from there."""
        held = self._held.get(order.item.id)
        if held is not None and held.claim_id == order.claim_id:
            held.found = found

    def ended(self, order: Sending, ending: Ending, now: Instant) -> Outcome:
        """An attempt is over. Returns the outcome that will be settled."""
        outcome = outcome_of(order.item, ending, is_last=order.is_last)
        held = self._held.get(order.item.id)
        if held is not None and held.claim_id == order.claim_id:
            self._settling(held, outcome, now, ending)
        return outcome

    def may_send(self, state: State, session: int, order: Sending, boot: float) -> bool:
        """The fence of an order: in time, and still ours in the latest applied state."""
        item = state.notifications.get(order.item.id)
        return boot <= order.send_until_boot and self._is_mine(item, order.claim_id, session)

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

    def _begun(
        self, state: State, session: int, settings: Settings, now: Instant
    ) -> Iterator[Search | Sending]:
        """Claims that the applied state shows to be ours: search, send, or settle without sending."""
        for held in [one for one in self._held.values() if one.phase in _NOT_YET_SENDING]:
            item = state.notifications.get(held.id)
            if item is None or not self._is_mine(item, held.claim_id, session):
                self._give_up_if_lost(held, item, now)
                continue
            channel = settings.channels.get(held.channel)
            reason = silencing.unwanted(state, settings, item, now.wall)
            is_too_late = now.boot > held.send_until_boot
            instead = _instead_of_sending(item, channel, held.found, reason, is_too_late=is_too_late)
            if instead is not None:
                self._settling(held, instead.outcome, now, instead)
            elif channel is not None and item.doubt is Doubt.MAYBE and held.found is None:
                yield from self._search(held, item, channel, now)
            elif channel is not None:
                held.phase = Phase.SENDING
                yield Sending(
                    item=item,
                    channel=channel,
                    claim_id=held.claim_id,
                    send_until_boot=held.send_until_boot,
                    is_takeover=held.is_takeover,
                    may_repeat=held.found is not None and held.found.trace is Trace.UNKNOWN,
                    is_last=is_hopeless(item, state.channels.get(item.channel, ChannelRow())),
                )

    @staticmethod
    def _search(held: Held, item: Notification, channel: Channel, now: Instant) -> Iterator[Search]:
        """Rule 4: what may have arrived is looked for first, once per claim."""
        if held.phase is Phase.CLAIMING:
            held.phase = Phase.RECONCILING
            until_boot = min(now.boot + SEARCH_S, held.send_until_boot)
            yield Search(item=item, channel=channel, claim_id=held.claim_id, until_boot=until_boot)

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
            is_permanent=ending.is_permanent,
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
                    hold_s=HOLD_S,
                    is_takeover=False,
                )
                detail = "the claim was applied too late"
                self._settling(held, Outcome.NOT_SENT, now, Ending(outcome=Outcome.NOT_SENT, detail=detail))
                held.is_proposing = True
                self._held[item.id] = held
                if held.settle is not None:
                    yield held.settle

    # ---- what may become ours

    def _new_claims(
        self, state: State, settings: Settings, now: Instant, full: Collection[str]
    ) -> Iterator[Claim]:
        if self._is_draining:
            return
        # One at a time until it is settled: a crash leaves at most one delivery per channel in doubt.
        busy = {held.channel for held in self._held.values()} | set(full)
        due_boots, heads = self._due_boots(state, settings, now), lane_heads(state)
        for item in sorted(self._wanted(state), key=partial(turn, state)):
            is_free = item.channel not in busy and self._is_sendable(item, state, settings)
            is_next = heads.get(item.lane, item.order) >= item.order
            if not (is_free and due_boots[item.id] <= now.boot and is_next):
                continue
            # What waits and nobody wants is the alerter's to withdraw, and was no failure of the channel.
            # What somebody had claimed is always taken over (protocol.md, hole 14): it may have left.
            if is_waiting(item) and silencing.unwanted(state, settings, item, now.wall):
                continue
            busy.add(item.channel)
            yield self._claim(state, item, now)

    def _wanted(self, state: State) -> Iterator[Notification]:
        for item in state.notifications.values():
            if item.sender == self._me and not item.stage.finished and item.id not in self._held:
                yield item

    def _due_boots(self, state: State, settings: Settings, now: Instant) -> dict[str, float]:
        """When this process may claim each item that it is to send, on its own clock."""
        wanted = list(self._wanted(state))
        names = {item.channel for item in wanted}
        channels = {name: self._timers.channel(name, self._me, settings, now) for name in names}
        return {item.id: self._timers.due_boot(item, channels[item.channel], now) for item in wanted}

    @staticmethod
    def _is_sendable(item: Notification, state: State, settings: Settings) -> bool:
        """An unknown channel is claimed (to settle it as dead) only under the config in force."""
        return item.channel in settings.channels or settings.config_hash == state.config.hash

    def _claim(self, state: State, item: Notification, now: Instant) -> Claim:
        is_takeover = item.stage is not Stage.PENDING
        may_have_arrived = is_takeover or item.doubt is not Doubt.NO
        held = Held(
            id=item.id,
            channel=item.channel,
            claim_id=self._new_id(),
            attempt=item.attempt + 1,
            t0_boot=now.boot,
            hold_s=HOLD_S + SEARCH_S if may_have_arrived else HOLD_S,
            is_takeover=is_takeover,
        )
        self._held[item.id] = held
        hold_ms = round(held.hold_s * 1000)
        return Claim(
            id=item.id,
            attempt=item.attempt,
            hold_ms=hold_ms,
            claim_id=held.claim_id,
            policy_rev=state.policy_rev,
        )

    def _wake(self, state: State, settings: Settings, now: Instant) -> float:
        settling = [held.not_before_boot for held in self._held.values() if held.settle is not None]
        claiming = [held.send_until_boot for held in self._held.values() if held.phase in _NOT_YET_SENDING]
        waiting = self._due_boots(state, settings, now).values()
        return min(
            (boot for boot in (*settling, *claiming, *waiting) if boot > now.boot), default=now.boot + IDLE_S
        )


def outcome_of(item: Notification, ending: Ending, *, is_last: bool) -> Outcome:
    """What an ending means for the notification: refused for good, it waits for the channel to be mended.

    It is given up where only the message can be at fault (`is_last`). A test has one try: that it failed is
    what was asked; and nobody wants to read later that an hour was used up.
    """
    if item.kind is NoticeKind.TEST and ending.outcome is not Outcome.ACCEPTED and not ending.is_fenced:
        return Outcome.DEAD
    if ending.outcome is not Outcome.REJECTED or not ending.is_permanent:
        return ending.outcome
    return Outcome.DEAD if is_last or item.kind is NoticeKind.CEILING else Outcome.REJECTED


def _instead_of_sending(
    item: Notification, channel: Channel | None, found: Found | None, unwanted: str, *, is_too_late: bool
) -> Ending | None:
    """Sender rules 3 to 6 before a socket is opened; None when the item is to be searched for or sent."""
    if item.doubt is not Doubt.NO and (known := _known_without_looking(item)):
        return known
    if found is not None and found.trace is Trace.PRESENT:
        detail = f"found in the channel: {found.detail}" if found.detail else "found in the channel"
        return Ending(outcome=Outcome.ACCEPTED, detail=detail, receipt=found.receipt)
    is_searched = found is not None or item.doubt is Doubt.NO or channel is None
    if is_searched and unwanted:
        outcome = Outcome.SUPERSEDED if item.doubt is Doubt.MAYBE else Outcome.NOT_SENT
        return Ending(outcome=outcome, detail=unwanted)
    if channel is None:
        return Ending(outcome=Outcome.DEAD, detail="the channel is not configured")
    if is_too_late:
        return Ending(outcome=Outcome.NOT_SENT, detail="the claim was applied too late", is_fenced=True)
    return None


def _known_without_looking(item: Notification) -> Ending | None:
    if item.doubt is Doubt.PROOF:
        return Ending(outcome=Outcome.ACCEPTED, detail="an earlier attempt had been accepted")
    if item.kind is NoticeKind.TEST:
        return Ending(outcome=Outcome.DEAD, detail="its sender stopped in mid-test")
    return None
