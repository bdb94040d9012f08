"""How much memory a block takes at its peak, as Python itself counts it. Judges nothing."""

from __future__ import annotations

import contextlib
import tracemalloc
from collections.abc import Iterator


class Traced:
    """What a block took."""

    peak_bytes = 0


@contextlib.contextmanager
def traced() -> Iterator[Traced]:
    """Count from here; `peak_bytes` is known when the block has ended."""
    taken = Traced()
    tracemalloc.start()
    try:
        yield taken
        taken.peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
