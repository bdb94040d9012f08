"""One service as this peer sees it: results in, a settled opinion and a suspicion out.

A first look that contradicts the opinion makes it suspect and asks for another look; `confirm.failures`
failed ones in a row settle the opinion, `recover.successes` good ones take it back. A look that has not
been answered for a while makes a good opinion suspect before it has failed. Each step between up,
degraded and down needs its own run of looks. Until anything is settled the opinion is unknown. Pure;
knows nothing of other peers or of this peer's own health.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.model import EVIDENCE_TEXT_MAX, Kind, Opinion, Result, Vote
from watchtower.core.settings import Service

BLIND_AFTER_INTERVALS: Final = 3
BLIND_AFTER_AT_LEAST_S: Final = 30.0
_BADNESS: Final = {Opinion.UNKNOWN: 0, Opinion.UP: 0, Opinion.DEGRADED: 1, Opinion.DOWN: 2}


class Run:
    """How many looks in a row had some property, and when the first of them was."""

    def __init__(self) -> None:
        self.length = 0
        self.began_boot = 0.0
        self.began_wall = 0.0

    def take(self, result: Result, now_boot: float, *, goes_on: bool) -> None:
        """The next look; a run that does not go on starts anew from nothing."""
        if not goes_on:
            self.length = 0
            return
        self.length += 1
        if self.length == 1:
            self.began_boot, self.began_wall = now_boot, result.at_wall


class Track:
    """The results of one service, weighed one after another."""

    def __init__(self, service: Service, now_boot: float) -> None:
        self.service = service
        self.opinion = Opinion.UNKNOWN
        self.before = Opinion.UNKNOWN
        """The opinion before the present one was settled."""
        self.failing_since_boot = 0.0
        """When the first look of the run was taken that settled the present opinion."""
        self._settled_wall = 0.0
        self._looked_boot = now_boot
        self._last: Result | None = None
        self._evidence: Result | None = None
        self._obstacle = ""
        self._unanswered = ""
        self._good, self._not_down, self._bad, self._down = Run(), Run(), Run(), Run()

    @property
    def is_failing(self) -> bool:
        """True when the latest look failed, settled or not."""
        return self._bad.length > 0

    @property
    def is_in_question(self) -> bool:
        """True when the latest look failed, or waits for its answer for long."""
        return self.is_failing or bool(self._unanswered)

    @property
    def is_settled(self) -> bool:
        """True once this peer has any opinion."""
        return self.opinion is not Opinion.UNKNOWN

    @property
    def is_plain(self) -> bool:
        """True when there is nothing to tell: up, and the latest look says so too."""
        return self.opinion is Opinion.UP and not self.is_failing and not self._unanswered

    @property
    def got_worse(self) -> bool:
        """True when the latest change of opinion was for the worse."""
        return _BADNESS[self.opinion] > _BADNESS[self.before]

    def is_blind(self, now_boot: float) -> bool:
        """True when no look has told anything for so long that the opinion is worth nothing."""
        patience_s = BLIND_AFTER_INTERVALS * self.service.interval_s + self.service.timeout_s
        return now_boot - self._looked_boot > max(patience_s, BLIND_AFTER_AT_LEAST_S)

    def take(self, result: Result, now_boot: float) -> float | None:
        """Weigh a result; in how many seconds to look again out of turn, None for no hurry.

        A look that told nothing (unknown) changes no opinion.
        """
        self._unanswered = ""
        seen = result.opinion
        if seen is Opinion.UNKNOWN:
            self._obstacle = result.text
            return None
        self._last, self._looked_boot, self._obstacle = result, now_boot, ""
        for run, goes_on in (
            (self._good, seen is Opinion.UP),
            (self._not_down, seen is not Opinion.DOWN),
            (self._bad, seen is not Opinion.UP),
            (self._down, seen is Opinion.DOWN),
        ):
            run.take(result, now_boot, goes_on=goes_on)
        self._settle(result)
        if seen is self.opinion:
            return None
        is_worse = _BADNESS[seen] > _BADNESS[self.opinion]
        return self.service.confirm.recheck_s if is_worse else self.service.recover.recheck_s

    def note_unanswered(self, waited_s: float) -> None:
        """The look under way has waited so long: no failure yet, but reason for the others to look as well.

        Whoever is as slow as usual is not suspected: twice as long as the latest answer took is.
        """
        usual_s = self._last.duration_ms / 1000 if self._last else 0.0
        if self.opinion is Opinion.UP and not self.is_failing and waited_s > 2 * usual_s:
            self._unanswered = f"no answer yet after {waited_s:.1f} s"

    def _settle(self, result: Result) -> None:
        opinion, run = self._judged()
        if opinion is not self.opinion:
            self.before, self.opinion = self.opinion, opinion
            self.failing_since_boot, self._settled_wall = run.began_boot, run.began_wall
            self._evidence = result
        elif result.opinion is opinion and (self._evidence is None or self._evidence.kind is not result.kind):
            self._evidence = result

    def _judged(self) -> tuple[Opinion, Run]:
        """The opinion that the runs support, and the run that supports it."""
        failures, successes = self.service.confirm.failures, self.service.recover.successes
        if self._down.length >= failures:
            return Opinion.DOWN, self._down
        if self._good.length >= (successes if self.is_settled else 1):
            return Opinion.UP, self._good
        if self.opinion is Opinion.DOWN and self._not_down.length >= successes:
            return Opinion.DEGRADED, self._not_down
        if self.opinion in (Opinion.UP, Opinion.UNKNOWN) and self._bad.length >= failures:
            return Opinion.DEGRADED, self._bad
        return self.opinion, self._good

    def vote(self, now_boot: float) -> Vote:
        """The settled opinion with its evidence; suspect while the latest look contradicts it."""
        if self.is_blind(now_boot):
            return self._blind_vote(now_boot)
        last = self._last
        is_worse = last is not None and _BADNESS[last.opinion] > _BADNESS[self.opinion]
        is_better = last is not None and _BADNESS[last.opinion] < _BADNESS[self.opinion]
        seen = last if is_worse else self._evidence
        if seen is None:
            return Vote(opinion=Opinion.UNKNOWN, kind=Kind.PENDING, text=self._obstacle)
        return Vote(
            opinion=self.opinion,
            kind=seen.kind,
            text=self._unanswered or seen.text,
            latency_ms=round(seen.duration_ms, 1),
            since_wall=self._bad.began_wall if is_worse else self._settled_wall,
            suspect=is_worse or is_better or bool(self._unanswered),
        )

    def _blind_vote(self, now_boot: float) -> Vote:
        text = (
            f"no look for {now_boot - self._looked_boot:.0f} s: {self._obstacle or 'none could be started'}"
        )
        return Vote(opinion=Opinion.UNKNOWN, kind=Kind.INCONCLUSIVE, text=text[:EVIDENCE_TEXT_MAX])

    def latest_good(self) -> Vote:
        """An explicit up vote with the evidence of the latest look, for when others see trouble."""
        seen = self._last
        text, latency_ms = (seen.text, round(seen.duration_ms, 1)) if seen else ("", 0.0)
        return Vote(opinion=Opinion.UP, text=text, latency_ms=latency_ms, since_wall=self._settled_wall)
