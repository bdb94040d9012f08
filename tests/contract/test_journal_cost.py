"""What a promise costs on this disk: one batch of the journal with its sync, and a start with a full log."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from watchtower.cluster.storage import Storage, open_folder

BATCHES = 300
ENTRIES = 4000


def opened(path: Path) -> tuple[Storage, Callable[[], None]]:
    """The storage of a real folder, and what closes it."""
    folder = open_folder(str(path), "a")
    storage = Storage(folder.disk, cluster="test", peer="a", alone=True, new_id=lambda: "disk")
    return storage, folder.close


def test_a_batch_with_its_sync_is_cheap_and_a_start_is_quick(
    tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """Figures for `measured.md`; the bounds are far above any sound disk."""
    storage, close = opened(tmp_path)
    journal = storage.journal
    journal.add(b"\1", 1, 0)
    took_ms = []
    for index in range(2, BATCHES + 2):
        journal.add(b"\0" + b"x" * 300, index, 1)
        begun = time.perf_counter()
        journal.flush()
        took_ms.append(1000 * (time.perf_counter() - begun))
    cuts = quantiles(took_ms, n=100)
    for index in range(BATCHES + 2, ENTRIES):
        journal.add(b"\0" + b"x" * 300, index, 1)
    journal.flush()
    close()
    begun = time.perf_counter()
    storage, close = opened(tmp_path)
    storage.journal.flush()
    start_ms = 1000 * (time.perf_counter() - begun)
    assert len(storage.journal) == ENTRIES - 1
    close()
    measured(f"append and fsync p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.1f} ms")
    measured(f"start with {ENTRIES} entries, the rewrite of all included, {start_ms:.0f} ms")
    assert cuts[49] < 100
    assert start_ms < 5000
