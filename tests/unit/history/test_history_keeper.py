"""History under what a machine does to it: full disk, damage, overload, clocks, reloads; and being off.

The test takes the thread's turns itself, so nothing here waits; the files are real.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.history_support import START, SetClock, Stepped, file_of, history_settings, result

from watchtower.core.model import Kind, Opinion
from watchtower.core.samples import Figures, SamplePage, Transition
from watchtower.errors import HistoryError
from watchtower.history import keeper
from watchtower.history.keeper import ASIDE, History
from watchtower.history.off import NoHistory


def samples(made: Stepped, service: str = "web", limit: int = 1_000) -> SamplePage:
    """What is answered about samples."""
    return asyncio.run(made.history.results(service, before=None, limit=limit))


def day(made: Stepped, service: str = "web") -> Figures:
    """What is answered about the last 24 h."""
    return asyncio.run(made.history.uptime(service, (86_400.0,)))[0]


def changes(made: Stepped, service: str = "web") -> list[tuple[str, str]]:
    """What is answered about transitions, oldest first."""
    found: tuple[Transition, ...] = asyncio.run(made.history.transitions(service, limit=50))
    return [(one.before, one.after) for one in reversed(found)]


def watch(made: Stepped, minutes: float, opinion: Opinion = Opinion.UP) -> int:
    """A look every ten seconds, and a turn after each; how many there were."""
    for _ in range(round(minutes * 6)):
        made.look("web", opinion)
        made.turn(10)
    return round(minutes * 6)


def test_what_was_seen_is_answered_before_and_after_it_is_written(tmp_path: Path) -> None:
    """Ninety minutes, half an hour of it down: exact, also in the middle of a chunk and after a restart."""
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    looks = watch(made, 30) + watch(made, 30, Opinion.DOWN) + watch(made, 30.5)
    for round_ in ("running", "restarted"):
        found = day(made)
        assert (found.samples, found.failed) == (looks, 180), round_
        assert len(samples(made).samples) == looks
        assert found.down_s == pytest.approx(1800)
        assert found.up_s == pytest.approx(60.5 * 60)
        assert found.uptime == pytest.approx(3630 / 5430)
        assert found.unwatched_s == pytest.approx(86_400 - 5430, abs=301)
        assert found.p95_ms == pytest.approx(80, rel=0.05)
        assert changes(made) == [("", "up"), ("up", "down"), ("down", "up")]
        made.finish()
        made = Stepped(config, made.clock)
        made.turn(0)


def test_time_without_looks_counts_neither_way(tmp_path: Path) -> None:
    """A look stands for two intervals and a timeout; looks that prove nothing stand for nothing."""
    made = Stepped(history_settings(tmp_path, "web"))
    watch(made, 10)
    made.turn(3600)
    watch(made, 10, Opinion.UNKNOWN)
    watch(made, 10, Opinion.DEGRADED)
    found = day(made)
    assert found.up_s == pytest.approx(600 + 15 + 600)
    assert (found.down_s, found.uptime) == (0.0, 1.0)
    assert (found.samples, found.unknown, found.failed) == (120, 60, 0)


def test_nothing_seen_is_no_uptime(tmp_path: Path) -> None:
    """Neither 0 nor 100 %."""
    made = Stepped(history_settings(tmp_path, "web"))
    made.turn()
    found = day(made)
    assert (found.uptime, found.samples, found.p50_ms) == (None, 0, None)
    assert found.unwatched_s == pytest.approx(86_400, abs=301)
    assert samples(made) == SamplePage((), None)


def test_a_clock_that_is_set_back_loses_no_sample(tmp_path: Path) -> None:
    """Half an hour is lived twice: every look is there, and no more time is counted than there was."""
    made = Stepped(history_settings(tmp_path, "web"), SetClock(START + 40_000))
    looks = watch(made, 60)
    made.clock.wall -= 1800
    looks += watch(made, 60)
    assert len(samples(made).samples) == looks
    found = day(made)
    assert found.samples == looks
    assert found.up_s <= 86_400
    assert found.uptime == 1.0
    made.clock.wall += 40 * 86_400
    looks = watch(made, 10)
    assert day(made).samples == looks


def test_a_change_wakes_the_thread_and_more_of_the_same_does_not(tmp_path: Path) -> None:
    """Transitions go to the disk at once, looks once a second."""
    made = Stepped(history_settings(tmp_path, "web"))
    for opinion, wakes in ((Opinion.UP, False), (Opinion.UP, False), (Opinion.DOWN, True)):
        made.look("web", opinion)
        assert made.history._wake.is_set() is wakes


def test_a_full_queue_drops_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop never waits for the disk; what changed is still known from the next look."""
    monkeypatch.setattr(keeper, "QUEUE_MAX", 100)
    made = Stepped(history_settings(tmp_path, "web"))
    for _ in range(150):
        made.look("web")
    made.look("web", Opinion.DOWN)
    made.turn()
    stats = made.history.stats
    assert (stats.samples_total, stats.dropped_total) == (100, 51)
    made.look("web", Opinion.DOWN)
    made.turn()
    assert changes(made)[-1] == ("up", "down")


def test_a_full_disk_pauses_history_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's own "disk is full": said once, and what waited is written when there is room again."""
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    watch(made, 5)
    file = made.history._file
    assert file is not None
    (used,) = file._db.execute("PRAGMA page_count").fetchone()
    filler = sqlite3.connect(file_of(tmp_path))
    filler.execute("CREATE TABLE filler (data BLOB)")
    filler.commit()
    file._db.execute(f"PRAGMA max_page_count = {used}")
    made.history._bytes_max = used * 8192
    texts = ["x" * 8_000, "y" * 8_000]
    with caplog.at_level(logging.WARNING):
        for place in range(60):
            made.look("web", (Opinion.UP, Opinion.DOWN)[place % 2], text=texts[place % 2])
            made.turn(1)
    assert "disk is full" in made.history.stats.trouble
    assert [record.message for record in caplog.records if "paused" in record.message] == [
        caplog.records[0].message
    ]
    assert day(made).samples  # what is written can still be read
    made.history._bytes_max = 2**30
    filler.close()
    made.turn(keeper.RETRY_S)
    assert made.history.stats.trouble == ""
    assert made.history.stats.dropped_total == 0
    assert len(samples(made).samples) == 90
    assert len(changes(made)) == 50
    assert day(made).samples == 90


def test_what_waits_for_a_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest rows go, and their looks are counted."""
    monkeypatch.setattr(keeper, "PENDING_MAX", 3)
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    watch(made, 5)
    made.history._on_trouble(OSError("gone"))
    made.history._due["retry"] = float("inf")
    watch(made, 60)
    pending = made.history._pending
    assert len(pending.chunks) == 3
    assert len(pending.buckets) == 3
    assert made.history.stats.dropped_total > 100
    made.history._due["retry"] = 0.0
    made.turn()
    assert made.history.stats.trouble == ""


def test_a_folder_that_cannot_be_used_stops_nothing(tmp_path: Path) -> None:
    """A file stands where the folder should be: trouble, and looks wait until the queue is full."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "history").write_text("in the way")
    made = Stepped(history_settings(tmp_path, "web"))
    watch(made, 5)
    assert str(file_of(tmp_path)) in made.history.stats.trouble
    with pytest.raises(HistoryError, match="cannot be read"):
        samples(made)
    (tmp_path / "a" / "history").unlink()
    made.turn(keeper.RETRY_S)
    assert made.history.stats.trouble == ""
    assert len(samples(made).samples) == 30


@pytest.mark.parametrize("moment", ["before the start", "while it runs"])
def test_a_damaged_file_is_set_aside_and_begun_anew(
    tmp_path: Path, moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Kept for who wants to look, said, counted; names keep their numbers and new looks are answered."""
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    watch(made, 20)
    path = file_of(tmp_path)
    if moment == "before the start":
        made.finish()
        path.write_bytes(b"no database at all" * 1000)
        made = Stepped(config, made.clock)
    else:
        assert made.history._file is not None
        made.history._file._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xa5" * 8192 * 11)
        with pytest.raises(HistoryError, match="malformed"):
            day(made)
    with caplog.at_level(logging.ERROR):
        looks = watch(made, 20)
        for _ in range(3):
            made.turn(keeper.RETRY_S)
    assert made.history.stats.damaged_total >= 1
    assert made.history.stats.trouble == ""
    assert path.with_name(ASIDE).exists()
    assert any("begins anew" in record.message for record in caplog.records)
    watch(made, 1)
    assert day(made).samples > looks / 2
    made.finish()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert db.execute("SELECT name, opinion FROM service").fetchall() == [("web", "up")]
    db.close()


def test_a_file_of_another_version_is_set_aside(tmp_path: Path) -> None:
    """Whatever it holds stays as it is, under another name."""
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    watch(made, 1)
    made.finish()
    db = sqlite3.connect(file_of(tmp_path))
    db.execute("PRAGMA user_version = 7")
    db.close()
    made = Stepped(config, made.clock)
    watch(made, 2)
    assert made.history.stats.damaged_total == 1
    aside = sqlite3.connect(file_of(tmp_path).with_name(ASIDE))
    assert aside.execute("SELECT count(*) FROM chunk").fetchone() == (1,)
    aside.close()
    assert made.history.stats.trouble == ""


def test_a_service_that_is_watched_no_more_is_closed_and_keeps_its_past(tmp_path: Path) -> None:
    """Its open samples are written; later results of that name are not its own."""
    config = history_settings(tmp_path, "web", "api")
    made = Stepped(config)
    watch(made, 2)
    made.history.reload(history_settings(tmp_path, "api"))
    made.turn(keeper.ADVANCE_EVERY_S)
    assert not made.history._tallies
    made.history.take(result("web", made.clock.wall))
    made.turn()
    assert len(samples(made).samples) == 12
    assert made.history.stats.dropped_total == 0


def test_retention_of_samples_follows_the_file(tmp_path: Path) -> None:
    """A reload takes a shorter one; the sums stay."""
    config = history_settings(tmp_path, "web")
    made = Stepped(config)
    looks = watch(made, 180)
    made.history.reload(replace(config, history=replace(config.history, samples_kept_s=3600.0)))
    made.turn(61)
    kept = samples(made).samples
    assert 354 <= len(kept) <= 354 + 82 + 60
    assert day(made).samples == looks


def test_the_real_thread_writes_at_once_and_to_the_end(tmp_path: Path) -> None:
    """Start, results, stop: a change is on disk while the peer runs, everything else when it has stopped."""
    config = history_settings(tmp_path, "web")
    made = History(config, SetClock())

    async def main() -> None:
        await made.start()
        made.take(result("web", START))
        made.take(result("web", START + 10, Opinion.DOWN, kind=Kind.REFUSED, text="refused"))
        async with asyncio.timeout(10):
            while made.stats.transitions_total < 2:  # noqa: ASYNC110 - a thread's counter has no event
                await asyncio.sleep(0.01)  # noqa: TID251 - paces the look at a condition with a deadline
        assert [one.after for one in await made.transitions("web", limit=9)] == ["down", "up"]
        assert len((await made.results("web", before=None, limit=9)).samples) == 2
        await made.stop()

    asyncio.run(main())
    db = sqlite3.connect(file_of(tmp_path))
    assert db.execute("SELECT length(data) FROM chunk").fetchall() == [(8,)]
    assert db.execute("SELECT count(*) FROM r5m").fetchone() == (1,)
    db.close()


def test_history_that_is_off_says_so_and_keeps_nothing() -> None:
    """Every question is answered with the reason."""

    async def main() -> None:
        off = NoHistory()
        await off.start()
        off.take(result("web", START))
        for asked in (
            off.results("web", before=None, limit=1),
            off.transitions("web", limit=1),
            off.uptime("web", (3600.0,)),
        ):
            with pytest.raises(HistoryError, match="--no-history"):
                await asked
        await off.stop()
        assert "--no-history" in off.stats.off

    asyncio.run(main())
