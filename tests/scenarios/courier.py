"""The ideal courier of a scenario's peer, and the scripted channels it sends to.

It follows the sender of protocol.md section 3 to the letter: claim, look whether the applied claim is this
very one, fence, send once, settle until it shows. The channels answer as the script says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.alerting import silencing
from watchtower.core.alerting.attempts import ChannelState, channel_states, is_hopeless, next_attempt, turn
from watchtower.core.applying import digests, outbox, standins
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.commands import Answer, Claim, Command, Settle
from watchtower.core.model import Doubt, Instant, NoticeKind, Notification, Outcome, Stage, State
from watchtower.core.settings import Settings
from watchtower.delivery.sender import outcome_of
from watchtower.delivery.witness import Ending

HOLD_S: Final = 15.0
BUDGET_S: Final = 10.0
RIVAL_WAITS_S: Final = 16.25

MOODS: Final = ("accepts", "refuses", "is dead", "is misconfigured", "loses answers", "is unreachable")

Submit = Callable[[Command], Answer | None]
Tell = Callable[[str], None]


class Channel(Struct, kw_only=True):
    """A destination: how it treats whom, and what it has received, as (id, order, lane)."""

    name: str
    mood: str = "accepts"
    moody_for: tuple[str, ...] = ()
    answers_after_s: float = 0.0
    asks_s: float = 0.0
    received: list[Notification] = []

    def mood_for(self, peer: str) -> str:
        """How a message of `peer` is treated now."""
        return self.mood if not self.moody_for or peer in self.moody_for else "accepts"

    def words(self, peer: str) -> dict[str, Any]:
        """What a refusal says: that it asks to wait, or that it cannot work as configured."""
        mood = self.mood_for(peer)
        if mood == "asks to wait":
            return {"retry_after_s": self.asks_s}
        return {"is_permanent": mood in ("is dead", "is misconfigured")}

    def take(self, item: Notification, peer: str, state: State, tell: Tell) -> Outcome:
        """One message arrives, or does not; the outcome as its sender will learn it."""
        mood, words = self.mood_for(peer), f"{in_full(item, state)} from {peer}"
        if mood in ("accepts", "loses answers"):
            again = any(other.id == item.id for other in self.received)
            marks = " (marked as a possible repeat)" if item.doubt is not Doubt.NO else ""
            marks += " AGAIN" if again else ""
            tell(f"{self.name} gets {words}{marks}")
            self.received.append(item)
            return Outcome.ACCEPTED if mood == "accepts" else Outcome.AMBIGUOUS
        tell(f"{self.name} {mood}: {words}")
        return Outcome.NOT_SENT if mood == "is unreachable" else Outcome.REJECTED


def described(item: Notification) -> str:
    """One notification in words."""
    level = item.notice.level.value.upper()
    if item.kind is NoticeKind.DIGEST:
        return f"DIGEST of {len(item.members)}"
    if item.kind is NoticeKind.CEILING:
        return f"CEILING: {item.notice.reason}"
    told = {
        NoticeKind.FIRING: level,
        NoticeKind.WORSENED: f"WORSE, {level}",
        NoticeKind.REMINDER: f"STILL {level}",
        NoticeKind.ESCALATION: f"ESCALATED, {level}",
        NoticeKind.SETTLED: f"SETTLED, {level}",
    }.get(item.kind, item.kind.value.upper())
    instead = f" (instead of {item.notice.instead_of})" if item.notice.instead_of else ""
    return f"#{item.incident} {item.service} {told}{instead}"


def in_full(item: Notification, state: State) -> str:
    """One notification in words, a digest with all that it tells."""
    if item.kind is not NoticeKind.DIGEST:
        return _with_elsewhere(item, state)
    told = [_with_elsewhere(member, state) for member in digests.worth_telling(state, item)]
    return f"DIGEST: {', '.join(told)}"


def _with_elsewhere(item: Notification, state: State) -> str:
    elsewhere = standins.told_elsewhere(state, [item])
    return described(item) + (f" (told by {' '.join(elsewhere)})" if elsewhere else "")


class Held(Struct, frozen=True, kw_only=True):
    """A claim of this process; `settle` is what it has to say once the channel has answered."""

    item: Notification
    claim_id: str
    t0_boot: float
    settle: Settle | None = None
    answer_boot: float = 0.0


class Courier:
    """One process's sender. Everything it knows is lost with the process."""

    def __init__(self, me: str, boot_id: str, channels: dict[str, Channel], tell: Tell) -> None:
        self._me = me
        self._boot_id = boot_id
        self._channels = channels
        self._tell = tell
        self._held: dict[str, Held] = {}
        self._seen: dict[str, tuple[str | None, float]] = {}
        self._claims = 0
        self._settings: Settings
        self.is_draining = False

    def step(self, state: State, session: int, settings: Settings, now: Instant, submit: Submit) -> None:
        """Send what is ours, settle what has an answer, claim what is due, for each channel one at a time."""
        self._settings = settings
        for item in state.notifications.values():
            if self._seen.get(item.id, (None, 0.0))[0] != item.claim_id:
                self._seen[item.id] = (item.claim_id, now.boot)
        for held in tuple(self._held.values()):
            self._go_on(held, state, session, now, submit)
        channels = channel_states(state, settings, (self._me,), now.wall)
        for item in tuple(self._due(state, session, channels, now)):
            if item.channel not in {held.item.channel for held in self._held.values()}:
                self._claim(state, item, now, submit)

    def _due(
        self, state: State, session: int, channels: dict[str, ChannelState], now: Instant
    ) -> Iterator[Notification]:
        items = sorted(state.notifications.values(), key=partial(turn, state))
        for item in () if self.is_draining or session == 0 else items:
            is_mine = item.sender == self._me and not item.stage.finished and item.id not in self._held
            is_free = item.stage is Stage.PENDING or now.boot >= self._seen[item.id][1] + RIVAL_WAITS_S
            channel = replace(channels[item.channel], fallback="")
            is_due = next_attempt(item, channel, now.wall).at_wall <= now.wall
            if not (is_mine and is_free and is_due and outbox.head_of_lane(state, item)):
                continue
            if not (outbox.is_waiting(item) and silencing.unwanted(state, self._settings, item, now.wall)):
                yield item

    def _claim(self, state: State, item: Notification, now: Instant, submit: Submit) -> None:
        self._claims += 1
        claim_id = f"{self._boot_id}/{self._claims}"
        hold_ms, policy_rev = round(HOLD_S * 1000), state.policy_rev
        command = Claim(
            id=item.id, attempt=item.attempt, hold_ms=hold_ms, claim_id=claim_id, policy_rev=policy_rev
        )
        answer = submit(command)
        if answer is not None and answer.ok:
            self._held[item.id] = Held(item=item, claim_id=claim_id, t0_boot=now.boot)

    def _go_on(self, held: Held, state: State, session: int, now: Instant, submit: Submit) -> None:
        item = state.notifications.get(held.item.id)
        is_mine = item is not None and item.stage is Stage.CLAIMED
        is_mine = is_mine and item is not None and (item.claim_id, item.session) == (held.claim_id, session)
        if held.settle is None and item is not None and is_mine:
            held = self._sent(held, item, state, now)
        if held.settle is None or self._is_settled(held.settle, item, is_mine=is_mine):
            del self._held[held.item.id]
        elif now.boot >= held.answer_boot:
            answer = submit(held.settle)
            if answer is not None and answer.ok:
                del self._held[held.item.id]

    def _sent(self, held: Held, item: Notification, state: State, now: Instant) -> Held:
        outcome, wait_s = self._without_sending(held, item, state, now), 0.0
        said: dict[str, Any] = {}
        if outcome is None:
            channel = self._channels[item.channel]
            outcome, wait_s = channel.take(item, self._me, state, self._tell), channel.answers_after_s
            said = channel.words(self._me)
            ending = Ending(outcome=outcome, detail="", is_permanent=said.get("is_permanent", False))
            row = state.channels.get(item.channel, ChannelRow())
            outcome = outcome_of(item, ending, is_last=is_hopeless(item, row))
        settle = Settle(
            id=item.id,
            attempt=item.attempt,
            outcome=outcome,
            at_wall=now.wall + wait_s,
            detail=outcome.value,
            **said,
        )
        held = replace(held, item=item, settle=settle, answer_boot=now.boot + wait_s)
        self._held[item.id] = held
        return held

    def _without_sending(self, held: Held, item: Notification, state: State, now: Instant) -> Outcome | None:
        if item.doubt is Doubt.PROOF:
            return Outcome.ACCEPTED
        if item.kind is NoticeKind.TEST and item.doubt is not Doubt.NO:
            return Outcome.DEAD
        if silencing.unwanted(state, self._settings, item, now.wall):
            return Outcome.NOT_SENT if item.doubt is Doubt.NO else Outcome.SUPERSEDED
        if item.channel not in self._settings.channels:
            return Outcome.DEAD
        return Outcome.NOT_SENT if now.boot > held.t0_boot + HOLD_S - BUDGET_S else None

    @staticmethod
    def _is_settled(settle: Settle, item: Notification | None, *, is_mine: bool) -> bool:
        if settle.outcome is not Outcome.ACCEPTED or item is None:
            return not is_mine
        return item.stage.finished or (item.doubt is Doubt.PROOF and not is_mine)
