"""Breakers in the simulated world: they open under faults, and nobody is left untold because of them."""

from __future__ import annotations

from simulation.faults import parse
from simulation.outcome import run

PLAN = """\
seed 1
peers 3
3.00 refuse hook for 30.00
5.00 fail api refuses for 40.00
"""


def test_a_channel_that_fails_is_left_alone_and_hears_everything_in_the_end() -> None:
    """Broken for half a minute: a breaker opens, one message is tried, and what was to be told is told."""
    outcome = run(parse(PLAN), keeps_trace=True)
    assert outcome.objections == []
    trace = "\n".join(outcome.trace)
    opened = trace.index("The way to channel hook is left alone for a while")
    tried = trace.index("The way to channel hook may be tried again, by one message", opened)
    assert " tells hook: firing api " in trace[tried:]
