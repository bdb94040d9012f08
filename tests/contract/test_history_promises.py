"""What history promises about a crash and about room: kill -9, and a thousand services for an hour.

A real process is killed; sizes are asserted, times are only noted.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from support.history_support import Stepped, file_of, history_settings

from watchtower.core.model import Opinion
from watchtower.history.file import HistoryFile

TESTS = Path(__file__).parents[1]
SERVICES = 1_000
CHUNK_LOOKS = 60


@pytest.mark.parametrize("lines", [1, 7, 20])
def test_a_kill_loses_at_most_the_open_chunk_and_no_transition(tmp_path: Path, lines: int) -> None:
    """What was said to be on the disk is there after kill -9; of the looks, an open chunk is missing."""
    environ = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    with subprocess.Popen(
        [sys.executable, "-m", "support.history_child", str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=environ, cwd=TESTS.parent,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(lines)]
        child.kill()
    written, taken = (int(number) for number in told[-1].split())
    assert written == lines
    again = HistoryFile(file_of(tmp_path))  # as the next start does
    assert again._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    changes = again._db.execute("SELECT before, after FROM transition ORDER BY id").fetchall()
    assert len(changes) >= written
    assert changes[0][0] == ""
    assert all(earlier[1] == later[0] for earlier, later in pairwise(changes))
    (samples,) = again._db.execute("SELECT coalesce(sum(length(data)), 0) / 4 FROM chunk").fetchone()
    assert samples >= taken - CHUNK_LOOKS
    assert samples > 0 or lines < 3
    (counted,) = again._db.execute("SELECT coalesce(sum(n), 0) FROM r5m").fetchone()
    assert counted >= taken - CHUNK_LOOKS
    again.close()


@pytest.mark.timeout(300)
def test_a_thousand_services_for_an_hour_take_few_bytes(
    tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """360,000 looks at 10 s: at most 6 bytes a look for the looks, and 100 for each sum of five minutes."""
    names = [f"service-{number:04}" for number in range(SERVICES)]
    made = Stepped(history_settings(tmp_path, *names))
    taking_s = turning_s = 0.0
    for step in range(360):
        begun = time.thread_time()
        for number, name in enumerate(names):
            is_down = number == step or number == step - 1
            opinion = Opinion.DOWN if is_down else Opinion.UP
            made.look(name, opinion, duration_ms=5.0 + (number * 7919 + step * 104_729) % 1_000 / 10)
        middle = time.thread_time()
        made.turn(10)
        taking_s, turning_s = taking_s + middle - begun, turning_s + time.thread_time() - middle
    begun = time.thread_time()
    made.finish()
    turning_s += time.thread_time() - begun
    looks = SERVICES * 360
    stats = made.history.stats
    assert (stats.samples_total, stats.dropped_total, stats.trouble) == (looks, 0, "")
    db = sqlite3.connect(file_of(tmp_path))
    assert db.execute("SELECT sum(length(data)) / 4 FROM chunk").fetchone() == (looks,)
    assert db.execute("SELECT sum(n) FROM r5m").fetchone() == (looks,)
    (rows,) = db.execute("SELECT count(*) FROM r5m").fetchone()
    whole = _bytes(db)
    db.execute("DELETE FROM chunk")
    without_looks = _bytes(db)
    db.execute("DELETE FROM r5m")
    sums = without_looks - _bytes(db)
    db.close()
    per_look, per_row = (whole - without_looks) / looks, sums / rows
    measured(
        f"{per_look:.2f} bytes a look (MB per million), {per_row:.0f} a sum of five minutes; per 1,000 looks "
        f"{1e6 * turning_s / looks:.1f} ms CPU of the thread, {1e6 * taking_s / looks:.1f} ms of the giver"
    )
    assert per_look <= 6
    assert per_row <= 100
    assert len(made.history._tallies) == 0


def _bytes(db: sqlite3.Connection) -> int:
    """What the rows take."""
    db.commit()
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    return int(pages - free) * 8192
