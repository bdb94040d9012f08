"""A peer's log lines: one event is one line, whatever it holds.

Formats real records; where they are written is the logging library's.
"""

from __future__ import annotations

import logging
import shlex
import sys

from hypothesis import example, given
from hypothesis import strategies as st

from watchtower.cli.logs import MESSAGE_MAX, TRACE_MAX, Logfmt, Text


def fail() -> None:
    """Go wrong in two lines."""
    raise ValueError("two\nlines")


def record(message: str, *, failed: bool = False, level: int = logging.INFO) -> logging.LogRecord:
    """An event, with a traceback when something failed."""
    trace = None
    if failed:
        try:
            fail()
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("watchtower.peer", level, "peer.py", 1, "%s", (message,), trace)


@given(st.text(max_size=3 * MESSAGE_MAX))
@example('a backslash \\" before a quote')
@example("at the end \\")
def test_a_logfmt_line_is_one_line_of_pairs(message: str) -> None:
    """No text can begin a line, end its quotes, or be endless."""
    shown = Logfmt().format(record(message))
    assert shown.isprintable()
    assert len(shown) < 2 * MESSAGE_MAX + 200
    # shlex knows quotes and backslashes the way readers of logfmt do.
    keys = [pair.partition("=")[0] for pair in shlex.split(shown)]
    assert keys == ["at", "level", "from", "msg"]


def test_a_traceback_is_part_of_the_line() -> None:
    """Programs that read logs get it as one value."""
    shown = Logfmt().format(record("it broke", failed=True, level=logging.ERROR))
    assert shown.isprintable()
    assert "level=error" in shown
    assert 'trace="Traceback' in shown
    assert "ValueError: two\\nlines" in shown
    assert len(shown) < 2 * TRACE_MAX


def test_text_for_people_names_only_unusual_levels() -> None:
    """Usual events are a time and a sentence; others say what they are."""
    assert Text().format(record("all is well")).endswith("  all is well")
    assert Text().format(record("careful", level=logging.WARNING)).endswith("  WARNING: careful")
    assert "\x1b" not in Text().format(record("\x1b[2Jgone"))
