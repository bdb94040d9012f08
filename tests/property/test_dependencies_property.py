"""The graph of needs against brute force: every question is answered as one would by trying everything."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_support import Book, service, settings

from watchtower.core.alerting.dependencies import Causes, dependents_of, graph_of, impact, needed_by
from watchtower.core.model import Incident, Level, State
from watchtower.core.settings import Need, Settings

BAD = (Level.DEGRADED, Level.PARTIAL, Level.DOWN)
START = Book().state


@st.composite
def files(draw: st.DrawFn) -> Settings:
    """Up to nine services, each needing only earlier ones, so that there is no circle."""
    names = [f"s{number}" for number in range(draw(st.integers(2, 9)))]
    made = []
    for at, name in enumerate(names):
        groups = []
        for _ in range(draw(st.integers(0, 3)) if at else 0):
            members = draw(st.lists(st.sampled_from(names[:at]), min_size=1, max_size=4, unique=True))
            text = draw(st.sampled_from(("", "slow")))
            least = draw(st.integers(1, len(members)))
            groups.append(Need(names=tuple(members), at_least=least, degraded=text))
        made.append(service(name, needs=tuple(groups)))
    return settings(*draw(st.permutations(made)))


troubles = st.dictionaries(st.sampled_from([f"s{number}" for number in range(9)]), st.sampled_from(BAD))


def rank(level: Level | None) -> int:
    """0 for well, 1 for mild trouble, 2 for down."""
    return 0 if level is None else 2 if level is Level.DOWN else 1


def explained_by(file: Settings, bad: dict[str, Level], name: str, level: Level) -> set[str]:
    """The failing needs that explain it: by trying every way to have enough left of each group."""
    causes: set[str] = set()
    for need in file.services[name].needs:
        failing = {one for one in need.names if rank(bad.get(one)) >= rank(level)}
        ways = combinations(need.names, need.at_least)
        if not any(failing.isdisjoint(way) for way in ways):
            causes |= failing
    return causes


def roots_of(file: Settings, bad: dict[str, Level], name: str, level: Level) -> set[str]:
    """The ends of all ways down through explained failures."""
    found = set()
    for cause in explained_by(file, bad, name, level):
        found |= roots_of(file, bad, cause, bad[cause]) or {cause}
    return found


@given(files(), troubles, st.sampled_from(BAD))
def test_the_roots_are_those_of_brute_force(file: Settings, bad: dict[str, Level], level: Level) -> None:
    """For every service, at every level; a root fails, nothing explains it, and it is never the service."""
    bad = {name: how for name, how in bad.items() if name in file.services}
    causes = Causes(graph_of(file), bad)
    for name in file.services:
        found = causes.roots(name, level)
        assert set(found) == roots_of(file, bad, name, level)
        assert len(set(found)) == len(found)
        assert name not in found
        assert all(not explained_by(file, bad, root, bad[root]) for root in found)
        assert bool(found) == bool(causes.unmet(name, level))


@given(files())
def test_reach_is_that_of_brute_force(file: Settings) -> None:
    """Both ways, without repeats; what is needed stands lower than what needs it."""
    below = {name: {n for need in one.needs for n in need.names} for name, one in file.services.items()}
    closed = {name: set(some) for name, some in below.items()}
    for _ in file.services:
        closed = {name: some.union(*(closed[n] for n in some)) for name, some in closed.items()}
    depths = graph_of(file).depths
    for name, all_below in closed.items():
        assert set(needed_by(file, name)) == all_below
        assert set(dependents_of(file, name)) == {other for other, some in closed.items() if name in some}
        assert len(needed_by(file, name)) == len(all_below)
        assert all(depths.get(one, 0) < depths[name] for one in below[name])


def state_with(bad: dict[str, Level]) -> State:
    """A ledger in which these have open incidents."""
    incidents = {
        number: Incident(number=number, service=name, level=level, reason="", since_wall=0, opened_wall=1)
        for number, (name, level) in enumerate(bad.items(), 1)
    }
    return replace(START, incidents=incidents)


@given(files(), troubles)
def test_the_impact_is_that_of_brute_force(file: Settings, bad: dict[str, Level]) -> None:
    """Losing one service takes along whatever then lacks a need, as long as that takes anything along."""
    bad = {name: how for name, how in bad.items() if name in file.services}
    for subject in file.services:
        gone = {subject}
        while True:
            hit = {name for name in file.services if lacks(file, bad, gone, name, any_need=True)} - {subject}
            more = {name for name in hit if name in bad or lacks(file, bad, gone, name, any_need=False)}
            if more <= gone:
                break
            gone |= more
        found = impact(state_with(bad), file, subject)
        assert {row.service for row in found.rows} == hit
        assert found.count == len(hit)
        assert found.failing == len(hit & bad.keys())
        assert [row.is_failing for row in found.rows] == sorted(
            (row.service in bad for row in found.rows), reverse=True
        )


def lacks(file: Settings, bad: dict[str, Level], gone: set[str], name: str, *, any_need: bool) -> bool:
    """True when `name` lacks a need for want of what is gone; else one with no going on without."""
    for need in file.services[name].needs:
        well = [one for one in need.names if one not in gone and one not in bad]
        if gone & set(need.names) and len(well) < need.at_least and (any_need or not need.degraded):
            return True
    return False
