"""One Nagios line with performance data, and the exit code that goes with it. Pure.

Format: https://nagios-plugins.org/doc/guidelines.html, sections 2.2 (return codes) and 2.6
(performance data). Text from outside is made harmless: `|` would begin the performance data.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from msgspec import Struct

from watchtower.core.text import clean

LINE_MAX: Final = 1000


class Health(IntEnum):
    """The four Nagios states; the value is the exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_GRAVITY: Final = (Health.OK, Health.UNKNOWN, Health.WARNING, Health.CRITICAL)


class Measure(Struct, frozen=True, kw_only=True):
    """One value of the performance data. `unit` is "", `s`, `ms`, `%` or `B`; `maximum` None: not known."""

    label: str
    value: float
    unit: str = ""
    maximum: float | None = None


def worst(healths: Iterable[Health]) -> Health:
    """The gravest of them; OK when there are none. What is known to be bad outweighs what is not known."""
    return max(healths, key=_GRAVITY.index, default=Health.OK)


def line(subject: str, health: Health, text: str, measures: Iterable[Measure] = ()) -> str:
    """`WATCHTOWER OK - 5 services up | up=5;;;0;5`."""
    shown = clean(text, LINE_MAX).replace("|", "/")
    head = f"{subject} {health.name} - {shown}"
    data = " ".join(_measured(measure) for measure in measures)
    return f"{head} | {data}" if data else head


def _measured(measure: Measure) -> str:
    label = "".join(char for char in measure.label if char.isalnum() or char in "._-/ ")
    label = f"'{label}'" if " " in label else label
    maximum = "" if measure.maximum is None else _number(measure.maximum)
    return f"{label}={_number(measure.value)}{measure.unit};;;0;{maximum}".rstrip(";")


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
