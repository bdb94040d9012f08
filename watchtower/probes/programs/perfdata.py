"""Reads what a monitoring plugin wrote: its line, its long text, its performance data.

Strictly by the guidelines of the Monitoring Plugins: what does not fit is left out and counted, never
guessed at. Everything is bounded, because whoever wrote it may be hostile. Decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

METRICS_MAX: Final = 64
LABEL_MAX: Final = 64
_READ_MAX: Final = 16_384
_NUMBER: Final = r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})"
_BOUND: Final = rf"(?:{_NUMBER}|~)"
_RANGE: Final = rf"(?:@?(?:{_BOUND}:(?:{_NUMBER})?|:?{_NUMBER}))?"
_METRIC: Final = re.compile(
    rf"(?:'(?P<quoted>(?:[^'=]|''){{1,{LABEL_MAX}}})'|(?P<plain>[^\s'=]{{1,{LABEL_MAX}}}))="
    rf"(?P<value>U|{_NUMBER})(?P<unit>[^\s\d;'\"=.,+-]{{0,16}})"
    rf"(?:;(?P<warn>{_RANGE})(?:;(?P<crit>{_RANGE})(?:;(?P<low>(?:{_NUMBER})?)"
    rf"(?:;(?P<high>(?:{_NUMBER})?))?)?)?)?;?(?=\s|$)"
)
_REFUSED: Final = re.compile(r"(?:'(?:[^']|'')*'|\S)\S*")
_BLANKS: Final = re.compile(r"\s*")


class Metric(Struct, frozen=True, kw_only=True):
    """One value with its unit and the thresholds that go with it; None is a value the plugin does not know.

    `warn` and `crit` are ranges as they were written; "" is none.
    """

    label: str
    value: float | None
    unit: str = ""
    warn: str = ""
    crit: str = ""
    low: float | None = None
    high: float | None = None


class Said(Struct, frozen=True, kw_only=True):
    """All that a plugin said: a line for people, what follows it, its metrics, how many were refused."""

    line: str
    more: str = ""
    metrics: tuple[Metric, ...] = ()
    refused: int = 0


def parse_output(text: str) -> Said:
    """The parts of a plugin's output. Never raises.

    Performance data follows the first `|` of the first line, and the first `|` of the lines after it.
    """
    first, _, rest = text[:_READ_MAX].lstrip("\r\n").partition("\n")
    line, _, data = first.partition("|")
    more, _, further = rest.partition("|")
    metrics, refused = parse_metrics(f"{data}\n{further}")
    return Said(line=line.strip(), more=more.strip(), metrics=metrics, refused=refused)


def parse_metrics(text: str) -> tuple[tuple[Metric, ...], int]:
    """The metrics in `text`, the first of each label, and how many pieces were refused. Never raises."""
    metrics: dict[str, Metric] = {}
    refused = 0
    for metric in _pieces(text[:_READ_MAX]):
        if metric is None or metric.label in metrics or len(metrics) == METRICS_MAX:
            refused += 1
        else:
            metrics[metric.label] = metric
    return tuple(metrics.values()), refused


def _pieces(text: str) -> Iterator[Metric | None]:
    at = _end(_BLANKS.match(text), 0)
    while at < len(text):
        match = _METRIC.match(text, at)
        yield _metric(match) if match else None
        at = _end(match or _REFUSED.match(text, at), at + 1)
        at = _end(_BLANKS.match(text, at), at)


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    return match.end() if match else otherwise


def _metric(match: re.Match[str]) -> Metric:
    quoted = match["quoted"]
    return Metric(
        label=match["plain"] if quoted is None else quoted.replace("''", "'"),
        value=None if match["value"] == "U" else float(match["value"]),
        unit=match["unit"],
        warn=match["warn"] or "",
        crit=match["crit"] or "",
        low=float(match["low"]) if match["low"] else None,
        high=float(match["high"]) if match["high"] else None,
    )
