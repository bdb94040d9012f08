"""The incident table cell by cell, and what each move writes into the ledger.

Which verdict asks for which move is a table of 5 x 5 cells here, written out by hand against the one in
the code. Who is told of a move is tested with the outbox and with decide.
"""

from __future__ import annotations

import pytest
from support.core_support import WALL, Book

from watchtower.core import commands as c
from watchtower.core.applying import incidents
from watchtower.core.applying.incidents import Move, move
from watchtower.core.model import Evidence, Level, NoticeKind, Opinion, Outcome

VERDICTS = (Level.UP, Level.PARTIAL, Level.DEGRADED, Level.DOWN, Level.UNKNOWN)
CELLS = {
    None: ("", "opened", "opened", "opened", ""),
    Level.PARTIAL: ("resolved", "", "worsened", "worsened", ""),
    Level.DEGRADED: ("resolved", "eased", "", "worsened", ""),
    Level.DOWN: ("resolved", "eased", "eased", "", ""),
}


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize("current", CELLS)
def test_every_cell(current: Level | None, verdict: Level) -> None:
    """Each level of an incident and each verdict ask for the move of the table, or for none."""
    expected = CELLS[current][VERDICTS.index(verdict)]
    assert move(current, verdict) == (Move(expected) if expected else None)


def test_unknown_moves_nothing() -> None:
    """No cell has unknown: it neither opens nor resolves anything, and no incident stands at it."""
    assert not any(Level.UNKNOWN in cell for cell in incidents.MOVES)


def test_opening_writes_a_numbered_incident() -> None:
    """An opened incident has the next number, its evidence, one step, and a row that says open."""
    book = Book()
    seen = (Evidence(peer="a", opinion=Opinion.DOWN, text="refused"),)
    book.must("a", book.opening(evidence=seen, reason="2 of 3", since_wall=WALL - 5))
    incident = book.state.incidents[1]
    assert (incident.service, incident.level, incident.reason) == ("web", Level.DOWN, "2 of 3")
    assert (incident.since_wall, incident.opened_wall, incident.evidence) == (WALL - 5, WALL, seen)
    assert [(step.level, step.reason) for step in incident.timeline] == [(Level.DOWN, "2 of 3")]
    assert book.state.open_incident("web") == incident
    book.opened("api")
    assert sorted(book.state.incidents) == [1, 2]


def test_shifting_adds_a_step() -> None:
    """A shift changes level, reason and evidence and adds a step; its drafts are enqueued."""
    book = Book()
    book.opened()
    book.must("a", book.shifting(Level.PARTIAL, reason="less", drafts=()))
    draft = book.draft("chat", "web", "1.1", NoticeKind.WORSENED)
    book.must("a", book.shifting(Level.DOWN, reason="more", drafts=(draft,)))
    incident = book.state.open_incident("web")
    assert incident is not None
    assert (incident.level, incident.reason, incident.number) == (Level.DOWN, "more", 1)
    assert [step.level for step in incident.timeline] == [Level.DOWN, Level.PARTIAL, Level.DOWN]
    assert [item.kind.value for item in book.items(1)] == ["firing", "worsened"]


def test_closing_ends_it() -> None:
    """A closed incident bears its end and a last step; the service may have another one later."""
    book = Book()
    book.opened()
    book.must("a", book.closing(reason="3 of 3"))
    incident = book.state.incidents[1]
    assert (incident.is_open, incident.closed_wall, incident.level) == (False, WALL + 60, Level.DOWN)
    assert (incident.timeline[-1].level, incident.timeline[-1].reason) == (Level.UP, "3 of 3")
    assert book.state.open_incident("web") is None
    book.opened()
    assert book.state.service("web").incident == 2


def test_the_timeline_is_bounded() -> None:
    """Of a flapping incident the latest steps are kept."""
    book = Book()
    book.opened()
    for turn in range(incidents.TIMELINE_KEPT):
        level = Level.DEGRADED if turn % 2 == 0 else Level.DOWN
        book.must("a", book.shifting(level, reason=str(turn)))
    timeline = book.state.incidents[1].timeline
    assert len(timeline) == incidents.TIMELINE_KEPT
    assert (timeline[0].reason, timeline[-1].reason) == ("0", str(incidents.TIMELINE_KEPT - 1))


def test_old_incidents_go_unless_they_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest closed incidents are kept, and every one that is open or still has something to tell."""
    monkeypatch.setattr(incidents, "CLOSED_KEPT", 1)
    book = Book()
    (busy,) = book.opened("busy")
    book.claim(busy)
    book.closed("busy")
    book.opened("lasting")
    for name in ("one", "two", "three"):
        book.opened(name)
        book.closed(name)
    assert [book.state.incidents[number].service for number in sorted(book.state.incidents)] == [
        "busy", "lasting", "three",
    ]  # fmt: skip


def test_resolved_is_sent_by_whoever_closes() -> None:
    """The wanted sender of a resolved notice is the alerter that closed the incident."""
    book = Book()
    book.fails()
    (item,) = book.opened()
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    book.lease("b")
    book.must("b", book.closing())
    assert [(x.kind.value, x.sender) for x in book.items(1)] == [("firing", "a"), ("resolved", "b")]


def test_nobody_forgets_an_open_incident() -> None:
    """Forgetting a service with an open incident keeps its row, so that the incident can still be closed."""
    book = Book()
    book.opened()
    book.must("a", c.Forget(epoch=1, gen=1, services=("web",)))
    assert book.closed() != []
