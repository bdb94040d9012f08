"""Decide about delivery: which notification goes to a fallback channel, and which peer is to send it.

Both are derived from the outbox alone, again in every pass, so each test also asks that a pass whose
commands were applied asks for nothing more.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import (
    WALL,
    Book,
    peer_services,
    service,
    settings,
)

from watchtower.core import commands as c
from watchtower.core.applying import outbox
from watchtower.core.model import Level, NoticeKind, Opinion, Outcome, Stage, Vote
from watchtower.core.policies import Why, Withheld
from watchtower.core.settings import Settings
from watchtower.core.view import View

CONFIG = settings(service("web"), service("api"), *peer_services())
BOOT = 100.0


def kinds(book: Book, config: Settings = CONFIG, boot: float = BOOT, looks: View | None = None) -> list[str]:
    """The kinds of commands of one pass."""
    return [type(command).__name__ for command in book.decided(config, boot, looks)[0]]


def only(book: Book, config: Settings = CONFIG, boot: float = BOOT, looks: View | None = None) -> Any:
    """The one command of a pass."""
    (command,) = book.decided(config, boot, looks)[0]
    return command


def do_all(book: Book, config: Settings = CONFIG, boot: float = BOOT) -> None:
    """One pass with everything it proposes."""
    for command in book.decided(config, boot)[0]:
        book.must(config.me, command)


# ---- fallbacks

CHANNELS = {"chat": "mail", "mail": ""}
WITH_FALLBACK = settings(service("web"), service("api"), *peer_services(), channels=CHANNELS)


def refused(book: Book, outcome: Outcome = Outcome.DEAD, level: Level = Level.DOWN) -> Any:
    """An open incident whose announcement ended with `outcome`."""
    book.fails()
    (item,) = [x for x in book.opened() if x.kind is NoticeKind.FIRING]
    book.claim(item)
    book.settle(item, outcome)
    return book.item(item)


def test_what_is_dead_goes_to_the_fallback_once() -> None:
    """A refusal for good is told on the fallback channel, with a word of where it should have gone."""
    book = Book()
    item = refused(book)
    command = only(book, WITH_FALLBACK)
    assert (command.incident, command.draft.channel, command.draft.kind) == (1, "mail", NoticeKind.FIRING)
    assert command.draft.notice == replace(
        item.notice, instead_of="chat", instead_because="chat refused it for good"
    )
    book.must("a", command)
    assert kinds(book, WITH_FALLBACK) == []


@pytest.mark.parametrize(("age_s", "expected"), [(55.0, []), (55.5, ["Enqueue"])])
def test_a_minute_of_refusals_is_enough(age_s: float, expected: list[str]) -> None:
    """What a channel has refused for a minute is told on its fallback as well, if it is critical."""
    book = Book()
    refused(book, Outcome.REJECTED)
    assert kinds(book, WITH_FALLBACK, boot=age_s) == expected


def test_what_was_never_tried_has_no_fallback() -> None:
    """A notification that only waits its turn is not sent elsewhere."""
    book = Book()
    book.fails()
    book.opened()
    assert kinds(book, WITH_FALLBACK, boot=900.0) == []


def test_what_waits_behind_a_refusal_falls_back_too() -> None:
    """A worsening that stands behind a refused announcement follows it to the fallback, in order."""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, {"web": Vote(opinion=Opinion.DEGRADED, since_wall=WALL)})
    book.must("a", book.opening(level=Level.DEGRADED))
    book.claim(book.items(1)[0])
    book.settle(book.items(1)[0], Outcome.REJECTED)
    book.fails()
    do_all(book, WITH_FALLBACK, 50.0)
    commands, _ = book.decided(WITH_FALLBACK, 600.0)
    assert [x.draft.kind for x in commands if isinstance(x, c.Enqueue)] == [
        NoticeKind.FIRING, NoticeKind.WORSENED,
    ]  # fmt: skip


def test_what_is_urgent_pulls_what_is_older_along() -> None:
    """Nobody reads "worse" before the beginning: a warning goes with the critical alert behind it."""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, {"web": Vote(opinion=Opinion.DEGRADED, since_wall=WALL)})
    (opening,) = (x for x in book.decided(WITH_FALLBACK, 1.0)[0] if isinstance(x, c.Open))
    book.must("a", opening)
    book.claim(book.items(1)[0])
    book.settle(book.items(1)[0], Outcome.REJECTED)
    book.fails()
    do_all(book, WITH_FALLBACK, 12.0)
    assert not any(isinstance(x, c.Enqueue) for x in book.decided(WITH_FALLBACK, 66.0)[0])
    commands, _ = book.decided(WITH_FALLBACK, 75.0)
    assert [(x.draft.kind, x.draft.channel) for x in commands if isinstance(x, c.Enqueue)] == [
        (NoticeKind.FIRING, "mail"), (NoticeKind.WORSENED, "mail"),
    ]  # fmt: skip


def test_what_a_silence_took_back_from_the_fallback_is_told_there_when_it_ends() -> None:
    """As often as people want quiet and then do not; while they want it, nothing is made."""
    book = Book()
    refused(book)
    do_all(book, WITH_FALLBACK)
    quiet = Withheld(why=Why.SILENCED, text="silenced by ops-lead")
    for turn in (1, 2):
        (item,) = (one for one in book.items(1) if one.channel == "mail" and not one.stage.finished)
        for why in (quiet, None):
            book.must("a", c.Withhold(epoch=1, incident=1, withheld=why, at_wall=WALL + turn))
            if why:
                book.must("a", c.Drop(epoch=1, id=item.id, reason=why.text))
                assert not any(isinstance(x, c.Enqueue) for x in book.decided(WITH_FALLBACK, BOOT)[0])
        do_all(book, WITH_FALLBACK)
        assert len([one for one in book.items(1) if one.channel == "mail"]) == turn + 1


def test_every_worsening_falls_back() -> None:
    """An incident that worsens twice on a dead channel is told twice on the fallback."""
    book = Book()
    refused(book)
    do_all(book, WITH_FALLBACK)
    for turn in (1, 2):
        book.must("a", book.shifting(Level.PARTIAL, at_wall=WALL + turn))
        do_all(book, WITH_FALLBACK, BOOT + turn)
        item = book.items(1)[-1]
        assert item.kind is NoticeKind.WORSENED
        book.claim(item)
        book.settle(item, Outcome.DEAD)
        assert kinds(book, WITH_FALLBACK, BOOT + turn) == ["Enqueue"]
        do_all(book, WITH_FALLBACK, BOOT + turn)


def test_a_fallback_of_a_fallback_is_none() -> None:
    """What was sent instead of something else does not wander on."""
    config = settings(service("web"), *peer_services(), channels={"chat": "mail", "mail": "chat"})
    book = Book()
    refused(book)
    do_all(book, config)
    item = book.items(1)[-1]
    book.claim(item)
    book.settle(item, Outcome.DEAD)
    assert kinds(book, config) == []


def test_no_fallback_where_the_channel_hears_it_anyway() -> None:
    """A channel that is told of the incident itself is not told a second time as somebody's fallback."""
    config = settings(service("web", alert=("chat", "mail")), *peer_services(), channels=CHANNELS)
    book = Book()
    book.fails()
    do_all(book, config)
    chat = book.items(1)[0]
    book.claim(chat)
    book.settle(chat, Outcome.DEAD)
    assert kinds(book, config) == []


def test_what_is_over_is_not_announced_elsewhere() -> None:
    """An announcement that dies after its incident closed is not proposed again and again for a fallback."""
    book = Book()
    book.fails()
    (item,) = book.opened()
    book.claim(item)
    book.recovers()
    book.closed()
    book.settle(item, Outcome.DEAD)
    assert kinds(book, WITH_FALLBACK) == []


def test_the_end_falls_back_too() -> None:
    """A resolved notice that a channel refuses for good goes to the fallback: somebody waits for it."""
    book = Book()
    book.fails()
    (item,) = book.opened()
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    book.recovers()
    resolved = book.closed()[-1]
    book.claim(resolved)
    book.settle(resolved, Outcome.DEAD)
    assert only(book, WITH_FALLBACK).draft.kind is NoticeKind.RESOLVED
    do_all(book, WITH_FALLBACK)
    assert kinds(book, WITH_FALLBACK) == []
    book.fails("api")
    (other,) = book.opened("api")
    book.claim(other)
    book.settle(other, Outcome.ACCEPTED)
    assert (book.items(1)[-1].channel, book.items(1)[-1].stage) == ("mail", Stage.PENDING)


def test_a_full_outbox_gets_no_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger would refuse is not proposed; it is when there is room again."""
    book = Book()
    refused(book)
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 0)
    assert kinds(book, WITH_FALLBACK) == []


# ---- senders


def waiting(book: Book, failures: int = 0, outcome: Outcome = Outcome.REJECTED) -> Any:
    """A pending notification with so many failures of the alerter."""
    book.fails()
    (item,) = book.opened()
    for _ in range(failures):
        book.claim(item, by=book.item(item).sender)
        book.settle(item, outcome, by=book.item(item).sender)
    return item


@pytest.mark.parametrize(("failures", "sender"), [(0, "a"), (1, "a"), (2, "b"), (3, "b"), (4, "c"), (6, "a")])
def test_senders_take_turns(failures: int, sender: str) -> None:
    """After every two failures the next eligible peer tries, and so on in a circle."""
    book = Book()
    item = waiting(book, failures)
    do_all(book)
    assert book.item(item).sender == sender
    assert kinds(book) == []


def test_what_never_left_goes_to_another_peer_at_once() -> None:
    """A path that is cut is one peer's: each other one tries before the first tries again."""
    book = Book()
    item = waiting(book)
    senders = []
    for _ in range(5):
        sender = book.item(item).sender
        senders.append(sender)
        book.claim(item, by=sender)
        book.settle(item, Outcome.NOT_SENT, by=sender)
        do_all(book)
    assert senders == ["a", "b", "c", "a", "b"]


def test_a_peer_whose_way_is_cut_is_not_asked() -> None:
    """What a peer says of its circuit breakers names another sender; when all are cut, the alerter waits."""
    book = Book()
    item = waiting(book)
    book.report("a", dict(book.state.row("a").votes), paths={"chat": "open: timed out"})
    do_all(book)
    assert book.item(item).sender == "b"
    book.report("b", dict(book.state.row("b").votes), paths={"chat": "open: timed out"})
    book.report("c", {}, paths={"chat": "half-open: timed out"})
    do_all(book)
    assert book.item(item).sender == "c"
    book.report("c", {}, paths={"chat": "open: timed out"})
    do_all(book)
    assert book.item(item).sender == "a"


def test_a_sender_that_died_is_replaced() -> None:
    """What waits for a dead peer is given to a living one at once."""
    book = Book()
    item = waiting(book)
    book.assign(item, "c")
    book.must("a", c.Gone(epoch=1, peer="c", peer_session=1))
    assigns = [x for x in book.decided(CONFIG, BOOT)[0] if isinstance(x, c.Assign)]
    assert [(x.id, x.sender) for x in assigns] == [(item.id, "a")]


def test_a_live_claim_is_left_alone() -> None:
    """While a living peer works on a notification in the session of its claim, nobody else is named."""
    book = Book()
    item = waiting(book, 2)
    do_all(book)
    book.claim(item, by="b")
    book.lease("c")
    config = settings(service("web"), *peer_services(), me="c")
    assert kinds(book, config) == []
    book.join("b")
    book.report("b")
    assert [x.sender for x in book.decided(config, BOOT)[0] if isinstance(x, c.Assign)] == ["a"]


def test_a_new_alerter_sends_what_nobody_has_claimed() -> None:
    """Its predecessor may be dead before it is silent for long enough: what is pending moves at once."""
    book = Book()
    item = waiting(book)
    book.lease("b")
    config = settings(service("web"), *peer_services(), me="b")
    assert [(x.id, x.sender) for x in book.decided(config, BOOT)[0]] == [(item.id, "b")]  # type: ignore[union-attr] # both commands are Assigns


@pytest.mark.parametrize("outcome", [None, Outcome.AMBIGUOUS])
def test_a_new_alerter_leaves_the_claims_of_living_senders(outcome: Outcome | None) -> None:
    """A change of office is no reason to move what a living peer has claimed, or must repeat."""
    book = Book()
    item = waiting(book)
    book.claim(item)
    if outcome:
        book.settle(item, outcome)
    book.lease("b")
    assert kinds(book, settings(service("web"), *peer_services(), me="b")) == []


def test_a_live_claim_whose_successor_died_is_given_to_the_living() -> None:
    """When another sender was named for a claimed item and dies, the item does not wait for the dead."""
    book = Book()
    item = waiting(book)
    book.claim(item)
    book.assign(item, "c")
    book.must("a", c.Gone(epoch=1, peer="c", peer_session=1))
    do_all(book)
    assert book.item(item).sender == "a"


def test_finished_needs_no_sender() -> None:
    """Nobody is named for what is delivered, whoever sent it."""
    book = Book()
    item = waiting(book)
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    assert book.item(item).stage is Stage.DELIVERED
    book.lease("b")
    book.must("b", c.Gone(epoch=2, peer="a", peer_session=1))
    commands = book.decided(settings(service("web"), *peer_services(), me="b"), BOOT)[0]
    assert not any(isinstance(command, c.Assign) for command in commands)
