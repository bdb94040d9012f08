"""Flap detection: how many turns within which time begin it and end it, and what people hear meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, instant, peer_services, service, settings, view

from watchtower.core.alerting import flapping
from watchtower.core.alerting.scene import Scene
from watchtower.core.model import Incident, Level, NoticeKind, ServiceRow
from watchtower.core.policies import Why
from watchtower.core.settings import Alerting, Flap, Settings

CONFIG = settings(service("web"), service("slow", interval_s=60.0), *peer_services())


def scene(turns: tuple[float, ...], name: str = "web", config: Settings = CONFIG) -> Scene:
    """A pass at WALL over a service that turned so many seconds before it."""
    row = ServiceRow(incident=1, open=True, turns=tuple(WALL - ago for ago in turns))
    state = replace(Book().state, services={name: row})
    return Scene(state, config, view(), replace(instant(100.0), wall=WALL))


def incident(name: str = "web", *, is_flapping: bool = True) -> Incident:
    """Incident 1."""
    return Incident(
        number=1,
        service=name,
        level=Level.DOWN,
        reason="test",
        since_wall=WALL,
        opened_wall=WALL,
        is_flapping=is_flapping,
    )


def test_the_tenth_change_within_twenty_looks_begins_it() -> None:
    """Nine turns before this one make ten of twenty, which is half."""
    assert flapping.begins(scene(tuple(range(9))), "web")
    assert not flapping.begins(scene(tuple(range(8))), "web")


def test_turns_older_than_the_window_do_not_count() -> None:
    """Twenty looks of 30 s are ten minutes."""
    assert not flapping.begins(scene((*range(8), 600.0)), "web")
    assert flapping.begins(scene((*range(8), 599.0)), "web")


def test_turns_that_lie_ahead_do_not_count() -> None:
    """A peer whose clock was an hour fast wrote them down: they would count for an hour and a window."""
    ahead = tuple(range(-3600, -3580))
    assert flapping.begins(scene((0.0, *range(1, 9), *ahead)), "web")
    assert not flapping.begins(scene((*range(8), *ahead)), "web")
    assert flapping.has_settled(scene(ahead), incident())


@pytest.mark.parametrize(("interval_s", "expected_s"), [(60.0, 1200.0), (30.0, 600.0), (1.0, 300.0)])
def test_the_window_is_so_many_looks_and_five_minutes_at_least(interval_s: float, expected_s: float) -> None:
    """A service looked at every second would flap within seconds otherwise."""
    config = settings(service("web", interval_s=interval_s), *peer_services())
    assert flapping.window_s("web", config) == expected_s


def test_what_is_no_service_counts_ten_minutes() -> None:
    """The cluster itself may flap too."""
    assert flapping.window_s("cluster", CONFIG) == 600.0


def test_fewer_than_five_changes_end_it() -> None:
    """A quarter of twenty is five: with five it still flaps, with four no longer."""
    assert not flapping.has_settled(scene(tuple(range(5))), incident())
    assert flapping.has_settled(scene(tuple(range(4))), incident())


def test_the_shares_are_configured() -> None:
    """`window: 10, high: 40%, low: 20%`: four begin it, one ends it."""
    config = settings(
        service("web"), *peer_services(), alerting=Alerting(flap=Flap(window=10, high=0.4, low=0.2))
    )
    assert flapping.begins(scene((0.0, 1.0, 2.0), config=config), "web")
    assert not flapping.begins(scene((0.0, 1.0), config=config), "web")
    assert flapping.has_settled(scene((0.0,), config=config), incident())
    assert not flapping.has_settled(scene((0.0, 1.0), config=config), incident())


def test_it_is_withheld_only_once_people_know_that_it_flaps() -> None:
    """Before the one message there is no reason not to tell."""
    looks = scene(tuple(range(9)))
    assert flapping.flaps(looks, incident()) is None
    assert flapping.flaps(looks, incident(is_flapping=False)) is None


def test_the_reason_names_itself() -> None:
    """Once told, the reason is `flapping`, and its words do not change from pass to pass."""
    book = Book()
    book.fails()
    draft = replace(book.draft("chat", "web", "1"), kind=NoticeKind.FLAPPING)
    book.must("a", book.opening(is_flapping=True, drafts=(draft,)))
    looks = Scene(book.state, CONFIG, view(), instant(100.0))
    reasons = {flapping.flaps(looks, book.state.incidents[1]) for _ in range(2)}
    assert [why.why for why in reasons if why] == [Why.FLAPPING]
