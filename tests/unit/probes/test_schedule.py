"""When services are due: at once after a start, in a steady rhythm, peers one after another."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.core_support import WALL, service, settings

from watchtower.core.model import Instant
from watchtower.core.settings import Service, Settings
from watchtower.core.targets import HeartbeatTarget, PeerTarget
from watchtower.probes.pace.schedule import Schedule


def schedule(wanted: Settings, boot: float = 1000.0, wall: float = WALL) -> Schedule:
    """A schedule that begins at `boot`, when the wall clock shows `wall`."""
    return Schedule(wanted, Instant(wall=wall, boot=boot))


def many(count: int, **fields: Any) -> list[Service]:
    """Services s0, s1 ..."""
    return [service(f"s{number}", **fields) for number in range(count)]


def run(made: Schedule, begin: float, end: float) -> list[tuple[float, str]]:
    """Everything due between two moments, when each look is taken at the very moment."""
    taken: list[tuple[float, str]] = []
    while begin <= (at := made.next_boot()) < end:
        taken += [(at, due.name) for due in made.take_due(at)]
    return taken


@pytest.mark.parametrize(
    ("count", "interval_s", "within_s"),
    [(1, 30.0, 0.01), (50, 30.0, 0.5), (3000, 60.0, 20.0), (3000, 5.0, 5.0)],
)
def test_after_a_start_everything_is_seen_soon(count: int, interval_s: float, within_s: float) -> None:
    """Within min(interval, 20 s) every service is due, few of them at once, spread over the time."""
    begun = schedule(settings(*many(count, interval_s=interval_s)))
    first: dict[str, float] = {}
    for at, name in run(begun, 1000.0, 1000.0 + within_s + 0.001):
        first.setdefault(name, at)
    assert len(first) == count
    if count > 1000:
        half = sum(at < 1000.0 + within_s / 2 for at in first.values())
        assert 0.4 < half / count < 0.6


@pytest.mark.parametrize("interval_s", [1.0, 7.3, 30.0])
def test_the_rhythm_does_not_drift(interval_s: float) -> None:
    """Over a thousand intervals there are a thousand looks, each within the jitter of its beat."""
    begun = schedule(settings(service("web", interval_s=interval_s, jitter=0.1)))
    times = [at for at, _ in run(begun, 1000.0, 1000.0 + 1000 * interval_s)][1:]
    assert 998 <= len(times) <= 1000
    for number, at in enumerate(times):
        assert abs(at - times[0] - number * interval_s) <= 0.1 * interval_s + 1e-6


@pytest.mark.parametrize(
    ("count", "interval_s", "slot_s"),
    [(0, 1.0, 0.1), (100, 30.0, 0.1), (1000, 10.0, 0.1), (2000, 10.0, 0.05), (9000, 1.0, 0.01)],
)
def test_slots_hold_ten_looks(count: int, interval_s: float, slot_s: float) -> None:
    """As long as ten looks take to come due, from ten to a hundred milliseconds."""
    begun = schedule(settings(*many(count, interval_s=interval_s)))
    assert begun.slot_s == pytest.approx(slot_s)


def test_late_looks_do_not_move_the_rhythm() -> None:
    """A loop that always comes late by a bit keeps the beat all the same."""
    begun = schedule(settings(service("web", interval_s=10.0, jitter=0.0)))
    run(begun, 1000.0, 1001.0)
    beats = []
    for _ in range(50):
        beats.append(begun.next_boot())
        begun.take_due(begun.next_boot() + 4.0)
    assert {round(later - earlier, 6) for earlier, later in pairwise(beats)} == {10.0}


def test_peers_look_one_after_another() -> None:
    """Without jitter peer k looks k/3 of an interval after the first, however long their machines run."""
    phases = []
    for number, me in enumerate("abc"):
        wanted = settings(service("web", interval_s=30.0, jitter=0.0), me=me)
        boot = 1000.0 * (number + 1)
        times = [at for at, _ in run(schedule(wanted, boot=boot), boot, boot + 100.0)]
        phases.append((times[-1] - boot) % 30.0)
    assert (phases[1] - phases[0]) % 30.0 == pytest.approx(10.0)
    assert (phases[2] - phases[0]) % 30.0 == pytest.approx(20.0)


def test_a_restart_finds_the_same_rhythm() -> None:
    """The phase comes from the name and the wall clock alone: two processes agree on it."""
    wanted = settings(*many(20, interval_s=10.0))
    begun, restarted = schedule(wanted), schedule(wanted, boot=1003.0, wall=WALL + 3.0)
    run(begun, 1000.0, 1030.0)
    run(restarted, 1000.0, 1030.0)
    one, other = (
        {name: round(at, 6) for at, name in run(made, 1030.0, 1040.0)} for made in (begun, restarted)
    )
    assert one == other
    assert len(one) >= 19


def test_only_own_services_are_looked_at() -> None:
    """Heartbeats call us, and a peer neither votes on itself nor on what others watch."""
    wanted = settings(
        service("web"),
        service("backup", HeartbeatTarget(period_s=60.0, grace_s=60.0)),
        service("theirs", voters=("b", "c")),
        service("peer/a", PeerTarget(peer="a", url="http://a.example"), voters=("b", "c")),
        service("peer/b", PeerTarget(peer="b", url="http://b.example"), voters=("a", "c")),
    )
    assert {name for _, name in run(schedule(wanted), 1000.0, 1100.0)} == {"web", "peer/b"}


def test_an_extra_look_comes_once_and_leaves_the_rhythm() -> None:
    """A recheck is due when asked for, once, and the regular beats stay where they were."""
    wanted = settings(service("web", interval_s=10.0))
    plain, disturbed = schedule(wanted), schedule(wanted)
    regular = run(plain, 1000.0, 1050.0)
    taken = run(disturbed, 1000.0, 1005.0)
    disturbed.look_soon(["web"], 1007.0)
    disturbed.look_soon(["web"], 1006.0)
    disturbed.look_soon(["web"], 1008.0)
    taken += run(disturbed, 1000.0, 1050.0)
    assert sorted(set(taken) - set(regular)) == [(1006.0, "web")]
    assert set(regular) <= set(taken)


def test_an_extra_look_at_a_stranger_is_forgotten() -> None:
    """What this peer does not look at cannot be asked for."""
    begun = schedule(settings(service("theirs", voters=("b",))))
    begun.look_soon(["theirs", "nobody"], 1000.0)
    assert begun.next_boot() == float("inf")


def test_a_reload_keeps_the_rhythm_of_what_did_not_change() -> None:
    """Unchanged services keep their next beat, changed and new ones are due soon, gone ones are not."""
    same, old, new = service("same"), service("moved"), service("moved", interval_s=9.0)
    begun = schedule(settings(same, old, service("gone")))
    run(begun, 1000.0, 1100.0)
    planned = [due.at_boot for due in begun._heap if due.name == "same"]
    assert begun.reload(settings(same, new, service("fresh")), 1100.0) == ("gone", "moved")
    assert [due.at_boot for due in begun._heap if due.name == "same"] == planned
    assert {name for _, name in run(begun, 1100.0, 1100.1)} >= {"moved", "fresh"}
    assert "gone" not in {name for _, name in run(begun, 1100.1, 1200.0)}


def test_a_changed_service_can_be_asked_for_again() -> None:
    """An extra look that was planned before a reload does not swallow the next one."""
    begun = schedule(settings(service("web")))
    run(begun, 1000.0, 1001.0)
    begun.look_soon(["web"], 1002.0)
    begun.reload(settings(service("web", interval_s=60.0)), 1001.0)
    run(begun, 1001.0, 1002.0)
    begun.look_soon(["web"], 1003.0)
    assert [(at, name) for at, name in run(begun, 1002.0, 1004.0)] == [(1003.0, "web")]


@given(
    st.lists(st.floats(0.0, 40.0), min_size=1, max_size=60),
    st.floats(1.0, 30.0),
    st.floats(0.0, 0.5),
)
def test_no_look_is_lost_or_doubled(pauses: list[float], interval_s: float, jitter: float) -> None:
    """However late the loop comes, there is always exactly one next look, and it is not far."""
    begun = schedule(settings(service("web", interval_s=interval_s, jitter=jitter)))
    now = 1000.0
    for pause in pauses:
        now += pause
        assert len(begun.take_due(now)) <= 1
        assert len(begun._heap) == 1
        assert now < begun.next_boot() <= now + (1.3 + jitter) * interval_s + 1e-6
