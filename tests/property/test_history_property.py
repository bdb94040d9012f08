"""The arithmetic of history against brute force: packing, rollups, and the time that looks stand for.

Everything here is pure; what lies on a disk is tested in tests/unit/history/.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.core.model import Kind, Opinion
from watchtower.history.packing import KINDS, OTHER, SAMPLE_BYTES, TICKS_MAX, pack, ticks, unpack
from watchtower.history.rollup import Rollup, decode, encode, figures, merged, percentile_ms
from watchtower.history.tally import BUCKET_S, Bucket, Chunk, Tally

START = 1_800_000_000.0
latencies = st.floats(0.001, 1_000_000.0)
opinions = st.sampled_from(list(Opinion))
kinds = st.sampled_from(list(Kind))
looks = st.tuples(opinions, latencies)


@given(st.integers(0, TICKS_MAX), opinions, kinds, latencies)
def test_a_sample_comes_back_from_four_bytes(offset: int, opinion: Opinion, kind: Kind, ms: float) -> None:
    """Time to the tick, words exactly, latency within 0.13 %."""
    data = pack(offset, opinion, kind, ms)
    (back,) = unpack(ticks(START), data)
    assert len(data) == SAMPLE_BYTES
    assert (ticks(back.at_wall), back.opinion, back.kind) == (ticks(START) + offset, opinion, kind)
    assert back.latency_ms == pytest.approx(ms, rel=0.0013)


@given(st.floats(allow_nan=True, allow_infinity=True), st.text(max_size=5))
def test_any_number_and_any_word_can_be_packed(ms: float, kind: str) -> None:
    """A latency that cannot be and a kind of a later release do no harm."""
    (back,) = unpack(0, pack(0, Opinion.UP, kind, ms))
    assert 0 <= back.latency_ms <= 1_000_001
    assert back.kind == (kind if kind in set(KINDS) else OTHER)


def test_every_kind_has_a_code() -> None:
    """Codes are a file format: a new kind goes to the end of the table, and 15 is `other`."""
    assert set(KINDS) == set(Kind)
    assert len(KINDS) <= 15


@given(st.binary(max_size=40))
def test_what_is_no_chunk_is_read_without_harm(data: bytes) -> None:
    """Bytes from a damaged row are samples that mean nothing, and no error."""
    assert len(list(unpack(0, data))) == len(data) // SAMPLE_BYTES
    assert all(0 <= bucket <= 255 for bucket in decode(data))


@given(st.dictionaries(st.integers(0, 255), st.integers(1, 2**40), max_size=60))
def test_a_histogram_comes_back(histogram: dict[int, int]) -> None:
    """Whatever the counts are."""
    assert decode(encode(histogram)) == histogram


def _rolled(seen: list[tuple[Opinion, float]]) -> Rollup:
    rollup = Rollup()
    for opinion, ms in seen:
        rollup.add(opinion, ms)
    return rollup


@given(st.lists(st.lists(looks, max_size=30), max_size=6))
def test_parts_merge_to_the_whole(parts: list[list[tuple[Opinion, float]]]) -> None:
    """Hours from five minutes, days from hours: the same as counting every look."""
    assert merged(map(_rolled, parts)) == _rolled([look for part in parts for look in part])


@given(st.lists(looks, min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_counts_are_exact_and_percentiles_within_five_percent(
    seen: list[tuple[Opinion, float]], share: float
) -> None:
    """Against the sorted list of good looks."""
    good = sorted(ms for opinion, ms in seen if opinion in (Opinion.UP, Opinion.DEGRADED))
    rollup = _rolled(seen)
    shown = figures(rollup, 0.0, 1.0)
    assert rollup.ok == len(good)
    assert rollup.unknown == sum(opinion is Opinion.UNKNOWN for opinion, _ in seen)
    assert shown.failed == sum(opinion is Opinion.DOWN for opinion, _ in seen)
    found = percentile_ms(rollup, share)
    if not good:
        assert found is None
        return
    assert found is not None
    true = good[max(1, math.ceil(share * len(good))) - 1]
    # below a hundredth of a millisecond there is one bucket for all
    assert found == pytest.approx(true, rel=0.051, abs=0.011)
    assert shown.max_ms == pytest.approx(good[-1], abs=0.001)


gaps_s = st.one_of(st.floats(0.1, 40.0), st.sampled_from([10.0, 300.0, 1000.0, 4000.0]))
HOLD_S = 25.0


def _series(steps: list[tuple[float, Opinion]]) -> list[tuple[float, Opinion]]:
    """Looks at moments of whole milliseconds."""
    at_ms, seen = round(START * 1000), []
    for gap_s, opinion in steps:
        at_ms += round(gap_s * 1000)
        seen.append((at_ms / 1000, opinion))
    return seen


def _stood(seen: list[tuple[float, Opinion]], end: float, opinion_wanted: Opinion, around: int) -> float:
    """Brute force: how long looks of an opinion stand within five minutes, at most HOLD_S each."""
    total = 0.0
    for (at, opinion), (until, _) in pairwise([*seen, (end, Opinion.UP)]):
        if opinion is opinion_wanted:
            until = min(until, at + HOLD_S)  # noqa: PLW2901 - at most so long
            total += max(0.0, min(until, around + BUCKET_S) - max(at, around))
    return total


@given(st.lists(st.tuples(gaps_s, opinions), min_size=1, max_size=80), st.booleans())
def test_five_minutes_are_what_the_looks_in_them_come_to(
    steps: list[tuple[float, Opinion]], advances: bool
) -> None:
    """Counts by look, time by what each look stands for, with and without the thread closing on time."""
    seen = _series(steps)
    tally = Tally(7, hold_s=HOLD_S, chunk_s=450)
    closed: list[Bucket] = []
    for at, opinion in seen:
        if advances:
            closed += tally.advance(at - 15)
        closed += tally.add(at, opinion, Kind.OK, 5.0)[1]
    end = seen[-1][0] + 60
    closed += tally.close(end)[1]
    starts = {bucket.start for bucket in closed}
    for start in starts:
        whole = merged(bucket.rollup for bucket in closed if bucket.start == start)
        inside = [opinion for at, opinion in seen if start <= at < start + BUCKET_S]
        assert whole.n + whole.unknown == len(inside)
        assert whole.n - whole.ok == inside.count(Opinion.DOWN)
        assert whole.down_ms == pytest.approx(_stood(seen, end, Opinion.DOWN, start) * 1000, abs=1)
        up_s = _stood(seen, end, Opinion.UP, start) + _stood(seen, end, Opinion.DEGRADED, start)
        assert whole.up_ms == pytest.approx(up_s * 1000, abs=2)
        assert whole.up_ms + whole.down_ms <= BUCKET_S * 1000
    assert sum(bucket.rollup.n + bucket.rollup.unknown for bucket in closed) == len(seen)


@given(st.lists(st.tuples(st.floats(-5_000, 5_000), opinions, latencies), min_size=1, max_size=60))
def test_whatever_the_clock_does_no_sample_is_lost(steps: list[tuple[float, Opinion, float]]) -> None:
    """A clock that jumps either way begins a new chunk: what comes out is what went in, in its order."""
    tally = Tally(7, hold_s=HOLD_S, chunk_s=450)
    chunks: list[Chunk] = []
    at, taken = START, []
    for gap_s, opinion, ms in steps:
        at += gap_s
        taken.append((ticks(at), opinion))
        chunks += tally.add(at, opinion, Kind.OK, ms)[0]
    chunks += tally.close(at)[0]
    assert tally.open_chunk().data == b""
    back = [(ticks(one.at_wall), one.opinion) for chunk in chunks for one in unpack(chunk.start, chunk.data)]
    assert back == taken
    assert all(len(list(unpack(0, chunk.data))) <= TICKS_MAX for chunk in chunks if chunk.data)


def test_time_counts_again_when_a_clock_comes_back_from_far_ahead() -> None:
    """A year too far for one look: afterwards the looks stand for time as before."""
    tally = Tally(7, hold_s=HOLD_S, chunk_s=450)
    closed = tally.add(START + 366 * 86_400, Opinion.UP, Kind.OK, 5.0)[1]
    for step in range(10):
        closed += tally.add(START + 10 * step, Opinion.UP, Kind.OK, 5.0)[1]
    closed += tally.close(START + 90)[1]
    assert sum(bucket.rollup.up_ms for bucket in closed if bucket.start < START + 300) == 90_000


def test_time_that_was_lived_twice_is_no_more_than_there_was() -> None:
    """Shares stay, seconds are scaled down to the window."""
    shown = figures(Rollup(up_ms=5_400_000, down_ms=1_800_000), START, START + 3_600)
    assert (shown.up_s, shown.down_s, shown.unwatched_s) == (2_700, 900, 0)
    assert shown.uptime == 0.75
