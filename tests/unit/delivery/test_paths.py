"""What the ending of a send says of the way to the channel, and what of it others are told."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace
from support.delivery_support import settings

from watchtower.breaker import Event, Purpose
from watchtower.core.alerting.attempts import TRIAL
from watchtower.core.model import Instant, Outcome
from watchtower.delivery.paths import Paths, is_failure
from watchtower.delivery.witness import Ending

REFUSED = Ending(outcome=Outcome.NOT_SENT, detail="connection refused")
ACCEPTED = Ending(outcome=Outcome.ACCEPTED, detail="HTTP 200")
FENCED = Ending(outcome=Outcome.NOT_SENT, detail="the claim ran out before sending", is_fenced=True)


def at(boot: float) -> Instant:
    """A moment."""
    return Instant(wall=1_000_000.0 + boot, boot=boot)


CONFIG = settings({"chat": "json://sink.example", "mail": "mailto://sink.example"})


def opened() -> Paths:
    """Two channels, of which one failed five times at 0."""
    paths = Paths(CONFIG, at(0))
    for _ in range(5):
        paths.ended(paths.begin("chat", at(0)), REFUSED, at(0))
    return paths


@pytest.mark.parametrize(
    ("ending", "fails"),
    [
        (ACCEPTED, False),
        (REFUSED, True),
        (Ending(outcome=Outcome.AMBIGUOUS, detail="sent, then no answer in time"), True),
        (Ending(outcome=Outcome.REJECTED, detail="HTTP 503"), True),
        (Ending(outcome=Outcome.REJECTED, detail="HTTP 429"), True),
        (Ending(outcome=Outcome.REJECTED, detail="HTTP 429", retry_after_s=3.0), False),
        (Ending(outcome=Outcome.REJECTED, detail="HTTP 404: no_service", is_permanent=True), False),
        (Ending(outcome=Outcome.REJECTED, detail="550 no such user", is_permanent=True), False),
    ],
    ids=lambda value: getattr(value, "detail", ""),
)
def test_what_is_a_failure_of_the_way(ending: Ending, *, fails: bool) -> None:
    """Nothing arrived, nothing is known, or what answered was broken; an answer is none."""
    assert is_failure(ending) is fails


def test_it_is_told_until_it_works_again() -> None:
    """Open, then half-open with the same reason until a send succeeds; not a word of a way that works."""
    paths = opened()
    paths.ended(paths.begin("mail", at(0)), ACCEPTED, at(0))
    assert paths.report(at(29.9)) == {"chat": "open: connection refused"}
    assert paths.shut(at(29.9)) == {"chat"}
    assert paths.report(at(500)) == {"chat": "half-open: connection refused"}
    assert paths.shut(at(500)) == frozenset()
    trial = paths.begin("chat", at(500))
    assert paths.shut(at(501)) == {"chat"}
    paths.ended(trial, ACCEPTED, at(502))
    assert (paths.report(at(502)), paths.shut(at(502))) == ({}, frozenset())


def test_the_core_tells_what_may_be_tried_from_what_may_not() -> None:
    """By how the reason begins; a half-open way is asked for one message when no other is left."""
    paths = opened()
    assert not paths.report(at(1))["chat"].startswith(TRIAL)
    assert paths.report(at(31))["chat"].startswith(TRIAL)


@pytest.mark.parametrize("ending", [FENCED, None], ids=["fenced", "our own fault"])
def test_a_trial_that_says_nothing_is_given_back(ending: Ending | None) -> None:
    """A claim that ran out, or an exception of our own, leaves the one trial for another message."""
    paths = opened()
    paths.ended(paths.begin("chat", at(30)), ending, at(31))
    assert paths.report(at(31)) == {"chat": "half-open: connection refused"}
    assert paths.shut(at(31)) == frozenset()


def test_what_people_see() -> None:
    """Position, since when, when the trial may be, why, and the counts."""
    paths = opened()
    paths.fell_back("chat", at(1))
    view, unused = paths.views(at(10))
    assert (view.purpose, view.name, view.state, view.why) == (
        "channel",
        "chat",
        "open",
        "connection refused",
    )
    assert (view.since_wall, view.trial_wall) == (1_000_000.0, 1_000_030.0)
    assert (view.window["fire"], view.window["failure"], view.totals["fallback"]) == (5, 5, 1)
    assert (unused.name, unused.state, unused.totals["fire"]) == ("mail", "closed", 0)
    later, _ = paths.views(at(100))
    assert (later.state, later.trial_wall, later.window["fire"], later.totals["fire"]) == (
        "half-open",
        0.0,
        0,
        5,
    )


def test_other_purposes_have_breakers_of_their_own() -> None:
    """A watchdog of a channel's name shares nothing with it, is seen, and is no way to a channel."""
    paths = opened()
    ping = paths.breakers.get(Purpose.WATCHDOG, "chat", 0.0)
    assert ping.lets_pass(0.0)
    for _ in range(5):
        call = ping.begin(0.0)
        assert call is not None
        ping.fail(call, 0.0)
    paths.reload(replace(CONFIG, channels={}), at(0))
    assert paths.report(at(0)) == {}
    assert [(view.purpose, view.state) for view in paths.views(at(0))] == [("watchdog", "open")]
    assert ping.totals[Event.OPEN] == 1
    paths.reload(CONFIG, at(0))
    assert [view.name for view in paths.views(at(0)) if view.purpose == "channel"] == ["chat", "mail"]


def test_each_turn_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Open, half-open and closed are for the log; single sends are not."""
    caplog.set_level(logging.INFO)
    paths = opened()
    paths.shut(at(40))
    paths.ended(paths.begin("chat", at(41)), ACCEPTED, at(41))
    assert [record.message for record in caplog.records] == [
        "The way to channel chat is left alone for a while, too many sends failed.",
        "The way to channel chat may be tried again, by one message.",
        "The way to channel chat works again.",
    ]
