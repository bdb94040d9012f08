"""The breaker's promises, whatever the schedule: one trial, no opening by chance, time in any pieces."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from watchtower.breaker import COUNTED, Breaker, Call, Event, Position
from watchtower.core.settings import BreakerSettings

SETTINGS: Final = BreakerSettings(
    timeout_s=4.0, error_threshold=50.0, window_s=20.0, buckets=4, volume=5, reset_s=8.0
)
SLOW: Final = replace(SETTINGS, timeout_s=30.0)
"""Calls that began before the breaker opened may end while it is half-open."""
Step = tuple[str, int]
steps = st.lists(
    st.tuples(
        st.sampled_from(("begin", "begin", "succeed", "fail", "fail", "take_back", "wait")),
        st.integers(0, 12),
    ),
    max_size=80,
)


class Caller:
    """Does steps at a breaker and keeps what it was given."""

    def __init__(self, settings: BreakerSettings = SETTINGS) -> None:
        self.now = 100.0
        self.calls: list[Call] = []
        self.heard: list[tuple[Event, float]] = []
        self.breaker = Breaker(settings, self.now, lambda event, at: self.heard.append((event, at)))

    def do(self, step: Step, piece_s: float = 1000.0) -> Call | None:
        """One step; `wait` goes by in pieces of at most `piece_s`."""
        what, number = step
        if what == "begin":
            call = self.breaker.begin(self.now)
            self.calls += [call] if call else []
            return call
        if what == "wait":
            until = self.now + number
            while self.now < until:
                self.now = min(until, self.now + piece_s)
                self.breaker.advance(self.now)
        elif self.calls:
            getattr(self.breaker, what)(self.calls[number % len(self.calls)], self.now)
        return None

    def open_it(self, failures: int = 5) -> None:
        """So many calls fail."""
        for _ in range(failures):
            call = self.breaker.begin(self.now)
            assert call is not None
            self.breaker.fail(call, self.now, "connection refused")
        assert self.breaker.position is Position.OPEN


@given(steps, st.sampled_from((SETTINGS, SLOW)))
def test_half_open_lets_exactly_one_through(schedule: list[Step], settings: BreakerSettings) -> None:
    """Until the trial has ended or was taken back, nobody else begins."""
    caller = Caller(settings)
    trial: Call | None = None
    for step in schedule:
        call = caller.do(step)
        assert call is None or call.is_trial is (caller.breaker.position is Position.HALF_OPEN)
        if caller.breaker.position is not Position.HALF_OPEN:
            trial = None
        elif call is not None:
            assert trial is None or trial.is_over
            trial = call


@given(steps)
def test_nothing_passes_an_open_breaker(schedule: list[Step]) -> None:
    """From its opening for the whole reset time; then exactly a trial."""
    caller = Caller()
    for step in schedule:
        was = caller.breaker.position
        call = caller.do(step)
        if step[0] == "begin" and was is Position.OPEN:
            opened = max(at for event, at in caller.heard if event is Event.OPEN)
            assert (call is not None) == (caller.now >= opened + SETTINGS.reset_s)


@given(steps)
def test_it_opens_for_a_reason(schedule: list[Step]) -> None:
    """A closed breaker opens by a failure that makes the rate of enough calls exceed the threshold."""
    caller = Caller()
    for step in schedule:
        was, before = caller.breaker.position, len(caller.heard)
        caller.do(step)
        news = [event for event, _ in caller.heard[before:]]
        if step[0] == "fail" and was is Position.CLOSED and Event.OPEN in news:
            counts = caller.breaker.counts
            assert news[-2:] == [Event.FAILURE, Event.OPEN]
            assert counts[Event.FIRE] >= SETTINGS.volume
            assert counts[Event.FAILURE] / counts[Event.FIRE] > 0.5


@given(steps, st.sampled_from((0.25, 1.0, 3.0)))
def test_time_may_pass_in_any_pieces(schedule: list[Step], piece_s: float) -> None:
    """Events, their moments, position and counters do not depend on how often the breaker was told."""
    leaps, pieces = Caller(), Caller()
    for step in schedule:
        leaps.do(step)
        pieces.do(step, piece_s)
    assert leaps.heard == pieces.heard
    assert leaps.breaker.position is pieces.breaker.position
    assert leaps.breaker.counts == pieces.breaker.counts


@given(steps)
def test_the_books_balance(schedule: list[Step]) -> None:
    """Each call ends at most once, events come in order, and a window never holds more than the total."""
    caller = Caller()
    for step in schedule:
        caller.do(step)
    totals, counts = caller.breaker.totals, caller.breaker.counts
    assert totals[Event.FIRE] == len(caller.calls)
    assert totals[Event.SUCCESS] + totals[Event.FAILURE] <= totals[Event.FIRE]
    assert totals[Event.TIMEOUT] <= totals[Event.FAILURE]
    assert all(counts[event] <= totals[event] for event in COUNTED)
    moments = [at for _, at in caller.heard]
    assert moments == sorted(moments)
    moves = _moves(caller)
    may_follow = {
        Event.OPEN: {Event.HALF_OPEN},
        Event.HALF_OPEN: {Event.OPEN, Event.CLOSE},
        Event.CLOSE: {Event.OPEN},
    }
    assert all(later in may_follow[earlier] for earlier, later in pairwise(moves))


def _moves(caller: Caller) -> list[Event]:
    return [event for event, _ in caller.heard if event not in COUNTED]


def test_exactly_the_threshold_is_not_above_it() -> None:
    """Five of ten calls are 50 %: closed. Six of eleven are more."""
    caller = Caller()
    calls = [caller.breaker.begin(caller.now) for _ in range(10)]
    for number, call in enumerate(calls):
        assert call is not None
        (caller.breaker.succeed if number % 2 else caller.breaker.fail)(call, caller.now)
    assert _moves(caller) == []
    call = caller.breaker.begin(caller.now)
    assert call is not None
    caller.breaker.fail(call, caller.now)
    assert _moves(caller) == [Event.OPEN]


def test_a_trial_that_was_not_made_is_free_again() -> None:
    """As when the fence forbade the send: neither good nor bad is known of the path."""
    caller = Caller()
    caller.open_it()
    caller.do(("wait", 8))
    trial = caller.breaker.begin(caller.now)
    assert trial is not None
    assert caller.breaker.begin(caller.now) is None
    caller.breaker.take_back(trial, caller.now)
    assert caller.breaker.lets_pass(caller.now)
    assert caller.breaker.position is Position.HALF_OPEN


def test_taking_back_an_old_call_frees_no_trial() -> None:
    """It began before the breaker opened; the trial is still under way."""
    caller = Caller(SLOW)
    old = caller.breaker.begin(caller.now)
    assert old is not None
    caller.open_it(4)
    caller.do(("wait", 8))
    assert caller.breaker.begin(caller.now) is not None
    caller.breaker.take_back(old, caller.now)
    assert not caller.breaker.lets_pass(caller.now)


def test_a_fallback_is_counted_when_it_happens() -> None:
    """In the bucket of that moment, so that it leaves the window when its time has come."""
    caller = Caller()
    caller.breaker.fell_back(caller.now + 12.0)
    caller.breaker.advance(caller.now + 21.0)
    assert caller.breaker.counts[Event.FALLBACK] == 1
    caller.breaker.advance(caller.now + 32.0)
    assert caller.breaker.counts[Event.FALLBACK] == 0


def test_the_reason_is_kept_while_it_is_not_closed() -> None:
    """Why it opened is shown until it closes."""
    caller = Caller()
    caller.open_it()
    assert caller.breaker.why == "connection refused"
    caller.do(("wait", 8))
    assert caller.breaker.why == "connection refused"
    trial = caller.breaker.begin(caller.now)
    assert trial is not None
    caller.breaker.succeed(trial, caller.now)
    assert (caller.breaker.position, caller.breaker.why) == (Position.CLOSED, "")


def test_an_answer_after_the_timeout_comes_too_late() -> None:
    """Whether or not anybody looked at the breaker in between."""
    caller = Caller()
    call = caller.breaker.begin(caller.now)
    assert call is not None
    caller.breaker.succeed(call, caller.now + 4.0)
    assert [event for event, _ in caller.heard] == [Event.FIRE, Event.TIMEOUT, Event.FAILURE]


def test_a_late_answer_changes_nothing() -> None:
    """A call that timed out has failed, whatever it says later."""
    caller = Caller()
    caller.open_it()
    caller.do(("wait", 8))
    trial = caller.breaker.begin(caller.now)
    assert trial is not None
    caller.do(("wait", 4))
    assert caller.breaker.position is Position.OPEN
    caller.breaker.succeed(trial, caller.now)
    assert caller.breaker.position is Position.OPEN
    assert caller.breaker.why == "no answer in 4 s"
