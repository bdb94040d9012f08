"""What this peer alone knows: when it last heard each other peer, how their clocks stand, its last verdicts.

Kept by looking at successive applied states, never replicated. After a restart nothing counts as
heard until a new report arrives: silence makes verdicts stricter, never looser.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.model import Instant, Level, State, Verdict

CLOCK_SAMPLES: Final = 3


class Standing(Struct, frozen=True, kw_only=True):
    """A verdict with this peer's memory of it.

    `level` is the level in force here: the verdict's, or the last one while no rule holds.
    `since_boot` is when that level was first seen, `held_boot` when some rule last held.
    """

    verdict: Verdict
    level: Level
    since_boot: float
    held_boot: float


class View(Struct, frozen=True, kw_only=True):
    """The unreplicated facts of the peer that decides.

    `heard_boot`: when each peer's latest report was applied here since this process started to listen
    at `started_boot`; `joined_boot`: when a new session was. `report_marks`: (session, sequence) of each
    peer's latest report. `clock_samples_s`: each peer's wall clock minus ours. `standings`: latest verdicts.
    """

    me: str
    started_boot: float
    heard_boot: dict[str, float] = {}
    joined_boot: dict[str, float] = {}
    report_marks: dict[str, tuple[int, int]] | None = None
    clock_samples_s: dict[str, tuple[float, ...]] = {}
    standings: dict[str, Standing] = {}

    @property
    def clock_offset_s(self) -> dict[str, float]:
        """Each peer's wall clock minus ours. A late report only ever looks older, so the largest is true."""
        return {peer: max(samples) for peer, samples in self.clock_samples_s.items() if samples}


def listen(view: View, state: State, now: Instant) -> View:
    """The view after seeing `state` at `now`."""
    marks = {peer: (row.session, row.report_seq) for peer, row in state.peers.items()}
    if view.report_marks is None:
        return replace(view, report_marks=marks)
    heard, samples, joined = dict(view.heard_boot), dict(view.clock_samples_s), dict(view.joined_boot)
    for peer, mark in marks.items():
        if mark[0] != view.report_marks.get(peer, (0, 0))[0]:
            joined[peer] = now.boot
        if mark == view.report_marks.get(peer, (0, 0)) or mark[1] == 0:
            continue
        heard[peer] = now.boot
        if peer != view.me:
            sample_s = state.row(peer).reported_wall - now.wall
            samples[peer] = (*samples.get(peer, ()), sample_s)[-CLOCK_SAMPLES:]
    # A peer that was removed has no row any more; its clock must not weigh in the median.
    samples = {peer: some for peer, some in samples.items() if peer in marks}
    return replace(view, report_marks=marks, heard_boot=heard, joined_boot=joined, clock_samples_s=samples)
