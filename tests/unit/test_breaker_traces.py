"""The breaker does what the npm package opossum did: traces recorded from it, step by step.

Where the two part on purpose, the recorded quirk stands beside what this breaker does instead.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from watchtower.breaker import Breaker, Call, Event, Position
from watchtower.core.settings import BreakerSettings

RECORDED: Final = json.loads(
    (Path(__file__).parents[1] / "support" / "opossum" / "traces.json").read_text(encoding="utf-8")
)
SETS: Final = {one["name"]: one for one in RECORDED["sets"]}
QUIRKS: Final = {one["name"]: one for one in RECORDED["quirks"]}
PATIENT: Final = sorted(name for name in SETS if not name.startswith("impatient"))
IMPATIENT: Final = sorted(set(SETS) - set(PATIENT))
NAMES: Final = {"halfOpen": Event.HALF_OPEN}
COUNTERS: Final = (Event.FIRE, Event.SUCCESS, Event.FAILURE, Event.TIMEOUT, Event.REJECT)


class Replay:
    """A caller of our breaker that does what a recorded step says. Its seconds are opossum's milliseconds."""

    def __init__(self, options: dict[str, Any]) -> None:
        settings = BreakerSettings(
            timeout_s=options["timeout"],
            error_threshold=options["errorThresholdPercentage"],
            window_s=options["rollingCountTimeout"],
            buckets=options["rollingCountBuckets"],
            volume=options["volumeThreshold"],
            reset_s=options["resetTimeout"],
        )
        self.now = 0.0
        self.calls: dict[int, Call | None] = {}
        self.heard: list[Event] = []
        self.breaker = Breaker(settings, self.now, self._hear)

    def _hear(self, event: Event, _at: float) -> None:
        self.heard.append(event)

    def step(self, what: str, number: int) -> list[Event]:
        """Do it; what was heard."""
        self.heard = []
        if what == "wait":
            self.now += number
            self.breaker.advance(self.now)
        elif what == "begin":
            self.calls[number] = self.breaker.begin(self.now)
        elif (call := self.calls.get(number)) is not None:
            end = self.breaker.fail if what == "fail" else self.breaker.succeed
            end(call, self.now)
        return self.heard

    def shown(self) -> list[int]:
        """The counters in opossum's order, as of a caller that goes to its fallback whenever it can.

        opossum counts a rejected call as fired; we do not.
        """
        counts = self.breaker.counts
        numbers = [counts[event] for event in COUNTERS]
        numbers.append(counts[Event.FAILURE] + counts[Event.REJECT])
        numbers[0] += counts[Event.REJECT]
        return numbers


def _events(recorded: list[str]) -> list[Event]:
    """Recorded events in our words: a rejected call is told once, and fallbacks are the caller's."""
    words = [NAMES.get(word) or Event(word) for word in recorded if word != "fallback"]
    return words[1:] if words[:2] == [Event.FIRE, Event.REJECT] else words


def _same(replay: Replay, step: list[Any], trace: str) -> bool:
    """Replay one step: False when the positions part, and an error when anything else does."""
    what, number, position, counters, events = step
    ours = replay.step(what, number)
    if replay.breaker.position != position:
        return False
    assert ours == _events(events), trace
    assert replay.shown() == counters, trace
    return True


@pytest.mark.parametrize("name", PATIENT)
def test_a_patient_caller_sees_no_difference(name: str) -> None:
    """Who asks before calling gets opossum's positions, counters and events at every step."""
    recorded = SETS[name]
    for number, trace in enumerate(recorded["traces"]):
        replay = Replay(recorded["options"])
        for at, step in enumerate(trace):
            where = f"{name}, trace {number}, step {at}: {step}"
            assert _same(replay, step, where), f"{where}: {replay.breaker.position}"


@pytest.mark.parametrize("name", IMPATIENT)
def test_rejected_calls_make_the_only_difference(name: str) -> None:
    """Up to the step where rejected calls kept opossum closed, or made it open by volume, all is equal."""
    recorded = SETS[name]
    whole = 0
    for trace in recorded["traces"]:
        replay = Replay(recorded["options"])
        for at, step in enumerate(trace):
            if not _same(replay, step, f"{name}, step {at}: {step}"):
                _, _, position, counters, _ = step
                fires, failures, rejects = counters[0], counters[2], counters[4]
                assert rejects > 0
                # Within one wait a breaker may have opened and be half-open already.
                ours = replay.breaker.position
                assert _opens(recorded["options"], fires, failures) == (position != "closed")
                assert _opens(recorded["options"], fires - rejects, failures) == (ours != "closed")
                break
        else:
            whole += 1
    assert whole > 0


def _opens(options: dict[str, Any], fires: int, failures: int) -> bool:
    volume, threshold = int(options["volumeThreshold"]), int(options["errorThresholdPercentage"])
    return fires >= volume and failures * 100 > threshold * fires


def test_the_traces_show_everything() -> None:
    """Every event, every position and every kind of step is in them, and often."""
    steps = [step for one in SETS.values() for trace in one["traces"] for step in trace]
    assert len(steps) > 4_000
    words = Counter(word for step in steps for word in step[4])
    assert all(words[event] >= 50 for event in ("open", "halfOpen", "close", "timeout", "reject", "success"))
    assert {step[0] for step in steps} == {"wait", "begin", "succeed", "fail", "refuse"}
    assert {step[2] for step in steps} == set(Position)


def test_the_first_failure_does_not_open() -> None:
    """Opossum's default volume threshold is 0 and opens on it; ours is 5, and the file takes no less."""
    assert QUIRKS["first failure opens"]["traces"][0][-1][2] == "open"
    breaker = Breaker(BreakerSettings(), 0.0)
    call = breaker.begin(0.0)
    assert call is not None
    breaker.fail(call, 0.0)
    assert breaker.position is Position.CLOSED


def test_waiting_calls_are_no_failures() -> None:
    """A full semaphore counts as failures in opossum, and opens; here the caller holds back by itself."""
    assert QUIRKS["a full semaphore is a failure"]["traces"][0][-1][2] == "open"
    breaker = Breaker(BreakerSettings(), 0.0)
    assert all(breaker.begin(0.0) for _ in range(6))
    assert breaker.position is Position.CLOSED


def test_rejected_calls_do_not_dilute() -> None:
    """Six failures in a row keep opossum closed after twenty rejected calls; ours opens."""
    recorded = QUIRKS["rejected calls dilute the rate"]
    (trace,) = recorded["traces"]
    assert trace[-1][2] == "closed"
    replay = Replay(recorded["options"])
    for what, number, *_ in trace:
        replay.step(what, number)
    assert replay.breaker.position is Position.OPEN
