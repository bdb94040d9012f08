"""When a pass may be left out: only in calm, and only while nothing that it reads has changed."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import Book, down, instant, settings, view

from watchtower.core import calm
from watchtower.core.commands import Renew
from watchtower.core.judging import verdicts
from watchtower.core.model import Level, Outcome, State, Verdict
from watchtower.core.view import Standing

NOW = instant(100.0)


def standing(level: Level, verdict: Level | None) -> Standing:
    """A subject at `level`, where the rules say `verdict` just now."""
    return Standing(verdict=Verdict(level=verdict, reason=""), level=level, since_boot=1.0, held_boot=1.0)


@pytest.mark.parametrize(
    ("level", "verdict", "is_calm"),
    [
        (Level.UP, Level.UP, True),
        (Level.UP, None, True),
        (Level.UNKNOWN, None, True),
        (Level.DOWN, Level.DOWN, False),
        (Level.PARTIAL, None, False),
        (Level.UNKNOWN, Level.UNKNOWN, False),
    ],
)
def test_one_subject_that_is_neither_up_nor_unknown_ends_the_calm(
    level: Level, verdict: Level | None, is_calm: bool
) -> None:
    """Its verdict has to stand for a while, and nobody but the clock says when it has."""
    calm_one = standing(Level.UP, Level.UP)
    assert calm.is_calm(State(), {"a": calm_one, "b": standing(level, verdict), "c": calm_one}) is is_calm


def test_an_incident_and_its_messages_end_the_calm_until_all_is_told() -> None:
    """Open, then over but not told, then told."""
    book = Book()
    book.lease("a")
    up = {"web": standing(Level.UP, Level.UP)}
    assert calm.is_calm(book.state, up)
    book.fails()
    (item,) = book.opened()
    assert not calm.is_calm(book.state, up)
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    book.recovers()
    *_, item = book.closed()
    assert not calm.is_calm(book.state, up)
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    assert calm.is_calm(book.state, up)


def test_a_renewed_lease_is_no_news_and_everything_else_is() -> None:
    """The alerter renews its lease more than once a second; a vote, a report, another alerter are news."""
    book = Book()
    book.lease("a")
    before = book.state
    lease = before.lease
    book.must("a", Renew(epoch=lease.epoch, id="again", length_ms=lease.length_ms))
    assert book.state.lease.renewals == lease.renewals + 1
    assert calm.is_as_before(before, book.state)
    for changed in (
        replace(before, lease=replace(lease, holder="b")),
        replace(before, lease=replace(lease, released=True)),
        replace(before, gate=before.gate + 1),
    ):
        assert not calm.is_as_before(before, changed)
    book.report("b", {"web": down()})
    assert not calm.is_as_before(before, book.state)


def test_what_a_pass_would_say_in_calm_is_what_the_last_one_said() -> None:
    """Levels do not move between two passes of a calm second, whoever renews the lease meanwhile."""
    book = Book()
    book.lease("a")
    first = verdicts.observe(book.state, settings(), view(), NOW)
    later = verdicts.observe(book.state, settings(), view(standings=first), instant(100.9))
    assert {name: one.level for name, one in first.items()} == {
        name: one.level for name, one in later.items()
    }
