"""How `watchtower check` writes its bounds and rates: short, and never better than they are."""

from __future__ import annotations

import pytest

from watchtower.cli.check import within
from watchtower.cli.load import KINDS_SHOWN_MAX, kinds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (5.8, "5.8 s"),
        (119.9, "119.9 s"),
        (4_201.0, "70.1 min"),
        (7_200.0, "2.0 h"),
        (92_701.0, "25.8 h"),
        (31_622_400.0, "366.0 d"),
    ],
)
def test_a_bound_is_rounded_up(seconds: float, text: str) -> None:
    """What is promised is kept: 25.75 h are no 25.7."""
    assert within(seconds) == text


def test_the_kinds_that_a_line_has_no_room_for_are_counted() -> None:
    """Those looked at most stand first; nothing is cut off in the middle of a word."""
    rates = {f"kind{number}": 0.1 * (number + 1) for number in range(KINDS_SHOWN_MAX + 2)}
    assert kinds(rates) == "kind5 0.6, kind4 0.5, kind3 0.4, kind2 0.3, 2 more kinds"
    assert kinds({"http": 1.0, "exec": 0.5}) == "http 1.0, exec 0.5"
    assert kinds({}) == "none"
