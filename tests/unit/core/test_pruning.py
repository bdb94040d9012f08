"""What the outbox keeps, counts and sheds: nothing that is still asked for, and no more than it must."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import PEERS, WALL, Book, instant, service, settings

from watchtower.core import commands as c
from watchtower.core.applying import incidents, outbox
from watchtower.core.channel_rows import HOUR_S
from watchtower.core.model import Level, NoticeKind, Notification, Outcome, Stage
from watchtower.core.proofs.selfalerts import channel_verdicts
from watchtower.core.requests import TryChannels
from watchtower.core.settings import Rate

BASE_S = HOUR_S - WALL % HOUR_S
"""When an hour begins."""


def told(book: Book, items: list[Notification], outcome: Outcome = Outcome.ACCEPTED) -> None:
    """All of these that wait are sent, with that outcome."""
    for item in items:
        if book.item(item).stage is Stage.PENDING:
            book.claim(item)
            book.settle(item, outcome, is_permanent=outcome is Outcome.DEAD)


def come_and_gone(book: Book, *names: str) -> None:
    """An incident of each, told and over, its end told too."""
    for name in names:
        told(book, book.opened(name))
        told(book, book.closed(name))


def digest_of(book: Book, items: list[Notification]) -> Notification:
    """One digest of these."""
    draft = book.draft("chat", "*", items[0].id, NoticeKind.DIGEST)
    members = tuple(item.id for item in items)
    book.must("a", c.Coalesce(epoch=1, draft=draft, members=members, at_wall=WALL))
    return book.state.notifications[draft.id]


def test_refusals_use_up_nothing_of_the_hour() -> None:
    """Counted is what people may have got; how often a channel was called is counted apart."""
    book = Book()
    (item,) = book.opened()
    for outcome in (Outcome.REJECTED, Outcome.NOT_SENT, Outcome.AMBIGUOUS, Outcome.ACCEPTED):
        book.claim(item)
        book.settle(item, outcome)
    row = book.state.channels["chat"]
    assert (row.hour_sent, len(row.recent)) == (2, 3)


def test_what_nobody_was_called_for_is_no_call() -> None:
    """A channel that is not configured was not sent to."""
    book = Book()
    (item,) = book.opened()
    book.claim(item)
    book.settle(item, Outcome.DEAD, detail="the channel is not configured")
    assert book.state.channels["chat"].recent == ()


def test_a_full_outbox_takes_a_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes room: what it tells counts no longer."""
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 4)
    book = Book()
    items = [book.opened(f"s{number}")[0] for number in range(4)]
    assert book.opened("late") == []
    digest = digest_of(book, items)
    assert len(digest.members) == 4
    assert book.opened("later") != []


def test_tests_keep_no_alert_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not counted, and there are at most so many."""
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 2)
    book = Book()
    many = TryChannels(
        id="t", channels=tuple(f"c{number}" for number in range(66)), senders=PEERS, by="x", at_wall=WALL
    )
    book.must("a", many)
    assert book.opened() != []
    answer = book.do("a", replace(many, id="u", channels=("chat",)))
    assert answer.reason == "198 tests wait already, of at most 200"


def test_an_incident_is_kept_while_a_digest_is_to_tell_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fallback would never hear of it."""
    monkeypatch.setattr(incidents, "CLOSED_KEPT", 1)
    book = Book()
    told(book, book.opened("web"))
    (end,) = (item for item in book.closed("web") if item.kind is NoticeKind.RESOLVED)
    digest_of(book, [end])
    come_and_gone(book, "s1", "s2", "s3")
    assert 1 in book.state.incidents


def test_an_incident_is_pruned_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a fallback that is told anyway would be told the end twice."""
    monkeypatch.setattr(outbox, "FINISHED_KEPT", 10)
    book = Book()
    mail, chat = book.opened("web", ("mail", "chat"))
    told(book, [mail])
    told(book, [chat], Outcome.DEAD)
    mail_end, chat_end = (item for item in book.closed("web") if item.kind is NoticeKind.RESOLVED)
    told(book, [mail_end])
    told(book, [chat_end], Outcome.DEAD)
    for turn in range(10):
        come_and_gone(book, f"s{turn}")
        assert len(book.items(1)) in (0, 4)
    assert book.items(1) == []


def test_that_the_hour_is_used_up_is_said_once_whatever_is_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The word of the hour is kept as long as the hour."""
    monkeypatch.setattr(outbox, "FINISHED_KEPT", 0)
    book = Book()
    config = settings(service("web"))
    rate = Rate(hour=1)
    config = replace(config, channels={"chat": replace(config.channels["chat"], rate=rate)})
    told(book, book.opened("first"))
    book.state = replace(
        book.state,
        channels={
            "chat": replace(book.state.channels["chat"], hour=int((WALL + BASE_S) // HOUR_S), hour_sent=1)
        },
    )
    book.opened("web")
    for turn, expected in ((10.0, 1), (20.0, 0)):
        commands, _ = book.decided(config, BASE_S + turn)
        found = [x for x in commands if isinstance(x, c.Enqueue) and x.draft.kind is NoticeKind.CEILING]
        assert len(found) == expected
        for command in found:
            book.must("a", command)
            told(book, [book.state.notifications[command.draft.id]])
        (other,) = book.opened(f"other{turn}", ("mail",))
        told(book, [other])


def test_an_incident_that_worsens_for_ever_has_few_rows() -> None:
    """Kept are the first that told of each severity and the latest of each channel."""
    book = Book()
    (first,) = book.opened()
    told(book, [first])
    for turn in range(30):
        book.must("a", book.shifting(Level.PARTIAL))
        draft = book.draft("chat", "web", f"1.{turn}", NoticeKind.WORSENED)
        book.must("a", book.shifting(Level.DOWN, drafts=(draft,)))
        told(book, book.items(1))
    rows = book.items(1)
    assert len(rows) == 3
    assert (rows[0].id, rows[1].order, rows[2].order) == (first.id, 2, 31)


def test_a_channel_in_vain_stays_so_when_what_failed_is_told_together() -> None:
    """A digest that is new has not failed yet; those it tells have."""
    book = Book()
    items = [book.opened(name)[0] for name in ("web", "api")]
    book.claim(items[0])
    book.settle(items[0], Outcome.REJECTED)
    config = settings(service("web"), service("api"))
    assert [subject for subject, _ in channel_verdicts(book.state, config, instant(301.0))] == [
        "channel/chat"
    ]
    digest_of(book, items)
    (verdict,) = (one for _, one in channel_verdicts(book.state, config, instant(301.0)))
    assert verdict.level is Level.DOWN
