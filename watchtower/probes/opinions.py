"""One service as this peer sees it: results in, a settled opinion and a suspicion out.

A first failed look makes a suspicion and asks for another look; `confirm.failures` of them in a row
settle the opinion, `recover.successes` good ones take it back. Until anything is settled the opinion
is unknown. Pure; knows nothing of other peers or of this peer's own health.
"""

from __future__ import annotations

from watchtower.core.model import Kind, Opinion, Result, Vote
from watchtower.core.settings import Service


class Track:
    """The run of results of one service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.opinion = Opinion.UNKNOWN
        self.failing_since_boot = 0.0
        self._failing_since_wall = 0.0
        self._settled_wall = 0.0
        self._failures = 0
        self._successes = 0
        self._last: Result | None = None
        self._evidence: Result | None = None

    @property
    def is_failing(self) -> bool:
        """True when the latest look failed, settled or not."""
        return self._failures > 0

    @property
    def is_settled(self) -> bool:
        """True once this peer has any opinion."""
        return self.opinion is not Opinion.UNKNOWN

    def take(self, result: Result, now_boot: float) -> float | None:
        """Weigh a result; in how many seconds to look again out of turn, None for no hurry."""
        if result.opinion is Opinion.UNKNOWN:
            return None
        self._last = result
        return self._good(result) if result.opinion is Opinion.UP else self._bad(result, now_boot)

    def _good(self, result: Result) -> float | None:
        self._failures, self.failing_since_boot = 0, 0.0
        self._successes += 1
        if self.opinion is Opinion.UP:
            return None
        recover = self.service.recover
        if self.is_settled and self._successes < recover.successes:
            return recover.recheck_s
        self._settle(result)
        return None

    def _bad(self, result: Result, now_boot: float) -> float | None:
        self._successes = 0
        self._failures += 1
        if self._failures == 1:
            self.failing_since_boot, self._failing_since_wall = now_boot, result.at_wall
        confirm = self.service.confirm
        if self._failures < confirm.failures and self.opinion is not result.opinion:
            return confirm.recheck_s
        self._settle(result)
        return None

    def _settle(self, result: Result) -> None:
        is_same = self.opinion is result.opinion
        if is_same and self._evidence is not None and self._evidence.kind is result.kind:
            return
        self._evidence = result
        if not is_same:
            self.opinion, self._settled_wall = result.opinion, result.at_wall

    def vote(self) -> Vote:
        """The settled opinion with its evidence; suspect while the latest looks contradict it."""
        is_suspect = self.is_failing and self.opinion in (Opinion.UP, Opinion.UNKNOWN)
        seen = self._last if is_suspect else self._evidence
        if seen is None:
            return Vote(opinion=Opinion.UNKNOWN, kind=Kind.PENDING)
        since_wall = self._failing_since_wall if self.is_failing else self._settled_wall
        return Vote(
            opinion=self.opinion,
            kind=seen.kind,
            text=seen.text,
            latency_ms=round(seen.duration_ms, 1),
            since_wall=since_wall,
            suspect=is_suspect,
        )

    def latest_good(self) -> Vote:
        """An explicit up vote with the evidence of the latest look, for when others see trouble."""
        seen = self._last or self._evidence
        text, latency_ms = (seen.text, round(seen.duration_ms, 1)) if seen else ("", 0.0)
        return Vote(opinion=Opinion.UP, text=text, latency_ms=latency_ms, since_wall=self._settled_wall)
