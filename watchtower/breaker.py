"""A circuit breaker: after too many failures it lets nothing through for a while, then one trial.

It decides whether a call may begin, by what became of the calls before it; the rules are those of the
npm package opossum, and traces recorded from that package are replayed in the tests (where it differs,
and why: docs/decisions/0046). It calls nothing, waits for nothing and reads no clock: whoever uses it
asks, acts, and says how it ended. Channels, the watchdog's ping and cloud APIs stand behind breakers;
looks at watched things never do, because there a failure is the finding.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from watchtower.core.model import Instant
from watchtower.core.settings import BreakerSettings
from watchtower.core.stats import BreakerView

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


class Purpose(StrEnum):
    """What stands behind a breaker."""

    CHANNEL = "channel"
    WATCHDOG = "watchdog"
    CLOUD = "cloud"


class Call(Struct):
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
        self._buckets: deque[Counter[Event]] = deque(Counter() for _ in range(settings.buckets))
        self._window: Counter[Event] = Counter()
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
        return {event: self._window[event] for event in COUNTED}

    @property
    def trial_at(self) -> float:
        """When an open breaker lets a trial through; meaningless in another position."""
        return self.since + self.settings.reset_s

    # ---- time

    def advance(self, now: float) -> None:
        """Let happen what was due by `now`: calls that time out, the wait for a trial that is over."""
        while self._calls and self._calls[0].is_over:
            self._calls.popleft()
        while True:
            trial_at = self.trial_at if self.position is Position.OPEN else None
            timeout_at = self._calls[0].ends_at if self._calls else None
            # An equal pair has one order: the call began before the breaker could open.
            if timeout_at is not None and timeout_at <= now and (trial_at is None or timeout_at <= trial_at):
                self._time_out(timeout_at)
            elif trial_at is not None and trial_at <= now:
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
            self._window.subtract(self._buckets.popleft())
            self._buckets.append(Counter())

    # ---- the rule

    def _failed(self, now: float, why: str) -> None:
        self._tell(Event.FAILURE, now)
        if self.position is Position.HALF_OPEN or (self.position is Position.CLOSED and self._is_too_much()):
            self.why = why[:WHY_MAX]
            self._move(Position.OPEN, Event.OPEN, now)

    def _is_too_much(self) -> bool:
        """Strictly above the threshold, of enough calls. Rejected ones were no calls and prove nothing."""
        fires, failures = self._window[Event.FIRE], self._window[Event.FAILURE]
        return fires >= self.settings.volume and failures * 100 > self.settings.error_threshold * fires

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
            self._window[event] += 1
        if self._listener is not None:
            self._listener(event, now)


Key = tuple[Purpose, str]


class Breakers:
    """All breakers of one process, by purpose and name; a breaker begins closed when it is first asked for.

    `listener` hears each event of each of them.
    """

    def __init__(self, settings: BreakerSettings, listener: Callable[[Purpose, str, Event], None]) -> None:
        self._settings = settings
        self._listener = listener
        self._all: dict[Key, Breaker] = {}

    def get(self, purpose: Purpose, name: str, now: float) -> Breaker:
        """The breaker of that name. Who holds a call holds its breaker, which `reload` may replace."""
        breaker = self._all.get((purpose, name))
        if breaker is None:
            breaker = Breaker(self._settings, now, lambda event, _: self._listener(purpose, name, event))
            self._all[purpose, name] = breaker
        return breaker

    def reload(self, settings: BreakerSettings, names: dict[Purpose, Collection[str]]) -> None:
        """Drop what is not in `names` of its purpose; other settings make them all begin anew."""
        kept = {key: one for key, one in self._all.items() if key[1] in names.get(key[0], (key[1],))}
        self._all = kept if settings == self._settings else {}
        self._settings = settings

    def not_closed(self, purpose: Purpose, now: float) -> Iterator[tuple[str, Breaker]]:
        """The exceptions, by name."""
        for name in sorted(name for its_purpose, name in self._all if its_purpose is purpose):
            breaker = self._all[purpose, name]
            breaker.advance(now)
            if breaker.position is not Position.CLOSED:
                yield name, breaker

    def views(self, now: Instant) -> tuple[BreakerView, ...]:
        """All of them as they are now, by purpose and name."""
        return tuple(_view(*key, self._all[key], now) for key in sorted(self._all))


def _view(purpose: Purpose, name: str, breaker: Breaker, now: Instant) -> BreakerView:
    breaker.advance(now.boot)
    is_open = breaker.position is Position.OPEN
    return BreakerView(
        purpose=purpose.value,
        name=name,
        state=breaker.position.value,
        since_wall=now.wall - (now.boot - breaker.since),
        trial_wall=now.wall + (breaker.trial_at - now.boot) if is_open else 0.0,
        why=breaker.why,
        window={event.value: count for event, count in breaker.counts.items()},
        totals={event.value: breaker.totals[event] for event in Event},
    )
