"""The list of survivors that are explained, and its comparison with those that a run left alive.

A mutant is known by its function and the change, not by mutmut's number, which every edit of the function
moves. What is not on the list fails the run, and so does a line whose mutant is dead or gone: a list that
says what is no longer true explains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

LIST: Final = Path(__file__).with_name("survivors.txt")
BECOMES: Final = " => "
BECAUSE: Final = " ## "

Change = tuple[str, str, str]
"""The function, the line that was changed, and what it became."""


def read(text: str) -> dict[Change, str]:
    """The reason of each explained survivor; ValueError names the line that is not understood."""
    reasons: dict[Change, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        told, because, reason = line.rpartition(BECAUSE)
        place, colon, change = told.partition(": ")
        was, becomes, now = change.partition(BECOMES)
        if not (because and colon and becomes and reason.strip()):
            raise ValueError(f"line {number} is not `function: was{BECOMES}now{BECAUSE}reason`: {line}")
        reasons[place, was, now] = reason
    return reasons


def line_of(change: Change, reason: str) -> str:
    """A survivor as the list holds it."""
    place, was, now = change
    return f"{place}: {was}{BECOMES}{now}{BECAUSE}{reason}"


def objections(alive: Mapping[str, Change], reasons: Mapping[Change, str]) -> Iterable[str]:
    """What is wrong between the survivors of a run, by mutmut's name, and the list."""
    for name, change in alive.items():
        if change not in reasons:
            yield f"survives without a reason: {name}\n  {line_of(change, '')}"
    for change in reasons.keys() - set(alive.values()):
        yield f"listed, but dead or gone:\n  {line_of(change, reasons[change])}"
