"""What people said, in the ledger: limits, refusals, and that whatever was decided before it is void."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.alerting.matching import read_text
from watchtower.core.applying.fences import POLICY_CHANGED
from watchtower.core.applying.quieting import ONLY_BY_LINK
from watchtower.core.commands import Command
from watchtower.core.model import Level, Stage
from watchtower.core.policies import (
    AUTHOR_MAX,
    SILENCES_MAX,
    Acknowledgement,
    Silence,
    SilenceKind,
    Why,
    Withheld,
)


def silence(key: str = "s1", **fields: Any) -> Silence:
    """A silence of web for an hour."""
    known: dict[str, Any] = {"kind": SilenceKind.SILENCE, "author": "ops", "reason": "", "created_wall": WALL}
    known |= {"matchers": read_text("service=web"), "starts_wall": WALL, "ends_wall": WALL + 3600}
    return Silence(id=key, **{**known, **fields})


def said(by: str = "ops", at_wall: float = WALL, note: str = "") -> r.Acknowledge:
    """Somebody takes incident 1."""
    ack = Acknowledgement(by=by, note=note, at_wall=at_wall)
    return r.Acknowledge(incident=1, ack=ack, by=by, at_wall=at_wall)


def _claim(key: str, rev: int) -> c.Claim:
    return c.Claim(id=key, attempt=0, hold_ms=1000, claim_id="x", policy_rev=rev)


def wishes() -> dict[str, Command]:
    """Everything by which people change what is told."""
    return {
        "set": r.SetSilence(silence=silence("s2")),
        "end": r.EndSilence(id="s1", by="ops", at_wall=WALL + 1),
        "acknowledge": said(),
    }


@pytest.mark.parametrize("wish", ["set", "end", "acknowledge"])
def test_whatever_was_decided_before_is_void(wish: str) -> None:
    """Transitions, announcements, reasons, withdrawals, claims: all derived again (protocol.md, hole 13)."""
    book = Book()
    book.must("a", r.SetSilence(silence=silence("s1", matchers=read_text("service=db"))))
    book.fails()
    rev = book.state.policy_rev
    book.must("a", book.opening(policy_rev=rev))
    (item,) = book.state.notifications.values()
    why = Withheld(why=Why.SILENCED, text="test")
    fences = {**book.fences("web"), "reason": "test", "at_wall": WALL, "policy_rev": rev}
    before: list[Command] = [
        c.Shift(**fences, level=Level.DEGRADED),
        c.Close(**fences),
        c.Enqueue(epoch=1, incident=1, draft=book.draft("mail", "web", "1"), at_wall=WALL, policy_rev=rev),
        c.Withhold(epoch=1, incident=1, withheld=why, at_wall=WALL, policy_rev=rev),
        c.Drop(epoch=1, id=item.id, reason="test", policy_rev=rev),
        _claim(item.id, rev),
    ]
    book.must("b", wishes()[wish])
    assert book.state.policy_rev == rev + 1
    assert [book.do("a", command).reason for command in before] == [POLICY_CHANGED] * len(before)
    book.must("a", _claim(item.id, rev + 1))
    assert book.item(item).stage is Stage.CLAIMED


def test_a_silence_is_prolonged_by_its_id_and_ended_once() -> None:
    """The same again changes nothing, nor does an end after the end."""
    book = Book()
    book.must("a", r.SetSilence(silence=silence()))
    assert book.do("a", r.SetSilence(silence=silence())).reason == "this silence is set already"
    book.must("a", r.SetSilence(silence=silence(ends_wall=WALL + 7200)))
    book.must("b", r.EndSilence(id="s1", by="ops", at_wall=WALL + 60))
    assert book.state.silences["s1"].ends_wall == WALL + 60
    assert book.do("a", r.EndSilence(id="s1", by="ops", at_wall=WALL + 90)).reason == "it is over already"
    assert book.do("a", r.EndSilence(id="s7", by="ops", at_wall=WALL)).reason == "no such silence"


def test_silences_have_limits() -> None:
    """Of number, of matchers, of length; a known one may still be changed when there are too many."""
    book = Book()
    full = {f"s{number}": silence(f"s{number}") for number in range(SILENCES_MAX)}
    book.state = replace(book.state, silences=full)
    assert "already: end some" in book.do("a", r.SetSilence(silence=silence("more"))).reason
    book.must("a", r.SetSilence(silence=silence("s1", author="x" * 999)))
    assert len(book.state.silences["s1"].author) == AUTHOR_MAX
    assert not book.do("a", r.SetSilence(silence=silence("s1", matchers=()))).ok
    assert not book.do("a", r.SetSilence(silence=silence("s1", ends_wall=WALL))).ok


def test_silences_that_are_over_make_room() -> None:
    """The one that has been over for longest, and only for one that is new."""
    book = Book()
    full = {
        f"s{number}": silence(f"s{number}", ends_wall=WALL + number + 1) for number in range(SILENCES_MAX)
    }
    book.state = replace(book.state, silences=full)
    book.must("a", r.SetSilence(silence=silence("s7", ends_wall=WALL + 99_999, created_wall=WALL + 50)))
    assert len(book.state.silences) == SILENCES_MAX
    for number in (0, 1):
        book.must("a", r.SetSilence(silence=silence(f"n{number}", created_wall=WALL + 2)))
        assert f"s{number}" not in book.state.silences
        assert len(book.state.silences) == SILENCES_MAX
    assert "end some" in book.do("a", r.SetSilence(silence=silence("n2", created_wall=WALL + 2))).reason


def test_a_silence_does_not_become_maintenance() -> None:
    """Under the id of the one nobody may set the other."""
    book = Book()
    book.must("a", r.SetSilence(silence=silence()))
    refused = book.do("a", r.SetSilence(silence=silence(kind=SilenceKind.MAINTENANCE)))
    assert refused.reason == "s1 is a silence, not a maintenance"


def test_the_same_acknowledgement_again_says_nothing_new() -> None:
    """However often a link is pressed; another word, or another person, is news."""
    book = Book()
    book.fails()
    book.must("a", book.opening())
    book.must("a", said(note="on it"))
    rev = book.state.policy_rev
    for second in range(1, 61):
        assert book.do("b", said(at_wall=WALL + second, note="on it")).reason == "it is as it was"
    assert book.state.policy_rev == rev
    book.must("b", said(note="nearly done"))
    book.must("b", said("bob", note="nearly done"))
    nobody = r.Acknowledge(incident=1, ack=None, by="bob", at_wall=WALL)
    book.must("b", said("", note=""))
    book.must("b", nobody)
    assert book.do("b", nobody).reason == "it is as it was"


def test_an_acknowledgement_is_taken_over_withdrawn_and_gone_when_it_worsens() -> None:
    """Each with a line in the timeline; what is easier keeps it."""
    book = Book()
    book.fails()
    book.must("a", book.opening(level=Level.DEGRADED))
    for by in ("ops", "bob"):
        book.must("b", said(by))
    assert book.do("b", said("bob", WALL + 9)).reason == "it is as it was"
    fences: dict[str, Any] = {"reason": "test", "at_wall": WALL}
    for level, is_kept in ((Level.PARTIAL, True), (Level.DOWN, False)):
        rev = book.state.policy_rev
        book.must("a", c.Shift(**book.fences("web"), **fences, level=level, policy_rev=rev))
        assert (book.state.incidents[1].ack is not None) is is_kept
    book.must("b", said())
    book.must("b", r.Acknowledge(incident=1, ack=None, by="bob", at_wall=WALL))
    lines = [step.reason for step in book.state.incidents[1].timeline]
    assert [line for line in lines if "acknowledge" in line] == [
        "acknowledged by ops",
        "acknowledged by bob",
        "acknowledged by ops",
        "acknowledgement withdrawn by bob",
    ]
    book.must("a", book.closing(policy_rev=book.state.policy_rev))
    assert book.do("b", said()).reason == "no such open incident"


def test_a_drill_is_proven_by_its_link_and_on_its_channel_only() -> None:
    """Whoever acknowledges elsewhere need not have received it; one on mail says nothing of chat."""
    book = Book()
    book.must("b", r.StartDrill(channel="chat", by="sue", at_wall=WALL))
    book.fails()
    book.must("a", book.opening())
    incident = replace(book.state.incidents[1], service="drill/mail")
    book.state = replace(book.state, incidents={1: incident})
    assert book.do("b", said()).reason == ONLY_BY_LINK
    assert book.state.incidents[1].ack is None
    book.must("b", replace(said(), by_link=True))
    assert (book.state.drill.arrived_wall, book.state.drill.unproven) == (0.0, {"chat": WALL})
    book.state = replace(book.state, incidents={1: replace(incident, service="drill/chat")})
    book.must("b", replace(said("bob"), by_link=True))
    assert (book.state.drill.arrived_wall, book.state.drill.unproven) == (WALL, {})
