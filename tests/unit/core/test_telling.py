"""Telling again after what was told is gone: withdrawn, in doubt and wanted no more, dead with its channel.

The stories are the scenarios broken_channel_is_replaced, silenced_with_one_answer_lost and
well_again_as_the_silence_ends; here is what makes the ids new, whatever has been pruned.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import Book, instant, notice, service, settings, view

from watchtower.core.alerting import escalation, telling
from watchtower.core.alerting.scene import Scene
from watchtower.core.commands import Enqueue
from watchtower.core.model import Level, NoticeKind, Notification, Stage, State, Verdict
from watchtower.core.policies import Why, Withheld
from watchtower.core.view import Standing

CONFIG = settings(service("web"))


def told_anew(state: State, level: Level = Level.DOWN) -> list[str]:
    """The ids of what is announced in a pass in which web is at `level`."""
    seen = Standing(verdict=Verdict(level=level, reason="test"), level=level, since_boot=0.0, held_boot=0.0)
    looks = view(standings={"web": seen})
    scene = Scene(state, CONFIG, looks, instant(100.0))
    return [one.draft.id for one in telling.announcements(scene) if isinstance(one, Enqueue)]


def with_items(state: State, *items: Notification) -> State:
    """The ledger with these notifications and no others."""
    return replace(state, notifications={item.id: item for item in items})


@pytest.mark.parametrize("stage", [Stage.CANCELLED, Stage.SUPERSEDED])
def test_an_announcement_is_new_also_when_earlier_messages_are_pruned(stage: Stage) -> None:
    """Told, withdrawn, told anew and withdrawn again; in between reminders came and were forgotten."""
    book = Book()
    book.fails()
    (first,) = book.opened()
    is_dropped = stage is Stage.CANCELLED
    first = replace(first, stage=stage, dropped="silenced" if is_dropped else "")
    (second_id,) = told_anew(with_items(book.state, first))
    reminders = [
        replace(first, id=f"r{number}", order=number, kind=NoticeKind.REMINDER) for number in range(2, 6)
    ]
    second = replace(first, id=second_id, order=6)
    found = {tuple(told_anew(with_items(book.state, first, second, *reminders[:kept]))) for kept in range(5)}
    (third_id,) = set.union(*map(set, found))
    assert third_id not in {first.id, second_id}


@pytest.mark.parametrize("stage", [Stage.CANCELLED, Stage.SUPERSEDED])
def test_a_step_that_was_withdrawn_gets_a_new_id(stage: Stage) -> None:
    """Each time, also when only the latest that was withdrawn is kept."""
    (item,) = Book().opened()
    first = replace(item, kind=NoticeKind.ESCALATION, stage=stage, notice=notice(Level.DOWN))
    second = replace(first, id="second", order=9)

    def again(*items: Notification) -> str:
        scene = Scene(with_items(Book().state, *items), CONFIG, view(), instant(100.0))
        return escalation._again(scene, list(items), NoticeKind.ESCALATION, "chat", 0)

    assert len({again(), again(first), again(first, second)}) == 3
    assert again(second) == again(first, second)


def test_nobody_is_told_of_what_is_well_again() -> None:
    """The reason that has ended is recorded, and no more; and of what is no longer watched nothing either."""
    book = Book()
    book.opened(channels=())
    quiet = Withheld(why=Why.SILENCED, text="silenced")
    incidents = {1: replace(book.state.incidents[1], withheld=quiet)}
    state = replace(book.state, incidents=incidents)
    assert told_anew(state, Level.DOWN)
    assert not told_anew(state, Level.UP)
    assert told_anew(state, Level.UNKNOWN)
    scene = Scene(state, CONFIG, view(), instant(100.0))
    assert [type(one).__name__ for one in telling.announcements(scene)] == ["Withhold"]
