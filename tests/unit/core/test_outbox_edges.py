"""The outbox at its edges: full in the middle of an incident, texts at their limit, answers as a whole.

Beside test_outbox.py; each case here is one that a changed line of the code would get wrong.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, notice

from watchtower.core import commands as c
from watchtower.core.applying import outbox
from watchtower.core.commands import Answer
from watchtower.core.model import Attempt, Doubt, Level, NoticeKind, Notification, Outcome, Stage


def firing(*channels: str) -> tuple[Book, list[Notification]]:
    """A cluster with an open incident on web and its notifications."""
    book = Book()
    return book, book.opened("web", channels or ("chat",))


def refused(reason: str) -> Answer:
    """An answer that says no."""
    return Answer(ok=False, reason=reason)


# ---- answers


def test_a_refusal_is_a_plain_no() -> None:
    """Assign, claim and settle answer what they refuse with False and the reason, nothing in between."""
    book, (item,) = firing()
    assign = c.Assign(epoch=1, id="?", sender="b")
    assert book.do("a", assign) == refused("no such unfinished notification")
    assert book.claim(item, attempt=1) == refused("attempt 1 is not the current 0")
    assert book.settle(item, Outcome.DEAD, attempt=1) == refused("no such attempt")
    assert book.settle(item, Outcome.DEAD, attempt=0) == refused("not from the live claim")
    book.claim(item)
    assert book.settle(item, Outcome.ACCEPTED).ok
    assert book.settle(item, Outcome.ACCEPTED) == refused("nothing changes")


# ---- full


def test_the_room_is_counted_within_one_opening(monkeypatch: pytest.MonkeyPatch) -> None:
    """An incident with more channels than there is room for fills the outbox; every one it sheds counts."""
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 2)
    book, items = firing("chat", "mail", "sms", "pager")
    assert [item.channel for item in items] == ["chat", "mail"]
    assert book.state.shed == 2


def test_orders_follow_one_another() -> None:
    """The orders of notifications are counted up by one, whatever incident they belong to."""
    book, items = firing("chat", "mail")
    items += book.opened("api")
    assert [item.order for item in items] == [1, 2, 3]
    assert book.state.last_order == 3


def test_what_stands_behind_a_known_or_a_shed_draft_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a list of drafts each is looked at: behind one that is known, and an end behind one that is shed."""
    book, _ = firing()
    known = book.draft("chat", "web", "1")
    book.must("a", book.shifting(Level.PARTIAL, drafts=(known, book.draft("mail", "web", "1.1"))))
    assert [x.channel for x in book.items(1)] == ["chat", "mail"]
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 2)
    more = book.draft("sms", "web", "1.2", NoticeKind.WORSENED)
    end = book.draft("chat", "web", "1", NoticeKind.RESOLVED, notice=notice(Level.UP))
    state = outbox.enqueue(book.state, 1, "web", (more, end), WALL)
    assert set(state.notifications) - set(book.state.notifications) == {end.id}
    assert state.shed == book.state.shed + 1


# ---- the end of what was never told


def test_an_end_that_comes_later_goes_where_nothing_was_told() -> None:
    """A cancelled announcement told nobody: what waits to tell its end there is cancelled."""
    book, (told, _never) = firing("chat", "mail")
    book.claim(told)
    book.closed()
    end = book.draft("mail", "web", "1", NoticeKind.RESOLVED, notice=notice(Level.UP))
    book.must("a", c.Enqueue(epoch=1, incident=1, draft=end, at_wall=WALL))
    assert book.state.notifications[end.id].stage is Stage.PENDING
    book.settle(told, Outcome.ACCEPTED)
    assert book.state.notifications[end.id].stage is Stage.CANCELLED


# ---- what an attempt leaves behind


def test_an_accepted_attempt_is_written_down() -> None:
    """What was accepted is delivered beyond doubt, with its receipt and its attempt; texts are cut at 200."""
    book, (item,) = firing()
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED, detail="d" * 300, receipt="r" * 300, at_wall=WALL + 4)
    claimed = replace(item, attempt=1, owner="a", session=1, claim_id="a1", hold_ms=15_000)
    attempt = Attempt(number=1, peer="a", outcome=Outcome.ACCEPTED, detail="d" * 200, at_wall=WALL + 4)
    assert book.item(item) == replace(
        claimed, stage=Stage.DELIVERED, doubt=Doubt.PROOF, receipt="r" * 200, attempts=(attempt,),
        settled_wall=WALL + 4,
    )  # fmt: skip
