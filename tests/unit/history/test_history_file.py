"""The file of history: hours and days against brute force, what is late, what is let go, and its size.

Real SQLite files; time is what the test says.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.history_support import START

from watchtower.core.model import Kind, Opinion
from watchtower.core.samples import Transition
from watchtower.history import file as history_file
from watchtower.history import reading
from watchtower.history.file import DAY_S, DAYS, HOUR_S, HOURS, HistoryFile, Known, Unusable, Work
from watchtower.history.packing import TICKS_MAX, pack, ticks
from watchtower.history.rollup import Rollup, merged
from watchtower.history.tally import BUCKET_S, Bucket, Chunk

SERVICES = (1, 2, 300)
"""Two slices of them."""


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[HistoryFile]:
    """A new file that knows three services."""
    made = HistoryFile(tmp_path / "history" / "samples.sqlite3")
    made.write(Work(known=[Known(number, f"s{number}", "up") for number in SERVICES]))
    yield made
    made.close()


def some_buckets(count: int, seed: int, start: float = START) -> list[Bucket]:
    """Rollups of random five minutes, three services, with holes."""
    random_ = random.Random(seed)  # noqa: S311 - a test repeats itself
    buckets = []
    for place in range(count):
        for service in SERVICES:
            if random_.random() < 0.2:
                continue
            rollup = Rollup(unknown=random_.randrange(2))
            for _ in range(random_.randrange(1, 6)):
                rollup.add(random_.choice((Opinion.UP, Opinion.DOWN)), random_.uniform(0.5, 500.0))
            rollup.stand(Opinion.UP, random_.randrange(200_000))
            rollup.stand(Opinion.DOWN, random_.randrange(100_000))
            buckets.append(Bucket(service, int(start) + place * BUCKET_S, rollup))
    return buckets


def roll_all(made: HistoryFile, now_wall: float) -> None:
    """Everything that can be rolled up by then."""
    while made.roll(HOURS, now_wall) or made.roll(DAYS, now_wall):
        pass


def rows(made: HistoryFile, table: str) -> dict[tuple[int, int], Rollup]:
    """A table of rollups, by start and service."""
    found = made._db.execute(f"SELECT start, service, {history_file.COLUMNS} FROM {table}")  # noqa: S608 - a constant of the test
    return {(start, service): history_file.rollup_of(row) for start, service, *row in found}


def brute(buckets: list[Bucket], service: int, start: float, end: float) -> Rollup:
    """What the buckets of a stretch come to."""
    return merged(
        bucket.rollup for bucket in buckets if bucket.service == service and start <= bucket.start < end
    )


def check_rows(made: HistoryFile, buckets: list[Bucket]) -> None:
    """Every row of an hour and of a day is what its five minutes come to."""
    for table, span_s in (("r1h", HOUR_S), ("r1d", DAY_S)):
        for (start, service), rollup in rows(made, table).items():
            assert rollup == brute(buckets, service, start, start + span_s), (table, start, service)


def test_hours_and_days_are_the_sum_of_their_parts(opened: HistoryFile) -> None:
    """Two and a half days, three services in two slices: every row exact, nothing rolled up too early."""
    buckets = some_buckets(720, seed=1)
    opened.write(Work(buckets=buckets))
    now_wall = START + 2.5 * DAY_S
    roll_all(opened, now_wall)
    check_rows(opened, buckets)
    assert {start for start, _ in rows(opened, "r1d")} == {int(START), int(START) + DAY_S}
    assert max(start for start, _ in rows(opened, "r1h")) == int(now_wall) - 2 * HOUR_S
    roll_all(opened, now_wall + 60)
    assert max(start for start, _ in rows(opened, "r1h")) == int(now_wall) - HOUR_S


def test_what_comes_late_is_added_everywhere(opened: HistoryFile) -> None:
    """A clock that was set back, or a look that took long: five minutes of an hour and a day already done."""
    buckets = some_buckets(400, seed=2)
    opened.write(Work(buckets=buckets))
    roll_all(opened, START + 400 * BUCKET_S)
    late = some_buckets(300, seed=3)
    opened.write(Work(buckets=late))
    check_rows(opened, [*buckets, *late])
    assert rows(opened, "r1d")


@pytest.mark.parametrize("seed", range(6))
def test_a_window_is_what_its_five_minutes_come_to(opened: HistoryFile, seed: int) -> None:
    """Put together from days, hours and five minutes, with holes, from any edge: nothing twice, no gap."""
    buckets = some_buckets(1200, seed=seed)
    opened.write(Work(buckets=buckets))
    now_wall = START + 1200 * BUCKET_S
    roll_all(opened, now_wall)
    random_ = random.Random(seed)  # noqa: S311 - a test repeats itself
    db = reading.connect(opened.path)
    for _ in range(40):
        start = int(START) + random_.randrange(-400, 1200) * BUCKET_S
        service = random_.choice(SERVICES)
        found = reading.total(db, service, [], start, int(now_wall))
        assert found == brute(buckets, service, start, now_wall)
    db.close()


def test_a_window_goes_on_behind_what_is_let_go(opened: HistoryFile) -> None:
    """Five minutes live 7 d and hours 90 d: longer windows are read from hours and days, without a seam."""
    buckets = some_buckets(9 * 288, seed=8)
    opened.write(Work(buckets=buckets))
    now_wall = START + 9 * DAY_S + 120
    roll_all(opened, now_wall)
    for _ in range(10):
        opened.sweep(now_wall, DAY_S)
    oldest = min(start for start, _ in rows(opened, "r5m"))
    assert now_wall - 7 * DAY_S - BUCKET_S <= oldest <= now_wall - 7 * DAY_S + BUCKET_S
    db = reading.connect(opened.path)
    for window_s in (DAY_S, 7 * DAY_S, 30 * DAY_S):
        start = reading.window_start(now_wall, window_s)
        assert reading.total(db, 1, [], start, int(now_wall)) == brute(buckets, 1, start, now_wall)
    db.close()


def test_what_is_not_rolled_up_yet_is_not_let_go(opened: HistoryFile) -> None:
    """A peer that was away for weeks rolls up first."""
    buckets = some_buckets(24, seed=4)
    opened.write(Work(buckets=buckets))
    opened.sweep(START + 30 * DAY_S, DAY_S)
    assert len(rows(opened, "r5m")) == len(buckets)
    roll_all(opened, START + 30 * DAY_S)
    opened.sweep(START + 30 * DAY_S, DAY_S)
    assert not rows(opened, "r5m")
    check_rows(opened, buckets)


def chunk(service: int, start_wall: float, samples: int = 40) -> Chunk:
    """Samples every ten seconds."""
    data = b"".join(pack(place * 100, Opinion.UP, Kind.OK, 5.0) for place in range(samples))
    return Chunk(service, ticks(start_wall), data)


def count(made: HistoryFile, table: str) -> int:
    """Rows of a table."""
    return int(
        made._db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - a constant of the test
    )


def test_samples_and_transitions_are_let_go_by_age(opened: HistoryFile) -> None:
    """What is younger stays, and a sample that a wrong clock put into the future holds nothing up."""
    day = [chunk(1, START + place * 400) for place in range(216)]
    opened.write(Work(chunks=[chunk(1, START + 400 * DAY_S), *day]))
    change = [(1, Transition(START + at, "up", "down", "timeout", "x")) for at in (0, 100 * DAY_S)]
    opened.write(Work(transitions=change))
    opened.sweep(START + DAY_S, DAY_S / 2)
    kept = [start for (start,) in opened._db.execute("SELECT start FROM chunk")]
    oldest = ticks(START + DAY_S / 2) - TICKS_MAX
    assert oldest <= min(kept) < oldest + 4_000
    assert len(kept) == 110
    opened.sweep(START + 100 * DAY_S, DAY_S)
    assert (count(opened, "chunk"), count(opened, "transition")) == (0, 1)


def test_a_clock_that_jumps_ahead_does_not_empty_the_file_at_once(opened: HistoryFile) -> None:
    """One sweep, a minute apart from the next, takes a bounded number of rows."""
    opened.write(Work(chunks=[chunk(1, START + place, samples=1) for place in range(9_000)]))
    opened.sweep(START + 3_650 * DAY_S, DAY_S)
    assert count(opened, "chunk") == 9_000 - history_file.DELETED_MAX


def test_the_number_of_transitions_is_bounded(opened: HistoryFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that flaps for weeks pushes out the oldest."""
    monkeypatch.setattr(history_file, "TRANSITIONS_MAX", 100)
    changes = [(1, Transition(START + at, "up", "down", "timeout", "x")) for at in range(250)]
    opened.write(Work(transitions=changes))
    opened.sweep(START + 300, DAY_S)
    assert count(opened, "transition") == 100
    db = reading.connect(opened.path)
    assert reading.transitions(db, 1, limit=1)[0].at_wall == START + 249
    db.close()


def test_a_file_at_its_limit_lets_the_oldest_samples_go(tmp_path: Path) -> None:
    """However young they are: the size is bounded, and writing goes on."""
    made = HistoryFile(tmp_path / "samples.sqlite3", bytes_max=2**20)
    made.write(Work(known=[Known(1, "s1", "up")]))
    for minute in range(60):
        made.write(Work(chunks=[chunk(1, START + 60 * minute + place, 80) for place in range(60)]))
        made.sweep(START + 3_600, DAY_S)
    assert made.file_bytes <= 2**20
    newest = made._db.execute("SELECT max(start) FROM chunk").fetchone()[0]
    assert newest == ticks(START + 59 * 60 + 59)
    made.close()


def test_pages_of_samples_follow_one_another(opened: HistoryFile) -> None:
    """Newest first, every sample once, in the file or not in it yet, also after the clock went back."""
    written = [chunk(1, START), chunk(1, START + 400), chunk(1, START + 150), chunk(2, START)]
    opened.write(Work(chunks=written))
    fresh = chunk(1, START + 800, samples=5)
    db = reading.connect(opened.path)
    seen: list[float] = []
    before: int | None = reading.NEVER
    while before is not None:
        page = reading.sample_page(db, 1, fresh, before=before, limit=7)
        assert 7 <= len(page.samples) <= 9 or page.following is None
        seen += [sample.at_wall for sample in page.samples]
        before = page.following
    db.close()
    assert len(seen) == 125
    assert seen == sorted(seen, reverse=True)


def test_a_file_of_another_version_is_not_touched(opened: HistoryFile) -> None:
    """It says which format it is."""
    opened._db.execute("PRAGMA user_version = 9")
    with pytest.raises(Unusable, match="format is 9"):
        HistoryFile(opened.path)


def test_only_its_owner_may_read_it(opened: HistoryFile) -> None:
    """What is watched is nobody else's business."""
    assert opened.path.stat().st_mode & 0o777 == 0o600
    assert opened.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_day_waits_for_all_its_hours(opened: HistoryFile) -> None:
    """A day over which only some hours are rolled up yet would be less than it was."""
    buckets = some_buckets(600, seed=5)
    opened.write(Work(buckets=buckets))
    now_wall = START + 2 * DAY_S + 7_200
    while opened._progress.get("r1h", (0, 0))[0] < START + 20 * HOUR_S:
        assert opened.roll(HOURS, now_wall)
    assert not opened.roll(DAYS, now_wall)
    roll_all(opened, now_wall)
    check_rows(opened, buckets)
    assert rows(opened, "r1d")
