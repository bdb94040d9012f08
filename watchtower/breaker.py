"""A circuit breaker: after too many failures it lets nothing through for a while, then one trial.

It decides whether a call may begin, by what became of the calls before it; the rules are those of the
npm package opossum, and traces recorded from that package are replayed in the tests (where it differs,
and why: docs/decisions/0046). It calls nothing, waits for nothing and reads no clock: whoever uses it
asks, acts, and says how it ended. Channels, the watchdog's ping and cloud APIs stand behind breakers;
looks at watched things never do, because there a failure is the finding.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchtower.core.settings import BreakerSettings

WHY_MAX: Final = 120


class Position(StrEnum):
    """Whether calls pass: all, none, or one trial."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Event(StrEnum):
    """What can happen at a breaker. A timeout is a failure as well and is told as both."""

    FIRE = "fire"
    REJECT = "reject"
    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    FALLBACK = "fallback"
    OPEN = "open"
    HALF_OPEN = "half-open"
    CLOSE = "close"


MOVES: Final = frozenset({Event.OPEN, Event.HALF_OPEN, Event.CLOSE})
"""The events by which the position changes."""
COUNTED: Final = tuple(event for event in Event if event not in MOVES)
"""The events of calls."""

Listener = Callable[[Event, float], None]


class Call(Struct, eq=False):
    """A call that was let through. It is over when it ended, timed out, or was taken back."""

    ends_at: float
    is_trial: bool
    is_over: bool = False


class Breaker:
    """One breaker. Times are seconds of one steady clock, and each is at or after the one before it.

    `listener` hears each event with the moment it is dated to; it must not call the breaker.
    """

    def __init__(self, settings: BreakerSettings, now: float, listener: Listener | None = None) -> None:
        self.settings = settings
        self.position = Position.CLOSED
        self.since = now
        self.why = ""
        self.totals: Counter[Event] = Counter()
        self._listener = listener
        self._buckets = _buckets(settings)
        self._rotated_at = now
        self._calls: deque[Call] = deque()
        self._is_trial_free = False

    # ---- may it?

    def lets_pass(self, now: float) -> bool:
        """Whether `begin` would let a call through now. Counts nothing."""
        self.advance(now)
        return self.position is Position.CLOSED or self._is_trial_free

    def begin(self, now: float) -> Call | None:
        """A call is to begin now. None: it must not; the caller goes to its fallback, or waits."""
        if not self.lets_pass(now):
            self._tell(Event.REJECT, now)
            return None
        call = Call(ends_at=now + self.settings.timeout_s, is_trial=self._is_trial_free)
        self._is_trial_free = False
        self._calls.append(call)
        self._tell(Event.FIRE, now)
        return call

    # ---- how it ended

    def succeed(self, call: Call, now: float) -> None:
        """The call was answered, if only by a refusal that is not the path's fault. Ignored when over."""
        if not self._end(call, now):
            return
        self._tell(Event.SUCCESS, now)
        if self.position is Position.HALF_OPEN:
            self._move(Position.CLOSED, Event.CLOSE, now)

    def fail(self, call: Call, now: float, why: str = "") -> None:
        """The call failed; `why` is shown while the breaker is open. Ignored when over."""
        if self._end(call, now):
            self._failed(now, why)

    def take_back(self, call: Call, now: float) -> None:
        """The call was not made after all. The trial of a half-open breaker is free again."""
        if self._end(call, now) and call.is_trial:
            self._is_trial_free = self.position is Position.HALF_OPEN

    def fell_back(self, now: float) -> None:
        """The caller went to its fallback: counted, no more."""
        self.advance(now)
        self._tell(Event.FALLBACK, now)

    # ---- what is seen

    @property
    def counts(self) -> dict[Event, int]:
        """What is in the window, as of the latest time this breaker was told."""
        return {event: sum(bucket[event] for bucket in self._buckets) for event in COUNTED}

    @property
    def opens_again_at(self) -> float:
        """When an open breaker lets a trial through; meaningless in another position."""
        return self.since + self.settings.reset_s

    # ---- time

    def advance(self, now: float) -> None:
        """Let happen what was due by `now`: calls that time out, the wait for a trial that is over."""
        while self._calls and self._calls[0].is_over:
            self._calls.popleft()
        while True:
            trial_at = self.opens_again_at if self.position is Position.OPEN else None
            timeout_at = self._calls[0].ends_at if self._calls else None
            # An equal pair has one order: the call began before the breaker could open.
            if timeout_at is not None and timeout_at <= now and (trial_at is None or timeout_at <= trial_at):
                self._time_out(timeout_at)
            elif trial_at is not None and trial_at <= now:
                self._rotate(trial_at)
                self._move(Position.HALF_OPEN, Event.HALF_OPEN, trial_at)
            else:
                break
        self._rotate(now)

    def _time_out(self, at: float) -> None:
        self._rotate(at)
        call = self._calls.popleft()
        if not call.is_over:
            call.is_over = True
            self._tell(Event.TIMEOUT, at)
            self._failed(at, f"no answer in {self.settings.timeout_s:g} s")

    def _rotate(self, now: float) -> None:
        """Begin the bucket of `now`; the oldest ones fall out of the window."""
        bucket_s = self.settings.window_s / self.settings.buckets
        passed = int((now - self._rotated_at) // bucket_s)
        self._rotated_at += passed * bucket_s
        for _ in range(min(passed, self.settings.buckets)):
            self._buckets.append(Counter())

    # ---- the rule

    def _failed(self, now: float, why: str) -> None:
        self._tell(Event.FAILURE, now)
        if self.position is Position.HALF_OPEN or (self.position is Position.CLOSED and self._is_too_much()):
            self.why = why[:WHY_MAX]
            self._move(Position.OPEN, Event.OPEN, now)

    def _is_too_much(self) -> bool:
        """Strictly above the threshold, of enough calls. Rejected ones were no calls and prove nothing."""
        counts = self.counts
        fires = counts[Event.FIRE]
        is_enough = fires >= self.settings.volume
        return is_enough and counts[Event.FAILURE] * 100 > self.settings.error_threshold * fires

    def _move(self, position: Position, event: Event, now: float) -> None:
        self.position, self.since = position, now
        self._is_trial_free = position is Position.HALF_OPEN
        self.why = "" if position is Position.CLOSED else self.why
        self._tell(event, now)

    def _end(self, call: Call, now: float) -> bool:
        """False when it was over already, as by its timeout: whoever comes late changes nothing."""
        self.advance(now)
        was_over, call.is_over = call.is_over, True
        return not was_over

    def _tell(self, event: Event, now: float) -> None:
        self.totals[event] += 1
        if event not in MOVES:
            self._buckets[-1][event] += 1
        if self._listener is not None:
            self._listener(event, now)


def _buckets(settings: BreakerSettings) -> deque[Counter[Event]]:
    return deque((Counter() for _ in range(settings.buckets)), maxlen=settings.buckets)
