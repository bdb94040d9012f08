"""What this peer hears of the others: when each one's latest report arrived, and how its clock stands.

Kept by looking at successive applied states, never replicated. After a restart nothing counts as
heard until a new report arrives: silence makes verdicts stricter, never looser.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.model import Instant, State, View

CLOCK_SAMPLES: Final = 3


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
    return replace(view, report_marks=marks, heard_boot=heard, joined_boot=joined, clock_samples_s=samples)
