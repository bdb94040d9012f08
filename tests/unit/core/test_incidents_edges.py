"""Incidents at their edges: what a move writes, compared as a whole.

Beside test_incidents.py; each case here is one that a changed line of the code would get wrong.
"""

from __future__ import annotations

from msgspec.structs import replace
from support.core_support import WALL, Book

from watchtower.core.applying.outbox import notification_id
from watchtower.core.model import Evidence, Level, NoticeKind, Opinion, Outcome, Step


def test_a_shift_brings_its_own_evidence() -> None:
    """What the peers saw at the shift replaces what they saw at the opening; the rest stays."""
    book = Book()
    book.opened()
    before = book.state.incidents[1]
    seen = (Evidence(peer="b", opinion=Opinion.DEGRADED, text="slow"),)
    book.must("a", book.shifting(Level.PARTIAL, reason="less", evidence=seen, at_wall=WALL + 9))
    step = Step(at_wall=WALL + 9, level=Level.PARTIAL, reason="less")
    assert book.state.incidents[1] == replace(
        before, level=Level.PARTIAL, reason="less", evidence=seen, timeline=(*before.timeline, step)
    )


def test_the_end_has_the_id_that_every_peer_computes() -> None:
    """A resolved notice is known by cluster, service, kind, incident and channel, as any other."""
    book = Book()
    (item,) = book.opened()
    book.claim(item)
    book.settle(item, Outcome.ACCEPTED)
    told, end = book.closed()
    assert told.id == item.id
    assert end.id == notification_id("test", "web", NoticeKind.RESOLVED, "1", "chat")
