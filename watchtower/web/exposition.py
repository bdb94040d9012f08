"""The Prometheus text format: families of samples as lines, fast enough for a thousand services.

Own rendering because a registry of per-service series costs over a hundred milliseconds of the app
loop. It names no metric. Source: prometheus.io, "Exposition formats", text version 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, float]
"""Label text as `labels` gives it, and the value."""

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def labels(**pairs: str) -> str:
    """`{a="x",b="y"}` with the values escaped; "" without pairs."""
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs.items())
    return f"{{{inner}}}" if inner else ""


def family(name: str, kind: str, meaning: str, samples: Iterable[Sample]) -> str:
    """One family with its HELP and TYPE lines; "" when it has no samples."""
    lines = [f"{name}{label_text} {_number(value)}" for label_text, value in samples]
    if not lines:
        return ""
    return f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n" + "\n".join(lines) + "\n"


def gauge(name: str, meaning: str, value: float) -> str:
    """A family of one sample that goes up and down."""
    return family(name, "gauge", meaning, [("", value)])


def counter(name: str, meaning: str, value: float) -> str:
    """A family of one sample that only grows."""
    return family(name, "counter", meaning, [("", value)])


def _number(value: float) -> str:
    """A whole number without a fraction, anything else so that it reads back as the same float."""
    return str(int(value)) if abs(value) < 1e15 and value == int(value) else repr(float(value))
