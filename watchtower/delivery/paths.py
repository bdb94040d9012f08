"""This peer's ways to its channels: a circuit breaker each, and what the ending of a send says of the way.

A breaker is about the path from here to there, never about what the channel thinks of us: a refusal by a
bad token proves that the way works. It decides which channels this peer claims nothing for; who sends
instead is decided in the core, by what the peers report of themselves.
"""

from __future__ import annotations

import logging
from typing import Final

from msgspec import Struct

from watchtower.breaker import Breaker, Breakers, Call, Event, Purpose
from watchtower.core.model import Instant, Outcome
from watchtower.core.settings import Settings
from watchtower.core.stats import BreakerView
from watchtower.delivery.witness import Ending

log = logging.getLogger(__name__)

_MOVED: Final = {
    Event.OPEN: "is left alone for a while, too many sends failed",
    Event.HALF_OPEN: "may be tried again, by one message",
    Event.CLOSE: "works again",
}


class Trip(Struct, frozen=True):
    """One send on its way, as the breaker knows it. Without a call nothing of it is counted."""

    breaker: Breaker
    call: Call | None


class Paths:
    """The breakers of this peer; those of channels are fed here, others by whoever asks for them."""

    def __init__(self, settings: Settings, now: Instant) -> None:
        self.breakers = Breakers(settings.breakers, _heard)
        self._begin(settings, now)

    def reload(self, settings: Settings, now: Instant) -> None:
        """Other settings or other channels."""
        self.breakers.reload(settings.breakers, {Purpose.CHANNEL: settings.channels})
        self._begin(settings, now)

    def _begin(self, settings: Settings, now: Instant) -> None:
        """A channel is seen before anything is sent to it."""
        for name in settings.channels:
            self.breakers.get(Purpose.CHANNEL, name, now.boot)

    def shut(self, now: Instant) -> frozenset[str]:
        """Channels that nothing may be claimed for: their breaker is open, or its one trial is under way."""
        exceptions = self.breakers.not_closed(Purpose.CHANNEL, now.boot)
        return frozenset(name for name, breaker in exceptions if not breaker.lets_pass(now.boot))

    def begin(self, channel: str, now: Instant) -> Trip:
        """A send begins. What was claimed before the breaker opened goes its way, uncounted."""
        breaker = self.breakers.get(Purpose.CHANNEL, channel, now.boot)
        return Trip(breaker=breaker, call=breaker.begin(now.boot))

    @staticmethod
    def ended(trip: Trip, ending: Ending | None, now: Instant) -> None:
        """How it ended; None when nothing can be said of the way, as when watchtower itself failed."""
        if trip.call is None:
            return
        if ending is None or ending.is_fenced:
            trip.breaker.take_back(trip.call, now.boot)
        elif is_failure(ending):
            trip.breaker.fail(trip.call, now.boot, ending.detail)
        else:
            trip.breaker.succeed(trip.call, now.boot)

    def fell_back(self, channel: str, now: Instant) -> None:
        """A delivery left this channel for its fallback."""
        self.breakers.get(Purpose.CHANNEL, channel, now.boot).fell_back(now.boot)

    def report(self, now: Instant) -> dict[str, str]:
        """What the other peers must know: channels whose breaker is not closed, and why.

        Nothing in it changes by itself, so that it is told once.
        """
        exceptions = self.breakers.not_closed(Purpose.CHANNEL, now.boot)
        return {name: _reason(breaker) for name, breaker in exceptions}

    def views(self, now: Instant) -> tuple[BreakerView, ...]:
        """All breakers, for people."""
        return self.breakers.views(now)


def is_failure(ending: Ending) -> bool:
    """Whether the way failed: nothing arrived, nothing is known, or what answered was broken.

    A permanent refusal and an answer that says when to come back are answers: the way works.
    """
    if ending.outcome in (Outcome.NOT_SENT, Outcome.AMBIGUOUS):
        return True
    is_answer = ending.is_permanent or ending.retry_after_s > 0
    return ending.outcome is Outcome.REJECTED and not is_answer


def _reason(breaker: Breaker) -> str:
    """Begins with the position, by which the core tells what may be tried from what may not."""
    return f"{breaker.position.value}: {breaker.why}"


def _heard(purpose: Purpose, name: str, event: Event) -> None:
    if event in _MOVED:
        level = logging.INFO if event is Event.CLOSE else logging.WARNING
        log.log(level, "The way to %s %s %s.", purpose.value, name, _MOVED[event])
