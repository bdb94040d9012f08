"""What digests write into the ledger: who joins, who is taken out, what becomes of their members."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import HASH, WALL, Book, settings

from watchtower.core import commands as c
from watchtower.core.alerting import silencing
from watchtower.core.applying import digests, outbox
from watchtower.core.model import NoticeKind, Notification, Outcome, Stage
from watchtower.core.policies import Why, Withheld

NAMES = ("web", "api", "db", "job")


def waiting(*names: str) -> tuple[Book, list[Notification]]:
    """An open incident each, whose announcement waits."""
    book = Book()
    return book, [book.opened(name)[0] for name in names]


def gather(book: Book, items: list[Notification], number: str = "1") -> Any:
    """The answer to one digest of these."""
    draft = book.draft("chat", "*", number, NoticeKind.DIGEST)
    members = tuple(item.id for item in items)
    return book.do("a", c.Coalesce(epoch=1, draft=draft, members=members, at_wall=WALL + 9.0))


def digest_of(book: Book) -> Notification:
    """The one digest."""
    (found,) = (item for item in book.state.notifications.values() if item.kind is NoticeKind.DIGEST)
    return found


def test_a_digest_stands_for_its_members() -> None:
    """They are finished as far as sending goes, hold their lanes, and are as old as they were."""
    book, items = waiting(*NAMES)
    assert gather(book, items[1:]).ok
    digest = digest_of(book)
    assert (digest.members, digest.created_wall, digest.lane) == (
        tuple(item.id for item in items[1:]), WALL, "* chat",
    )  # fmt: skip
    assert {book.item(item).stage for item in items[1:]} == {Stage.DIGESTED}
    assert all(outbox.is_to_be_told(book.state, book.item(item)) for item in items)
    assert not outbox.has_left(book.state, book.item(items[1]))
    assert book.claim(digest).ok
    assert outbox.has_left(book.state, book.item(items[1]))
    (end,) = (item for item in book.closed("api") if item.kind is NoticeKind.RESOLVED)
    assert not outbox.head_of_lane(book.state, end)
    assert book.settle(digest, Outcome.ACCEPTED).ok
    assert outbox.head_of_lane(book.state, end)


def test_who_may_join() -> None:
    """Nothing that is under way or over, nothing twice, nothing unknown, nothing of another channel."""
    book, items = waiting(*NAMES)
    book.claim(items[0])
    assert not gather(book, items).ok
    assert not gather(book, []).ok
    assert not gather(book, [replace(items[1], id="nobody")]).ok
    (mail,) = book.opened("ftp", ("mail",))
    assert not gather(book, [mail]).ok
    assert gather(book, items[1:3]).ok
    assert not gather(book, items[1:2]).ok
    assert gather(book, items[3:]).ok, "one that has not left may grow"
    book.claim(digest_of(book))
    (late,) = book.opened("late")
    assert not gather(book, [late]).ok, "one that may have left may not"


def test_what_is_over_is_taken_out() -> None:
    """It is told to nobody, neither its beginning nor its end; a digest of nothing is none."""
    book, items = waiting("web", "api")
    gather(book, items)
    assert [item.stage for item in book.closed("web")] == [Stage.CANCELLED]
    assert digest_of(book).members == (items[1].id,)
    book.closed("api")
    assert digest_of(book).stage is Stage.CANCELLED


def test_what_is_withdrawn_is_taken_out() -> None:
    """A silence, a cause that explains it: out of the digest with it, with the reason."""
    book, items = waiting("web", "api")
    gather(book, items)
    book.must("a", c.Drop(epoch=1, id=items[0].id, reason="silenced"))
    assert (book.item(items[0]).stage, book.item(items[0]).dropped) == (Stage.CANCELLED, "silenced")
    assert digest_of(book).members == (items[1].id,)
    book.must("a", c.Drop(epoch=1, id=items[1].id, reason="silenced"))
    assert digest_of(book).stage is Stage.CANCELLED
    book.claim(digest_of(book))
    assert not book.do("a", c.Drop(epoch=1, id=items[1].id, reason="silenced")).ok


def test_an_end_that_nobody_waits_for_is_taken_out() -> None:
    """The digest that began to tell of it was never sent after all."""
    book, items = waiting("web", "api")
    gather(book, items)
    first = digest_of(book)
    book.claim(first)
    (end,) = (item for item in book.closed("web") if item.kind is NoticeKind.RESOLVED)
    assert gather(book, [end], "2").ok
    assert book.item(end).stage is Stage.DIGESTED
    book.settle(first, Outcome.NOT_SENT)
    assert (book.item(end).stage, book.item(items[0]).stage) == (Stage.CANCELLED, Stage.CANCELLED)
    assert book.item(first).members == (items[1].id,)


def test_a_superseded_digest_has_told_nobody_for_certain() -> None:
    """What it may have told is told anew if it is still there, and its end in any case."""
    book, items = waiting("web", "api")
    gather(book, items)
    digest = digest_of(book)
    book.claim(digest)
    book.settle(digest, Outcome.AMBIGUOUS)
    book.claim(digest)
    assert book.settle(digest, Outcome.SUPERSEDED).ok
    assert not any(outbox.announces(book.state, book.item(item)) for item in items)
    assert outbox.told_channels(book.state, 1) == ("chat",)


def test_that_services_flap_is_told_by_a_digest_too() -> None:
    """What is withheld because it flaps is told that it does, once; a silence keeps even that back."""
    book, items = waiting("web", "api")
    rows = {item.id: replace(item, kind=NoticeKind.FLAPPING) for item in items}
    book.state = replace(book.state, notifications=rows)
    gather(book, items)
    for why, found in ((Why.FLAPPING, ""), (Why.SILENCED, "all that it tells is over or withheld")):
        for number in (1, 2):
            withheld = Withheld(why=why, text="not now")
            book.must("a", c.Withhold(epoch=1, incident=number, withheld=withheld, at_wall=WALL))
        assert silencing.unwanted(book.state, settings(), book.item(digest_of(book)), WALL) == found


@pytest.mark.parametrize("is_doubtful", [False, True])
def test_a_digest_with_something_withheld_waits(*, is_doubtful: bool) -> None:
    """Until that is taken out; one that may have arrived goes on, for what is in it has been told perhaps."""
    book, items = waiting("web", "api")
    gather(book, items)
    digest = digest_of(book)
    config = settings(config_hash=HASH)
    if is_doubtful:
        book.claim(digest)
        book.settle(digest, Outcome.AMBIGUOUS)
    assert silencing.unwanted(book.state, config, book.item(digest), WALL) == ""
    why = Withheld(why=Why.SUPPRESSED, text="folded into #9", root=9)
    book.must("a", c.Withhold(epoch=1, incident=1, withheld=why, at_wall=WALL))
    found = silencing.unwanted(book.state, config, book.item(digest), WALL)
    assert found == ("" if is_doubtful else "a part of it is not to be told: folded into #9")
    book.must("a", c.Withhold(epoch=1, incident=2, withheld=why, at_wall=WALL))
    found = silencing.unwanted(book.state, config, book.item(digest), WALL)
    assert found == "all that it tells is over or withheld"


def test_a_digest_is_kept_for_as_long_as_its_members() -> None:
    """What told of something open must be there when that ends."""
    book, items = waiting("web", "api")
    gather(book, items)
    book.claim(digest_of(book))
    book.settle(digest_of(book), Outcome.ACCEPTED)
    for turn in range(outbox.FINISHED_KEPT + 5):
        (item,) = book.opened(f"s{turn}")
        book.claim(item)
        book.settle(item, Outcome.ACCEPTED)
        (end,) = (one for one in book.closed(f"s{turn}") if one.kind is NoticeKind.RESOLVED)
        book.claim(end)
        book.settle(end, Outcome.ACCEPTED)
    assert outbox.told_channels(book.state, 1) == ("chat",)
    assert digests.worth_telling(book.state, digest_of(book)) == tuple(book.item(item) for item in items)
