"""Judges conditions against a clock: a regular expression that does not come to an end is stopped.

`re` looks for signals while it searches, so a timer of this process' own CPU time, which a busy machine
does not run down, ends a search from within. Signals reach the main thread alone; elsewhere nothing is
limited. What is stopped says nothing about the service.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Final

from watchtower.core.conditions import Condition, judge

LIMIT_S: Final = 0.1
"""CPU that all conditions of a look may take together."""


class EndlessError(Exception):
    """A condition did not come to an end in LIMIT_S; the text says which."""


class _Limit:
    """The one timer of this process. A signal that comes late, when nothing is judged, does nothing."""

    def __init__(self) -> None:
        self.judged = ""

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.judged:
            raise EndlessError(f"did not come to an end in {LIMIT_S * 1000:.0f} ms: {self.judged}")


_LIMIT: Final = _Limit()


def unmet(conditions: Sequence[Condition], facts: Mapping[str, Any]) -> list[str]:
    """The texts of all conditions that do not hold. Raises EndlessError."""
    if not any(_searches(condition) for condition in conditions):
        return [text for condition in conditions if (text := judge(condition, facts)) is not None]
    with _limited():
        return [text for condition in conditions if (text := _judged(condition, facts)) is not None]


def _judged(condition: Condition, facts: Mapping[str, Any]) -> str | None:
    if _LIMIT.judged:
        _LIMIT.judged = condition.text
    return judge(condition, facts)


def _searches(condition: Condition) -> bool:
    return any(clause.op == "~" for clause in condition.clauses)


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    if signal.getsignal(signal.SIGVTALRM) is not _LIMIT:
        signal.signal(signal.SIGVTALRM, _LIMIT)
    _LIMIT.judged = "a condition"
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
    try:
        yield
    finally:
        _LIMIT.judged = ""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
