"""The outbox: claims, settlements, closing, limits, when to try again, ids.

The tables are the rows `claim` and `settle` of protocol.md section 3. The counterexamples that made these
rules stand in test_holes.py.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book

from watchtower.core import commands as c
from watchtower.core.applying import outbox
from watchtower.core.applying.outbox import notification_id
from watchtower.core.model import Doubt, Level, NoticeKind, Notification, Outcome, Stage


def firing(*channels: str) -> tuple[Book, list[Notification]]:
    """A cluster with an open incident on web and its notifications."""
    book = Book()
    book.fails()
    return book, book.opened("web", channels or ("chat",))


def stages(items: list[Notification]) -> list[tuple[str, str, str]]:
    """Kind, channel and stage of each notification."""
    return [(item.kind.value, item.channel, item.stage.value) for item in items]


# ---- claim


def test_a_claim_names_its_owner() -> None:
    """A granted claim writes attempt + 1, owner, session, claim id and length; no doubt at first."""
    book, (item,) = firing()
    assert book.claim(item, claim_id="x", hold_ms=9).ok
    got = book.item(item)
    assert (got.stage, got.attempt, got.owner, got.session) == (Stage.CLAIMED, 1, "a", 1)
    assert (got.claim_id, got.hold_ms, got.doubt) == ("x", 9, Doubt.NO)


def test_claims_that_are_refused() -> None:
    """A claim needs a known, unfinished item, its current attempt, and to be the wanted sender."""
    book, (item,) = firing()
    assert book.do("a", c.Claim(id="?", attempt=0, hold_ms=1, claim_id="x")).reason == "no such notification"
    assert book.claim(item, attempt=1).reason == "attempt 1 is not the current 0"
    assert book.claim(item, by="b").reason == "the wanted sender is a"
    book.claim(item)
    assert book.claim(item, attempt=0).reason == "attempt 0 is not the current 1"
    book.settle(item, Outcome.ACCEPTED)
    assert book.claim(item).reason == "already delivered"


@pytest.mark.parametrize("outcome", [None, Outcome.AMBIGUOUS])
def test_a_takeover_leaves_doubt(outcome: Outcome | None) -> None:
    """Claiming what is claimed or uncertain leaves `maybe`: the earlier owner may have been heard."""
    book, (item,) = firing()
    book.claim(item)
    if outcome:
        book.settle(item, outcome)
    book.assign(item, "b")
    assert book.claim(item, by="b").ok
    assert (book.item(item).doubt, book.item(item).owner) == (Doubt.MAYBE, "b")


def test_a_second_attempt_after_a_refusal_has_no_doubt() -> None:
    """A definite negative answer leaves no doubt behind."""
    book, (item,) = firing()
    book.claim(item)
    book.settle(item, Outcome.REJECTED)
    book.claim(item)
    assert (book.item(item).attempt, book.item(item).doubt) == (2, Doubt.NO)


# ---- settle


NEGATIVE = [
    (Outcome.NOT_SENT, Stage.PENDING, Doubt.NO),
    (Outcome.REJECTED, Stage.PENDING, Doubt.NO),
    (Outcome.AMBIGUOUS, Stage.UNCERTAIN, Doubt.MAYBE),
    (Outcome.DEAD, Stage.DEAD, Doubt.NO),
    (Outcome.SUPERSEDED, Stage.SUPERSEDED, Doubt.NO),
]


@pytest.mark.parametrize(("outcome", "stage", "doubt"), NEGATIVE)
def test_what_a_negative_outcome_does(outcome: Outcome, stage: Stage, doubt: Doubt) -> None:
    """From the live claim each negative outcome leads to its stage."""
    book, (item,) = firing()
    book.claim(item)
    assert book.settle(item, outcome, detail="because", retry_after_s=7).ok
    got = book.item(item)
    assert (got.stage, got.doubt) == (stage, doubt)
    assert [(a.number, a.peer, a.outcome, a.detail) for a in got.attempts] == [(1, "a", outcome, "because")]
    assert (got.failures, got.retry_after_s) == (0 if outcome is Outcome.SUPERSEDED else 1, 7)


@pytest.mark.parametrize(("outcome", "stage", "doubt"), NEGATIVE)
def test_with_proof_a_negative_outcome_is_a_delivery(outcome: Outcome, stage: Stage, doubt: Doubt) -> None:
    """A claim that ends negatively while an earlier attempt was accepted is delivered; ambiguous waits."""
    book, (item,) = firing()
    book.claim(item)
    book.assign(item, "b")
    book.claim(item, by="b")
    book.settle(item, Outcome.ACCEPTED, attempt=1)
    assert (book.item(item).stage, book.item(item).doubt) == (Stage.CLAIMED, Doubt.PROOF)
    book.settle(item, outcome, by="b")
    expected = Stage.UNCERTAIN if outcome is Outcome.AMBIGUOUS else Stage.DELIVERED
    assert (book.item(item).stage, book.item(item).doubt) == (expected, Doubt.PROOF)


@pytest.mark.parametrize("outcome", [outcome for outcome, _, _ in NEGATIVE])
def test_hole_12_a_negative_of_an_old_claim_is_refused(outcome: Outcome) -> None:
    """A negative outcome counts only from the live claim: not another attempt, peer or session."""
    book, (item,) = firing()
    assert book.settle(item, outcome, attempt=0).reason == "not from the live claim"
    book.claim(item)
    assert book.settle(item, outcome, by="b").reason == "not from the live claim"
    assert book.settle(item, outcome, attempt=2).reason == "no such attempt"
    book.join("a")
    assert book.settle(item, outcome).reason == "not from the live claim"
    assert "is not the current one" in book.settle(item, outcome, session=1).reason


@pytest.mark.parametrize("last", [None, Outcome.NOT_SENT, Outcome.AMBIGUOUS, Outcome.SUPERSEDED])
def test_a_late_accepted_is_never_lost(last: Outcome | None) -> None:
    """`accepted` of any attempt and any session delivers whatever is not finished otherwise."""
    book, (item,) = firing()
    book.claim(item)
    if last:
        book.settle(item, last)
    assert book.settle(item, Outcome.ACCEPTED, session=1 if last is None else 77, receipt="r1").ok
    assert (book.item(item).stage, book.item(item).receipt) == (Stage.DELIVERED, "r1")


@pytest.mark.parametrize("end", [Outcome.ACCEPTED, Outcome.DEAD])
def test_finished_stays_finished(end: Outcome) -> None:
    """Delivered and dead notifications are never left, whatever arrives late."""
    book, (item,) = firing()
    book.claim(item)
    book.settle(item, end)
    before = book.item(item)
    for outcome in Outcome:
        assert not book.settle(item, outcome).ok
    assert not book.claim(item).ok
    assert book.item(item) == before


def test_cancelled_stays_cancelled() -> None:
    """A cancelled notification was never sent, and stays cancelled even if somebody claims it was."""
    book, (item,) = firing()
    book.closed()
    for outcome in Outcome:
        assert not book.settle(item, outcome).ok
    assert not book.claim(item).ok
    assert book.item(item).stage is Stage.CANCELLED


def test_an_assignment_leaves_the_live_claim() -> None:
    """Another wanted sender may take over; the owner may still settle what it has sent."""
    book, (item,) = firing()
    book.claim(item)
    book.assign(item, "b")
    assert book.settle(item, Outcome.ACCEPTED).ok
    assert book.item(item).stage is Stage.DELIVERED


# ---- closing


def test_only_told_channels_hear_the_end() -> None:
    """Each channel by itself: the end goes where the beginning went, or may have gone."""
    book, (chat, mail, _sms) = firing("chat", "mail", "sms")
    book.claim(chat)
    book.settle(chat, Outcome.ACCEPTED)
    book.claim(mail)
    book.settle(mail, Outcome.AMBIGUOUS)
    resolved = [item.channel for item in book.closed() if item.kind is NoticeKind.RESOLVED]
    assert resolved == ["chat", "mail"]


def test_a_close_without_notice_tells_nobody() -> None:
    """With `resolved: false` nothing is enqueued; what waits is cancelled all the same."""
    book, (chat, _mail) = firing("chat", "mail")
    book.claim(chat)
    book.settle(chat, Outcome.ACCEPTED)
    book.must("a", book.closing(notice=None))
    assert stages(book.items(1)) == [("firing", "chat", "delivered"), ("firing", "mail", "cancelled")]


def test_the_order_of_resolved_notices_is_that_of_the_telling() -> None:
    """Peers that restored a snapshot hold the same notifications in another order, and do the same."""
    book, items = firing("chat", "mail", "sms", "pager")
    for item in items:
        book.claim(item)
        book.settle(item, Outcome.ACCEPTED)
    lived = book.state
    restored = replace(lived, notifications=dict(sorted(lived.notifications.items(), reverse=True)))
    assert list(restored.notifications) != list(lived.notifications)
    book.closed()
    other = Book()
    other.state = restored
    other.closed()
    assert other.state == book.state


# ---- limits


def test_an_overfull_outbox_sheds_announcements_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit announcements are shed and counted, further ones refused; the end is never shed."""
    monkeypatch.setattr(outbox, "UNFINISHED_MAX", 2)
    book, (chat, mail) = firing("chat", "mail")
    for item in (chat, mail):
        book.claim(item)
    book.fails("api")
    assert book.opened("api") == []
    assert (book.state.shed, book.state.open_incident("api") is not None) == (1, True)
    draft = book.draft("chat", "api", "2")
    answer = book.do("a", c.Enqueue(epoch=1, incident=2, draft=draft, at_wall=WALL))
    assert (answer.reason, book.state.shed) == ("the outbox is full", 1)
    assert [item.kind for item in book.closed()].count(NoticeKind.RESOLVED) == 2


def test_finished_notifications_are_pruned_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of finished notifications the newest are kept, and all that belong to something still open."""
    monkeypatch.setattr(outbox, "FINISHED_KEPT", 2)
    book = Book()
    for name in ("one", "two", "three", "four"):
        (item,) = book.opened(name)
        book.claim(item)
        book.settle(item, Outcome.ACCEPTED)
        if name == "one":
            continue
        resolved = book.closed(name)[-1]
        book.claim(resolved)
        book.settle(resolved, Outcome.ACCEPTED)
    left = sorted((item.incident, item.kind.value) for item in book.state.notifications.values())
    assert left == [(1, "firing"), (4, "firing"), (4, "resolved")]


def test_attempts_kept_are_the_latest() -> None:
    """Ten attempts are kept, the number of failures counts them all."""
    book, (item,) = firing()
    for _ in range(12):
        book.claim(item)
        book.settle(item, Outcome.REJECTED)
    got = book.item(item)
    assert ([a.number for a in got.attempts], got.failures) == (list(range(3, 13)), 12)


# ---- ids


def test_ids_are_the_same_everywhere() -> None:
    """The id is a hash of what is told to whom: sixteen hex digits, for ever the same."""
    assert notification_id("test", "web", NoticeKind.FIRING, "1", "chat") == "796bc5c3eb371623"


def test_ids_differ_in_every_part() -> None:
    """Each part makes another id, and parts cannot run into one another."""
    ids = {
        notification_id(cluster, service, kind, number, channel)
        for cluster in ("t", "te")
        for service in ("st", "s")
        for kind in NoticeKind
        for number in ("1", "11")
        for channel in ("1chat", "chat")
    }
    assert len(ids) == 2 * 2 * len(NoticeKind) * 2 * 2


def test_a_known_id_is_enqueued_once() -> None:
    """A transition that comes again with an id the outbox knows adds nothing and resets nothing."""
    book, (item,) = firing()
    book.claim(item)
    book.must("a", book.shifting(Level.PARTIAL, drafts=(book.draft("chat", "web", "1"),)))
    assert [x.stage for x in book.items(1)] == [Stage.CLAIMED]


def test_what_was_told_is_kept_until_its_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pruning never takes an announcement away from a resolved notice that still waits."""
    monkeypatch.setattr(outbox, "FINISHED_KEPT", 0)
    book, (item,) = firing()
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    book.closed()
    (other,) = book.opened("api")
    book.claim(other)
    book.settle(other, Outcome.ACCEPTED)
    assert stages(book.items(1)) == [("firing", "chat", "delivered"), ("resolved", "chat", "pending")]
