"""Fire drills: when one is due by the clock of its time zone, when it is on, arrived, missed.

The life of a drill from start to proof is told by the scenarios drill_arrives and drill_is_missed.
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from support.core_support import Book, settings

from watchtower.core.applying import proving
from watchtower.core.channel_rows import UNPROVEN_KEPT, Drill, drilled, proven
from watchtower.core.model import Instant, Level, ServiceRow, State
from watchtower.core.proofs import drills
from watchtower.core.settings import DrillSettings, Settings, WatchdogSettings


def wall(text: str, zone: str) -> float:
    """Unix seconds of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def at(wall_s: float) -> Instant:
    """That moment."""
    return Instant(wall=wall_s, boot=0.0)


def drilling(zone: str = "UTC", cron: str = "0 10 * * mon") -> Settings:
    """Settings with a weekly drill."""
    drill = DrillSettings(cron=cron, channel="chat", timezone=zone)
    return settings(watchdog=WatchdogSettings(drill=drill))


def since(wall_s: float, drill: Drill | None = None) -> State:
    """A cluster whose config came in force then."""
    state = Book().state
    return replace(state, config=replace(state.config, at_wall=wall_s), drill=drill or Drill())


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_a_drill_is_due_by_the_clock_of_its_zone(zone: str) -> None:
    """Ten on the clock on the wall, on both sides of the change of the clocks, and once."""
    for day in ("2026-03-23", "2026-03-30", "2026-04-06", "2026-10-05", "2026-11-02"):
        due_wall, config = wall(f"{day} 10:00", zone), drilling(zone)
        state = since(due_wall - 3 * 86_400)
        assert drills.due(state, config, at(due_wall - 1)) is None
        command = drills.due(state, config, at(due_wall))
        assert command is not None
        assert (command.channel, command.seen_wall) == ("chat", 0.0)
        started = proven(drilled(Drill(), "chat", "x", due_wall, is_planned=True), "chat", due_wall + 5)
        assert drills.due(since(0.0, started), config, at(due_wall + 6 * 86_400)) is None


def test_one_drill_however_many_were_missed() -> None:
    """A cluster that stood still for a month holds one drill, not four."""
    config, start_wall = drilling(), wall("2026-12-07 10:00", "UTC")
    late = at(start_wall + 30 * 86_400)
    command = drills.due(since(start_wall - 60), config, late)
    assert command is not None
    held = Drill(channel="chat", started_wall=late.wall, planned_wall=late.wall, arrived_wall=late.wall + 1)
    assert drills.due(since(0.0, held), config, at(late.wall + 60)) is None


def test_without_a_schedule_nothing_is_due() -> None:
    """Nobody asked for drills."""
    assert drills.due(since(0.0), settings(), at(9e9)) is None


def test_a_drill_is_on_until_it_arrives_or_is_missed() -> None:
    """At any moment it is on, arrived or missed, and never two of them."""
    config, begun = drilling(), drilled(Drill(), "chat", "sue", 1000.0, is_planned=False)
    assert (drills.is_on(begun, config, at(1899.0)), drills.missed(begun, config, at(1899.0))) == (True, {})
    assert not drills.is_on(begun, config, at(1900.0))
    assert drills.missed(begun, config, at(1900.0)) == {"chat": 1000.0}
    arrived = proven(begun, "chat", 1500.0)
    assert (drills.is_on(arrived, config, at(1600.0)), drills.missed(arrived, config, at(9e9))) == (False, {})
    assert drills.missed(Drill(), config, at(9e9)) == {}


def test_a_second_drill_does_not_excuse_the_first() -> None:
    """While the new one is on, what was missed stays missed."""
    config, begun = drilling(), drilled(Drill(), "chat", "sue", 1000.0, is_planned=False)
    again = drilled(begun, "chat", "sue", 5000.0, is_planned=False)
    assert drills.is_on(again, config, at(5001.0))
    assert drills.missed(again, config, at(5001.0)) == {"chat": 1000.0}


def test_each_channel_has_its_own_proof() -> None:
    """What arrives on one says nothing of another; one that is not configured any more is nobody's."""
    two = settings(channels={"chat": "mail", "mail": ""}).channels
    config = replace(drilling(), channels=two)
    drill = drilled(Drill(), "chat", "sue", 1000.0, is_planned=False)
    drill = drilled(drill, "mail", "sue", 5000.0, is_planned=False)
    drill = drilled(drill, "gone", "sue", 6000.0, is_planned=False)
    assert drills.missed(drill, config, at(9000.0)) == {"chat": 1000.0, "mail": 5000.0}
    drill = proven(drill, "mail", 9001.0)
    assert drills.missed(drill, config, at(9002.0)) == {"chat": 1000.0}
    assert (drill.arrived_wall, drill.last_arrived_wall) == (0.0, 9001.0)


def test_what_is_unproven_has_a_limit() -> None:
    """The oldest is forgotten, never the drill that has just begun."""
    drill = Drill()
    for number in range(UNPROVEN_KEPT + 1):
        drill = drilled(drill, f"c{number}", "sue", 1000.0 - number, is_planned=False)
    assert len(drill.unproven) == UNPROVEN_KEPT
    assert f"c{UNPROVEN_KEPT}" in drill.unproven


def test_no_drill_starts_while_the_incident_of_another_is_open() -> None:
    """The schedule waits, and a person is refused: the new one would never be sent."""
    config, start_wall = drilling(), wall("2026-12-07 10:00", "UTC")
    state = since(start_wall - 60)
    row = ServiceRow(incident=1, open=True)
    open_state = replace(state, services={**state.services, "drill/mail": row})
    assert drills.due(open_state, config, at(start_wall)) is None
    command = drills.due(state, config, at(start_wall))
    assert command is not None
    assert proving.start_drill(state, command)[1].ok
    state, answer = proving.start_drill(open_state, command)
    assert (state.drill, answer.reason) == (
        Drill(),
        "the drill before it is not over yet: try again in a moment",
    )


def test_the_verdicts_of_a_drill() -> None:
    """Down while it is on; nothing is said of one that is over and has no incident."""
    state = since(0.0, drilled(Drill(), "chat", "sue", 1000.0, is_planned=False))
    ((subject, verdict),) = drills.drill_verdicts(state, drilling(), at(1001.0))
    assert (subject, verdict.level) == ("drill/chat", Level.DOWN)
    assert "sue" in verdict.reason
    assert list(drills.drill_verdicts(state, drilling(), at(9999.0))) == []
