"""Beats: whoever looks at something every so often looks together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.clock import to_beat


@pytest.mark.parametrize(
    ("now_s", "every_s", "wanted_s"),
    [(10.0, 0.25, 0.25), (10.1, 0.25, 0.15), (10.1, 0.5, 0.4), (10.1, 1.0, 0.9), (10.249999, 0.25, 0.250001)],
)
def test_the_next_beat(now_s: float, every_s: float, wanted_s: float) -> None:
    """A multiple of the period; one that is all but there is not waited for twice."""
    assert to_beat(now_s, every_s) == pytest.approx(wanted_s)


@given(st.floats(0, 1e8), st.sampled_from((0.25, 0.5, 1.0)))
def test_beats_come_neither_late_nor_at_once(now_s: float, every_s: float) -> None:
    """Never sooner than a quarter of the period, never later than five quarters."""
    assert every_s / 4 < to_beat(now_s, every_s) <= every_s * 1.25
