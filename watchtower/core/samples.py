"""What history keeps of looks that are over, as other shells may see it: samples, transitions, figures.

All of it is this peer's own view: history never leaves the peer and decides nothing. Times ending in
`_wall` are Unix seconds. How it is packed and where it lies is history/'s affair.
"""

from __future__ import annotations

from msgspec import Struct


class Sample(Struct, frozen=True):
    """One look, as history remembers it: time to 0.1 s, latency to 0.2 %, no text.

    `opinion` and `kind` are the words of Opinion and Kind; a kind that history has no room for is `other`.
    """

    at_wall: float
    opinion: str
    kind: str
    latency_ms: float


class Transition(Struct, frozen=True):
    """A look that found something else than the one before it. `before` is "" for the first look ever."""

    at_wall: float
    before: str
    after: str
    kind: str
    text: str


class SamplePage(Struct, frozen=True):
    """Samples of one service, newest first; `following` is the time to go on before, None at the end."""

    samples: tuple[Sample, ...]
    following: int | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """What was seen of one service between two moments.

    `up_s` and `down_s` are time that looks stand for; the rest of the time nobody knows, and it counts
    neither way. `samples` are looks with a verdict, `failed` those of them that found it down, `unknown`
    looks that proved nothing. Latencies are of looks that found it up; None without any.
    """

    from_wall: float
    to_wall: float
    up_s: float = 0.0
    down_s: float = 0.0
    samples: int = 0
    failed: int = 0
    unknown: int = 0
    mean_ms: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None

    @property
    def uptime(self) -> float | None:
        """Share of the known time that it was up; None when no time is known."""
        known_s = self.up_s + self.down_s
        return self.up_s / known_s if known_s > 0 else None

    @property
    def unwatched_s(self) -> float:
        """Time that no look stands for."""
        return max(0.0, self.to_wall - self.from_wall - self.up_s - self.down_s)


class HistoryStats(Struct, kw_only=True):
    """Counters of the keeping itself; written by its one thread, read by the metrics page.

    `off` says why nothing is kept at all, `trouble` why nothing can be written just now; both are "" when
    all is well.
    """

    off: str = ""
    trouble: str = ""
    samples_total: int = 0
    dropped_total: int = 0
    transitions_total: int = 0
    damaged_total: int = 0
    file_bytes: int = 0
