"""The ledger at its edges: what a command writes, compared as a whole, and refusals nobody meets by chance.

Beside test_ledger.py; each case here is one that a changed line of the code would get wrong.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, down

from watchtower.core import commands as c
from watchtower.core.applying.lives import BLIND_GAP_S
from watchtower.core.beats import Beat
from watchtower.core.commands import Answer, Command
from watchtower.core.model import Checkpoint, ConfigInForce, Level, Opinion, PeerRow


def reported() -> Book:
    """A cluster in which b has said everything that a peer can say."""
    book = Book()
    mark = Checkpoint(entries=512, hash="f00d")
    book.report("b", {"web": down()}, default=Opinion.UP, doubt="dns", members_gen=1, checkpoint=mark)
    return book


def test_a_join_begins_a_row() -> None:
    """Of the earlier life a join keeps the members it had confirmed, and writes down who came and when."""
    book = reported()
    book.must("b", c.Join(boot_id="new", version="2", command_version=7, at_wall=WALL + 9))
    row = PeerRow(
        session=2, boot_id="new", version="2", command_version=7, joined_wall=WALL + 9, members_gen=1
    )
    assert book.state.row("b") == row


def test_gone_keeps_who_it_was_and_nothing_it_said() -> None:
    """A peer declared gone has another session and no vote left; what it confirmed and its times stay."""
    book = reported()
    book.must("a", c.Gone(epoch=1, peer="b", peer_session=1))
    row = PeerRow(
        session=2, version="1", command_version=1, joined_wall=WALL, reported_wall=WALL, members_gen=1
    )
    assert book.state.row("b") == row


def test_a_change_of_everything_raises_the_revisions_by_one() -> None:
    """One step for every service, whether a peer turns all its votes or the config in force changes."""
    book = Book()
    before = book.state.rev_base
    book.report("b", default=Opinion.DOWN)
    assert book.state.rev_base == before + 1
    book.must("a", c.Activate(epoch=1, gen=1, config_hash="h2", at_wall=WALL + 5))
    assert book.state.rev_base == before + 2
    assert book.state.config == ConfigInForce(gen=2, hash="h2", at_wall=WALL + 5)


def test_the_watch_bears_a_gap_of_exactly_the_limit() -> None:
    """Thirty seconds between two reports of the alerter are one watch still."""
    book = Book()
    book.report("a", at_wall=WALL)
    book.report("a", at_wall=WALL + BLIND_GAP_S)
    assert book.state.watch.since_wall == WALL
    book.report("a", at_wall=WALL + 2 * BLIND_GAP_S + 0.5)
    assert book.state.watch.since_wall == WALL + 2 * BLIND_GAP_S + 0.5


def test_the_first_beat_has_none_before_it() -> None:
    """The beat before the first one is none, which is written as 0."""
    book = Book()
    book.must("a", c.BeatSeen(service="backup", at_wall=WALL))
    assert book.state.beats == {"backup": Beat(at_wall=WALL, previous_wall=0.0)}


@pytest.mark.parametrize("late_s", [0, 1])
def test_a_beat_that_is_no_news_is_answered_well(late_s: int) -> None:
    """Whoever brings a beat that is known, or an older one, hears that all is well."""
    book = Book()
    book.must("a", c.BeatSeen(service="backup", at_wall=WALL))
    answer = book.do("b", c.BeatSeen(service="backup", at_wall=WALL - late_s))
    assert answer == Answer(ok=True, reason="a later beat is known")


def test_a_new_epoch_counts_its_own_renewals() -> None:
    """Whoever takes a lease that was renewed begins at none: its first renewal is the first."""
    book = Book()
    book.must("a", c.Renew(epoch=1, length_ms=3000, id="second"))
    book.lease("b")
    assert (book.state.lease.epoch, book.state.lease.renewals) == (2, 0)


@pytest.mark.parametrize("kind", ["shift", "close"])
def test_a_row_without_its_incident_is_refused(kind: str) -> None:
    """No log leads to an open row whose incident is not there; if one does, apply refuses and goes on."""
    book = Book()
    book.opened()
    command: Command = book.closing() if kind == "close" else book.shifting(Level.PARTIAL)
    book.state = replace(book.state, incidents={})
    assert book.do("a", command) == Answer(ok=False, reason="no open incident")


@pytest.mark.parametrize(
    ("by", "epoch", "reason"),
    [("b", 1, "epoch 1 is held by a"), ("a", 0, "epoch 0 is not the current 1")],
)
def test_only_the_alerter_enqueues(by: str, epoch: int, reason: str) -> None:
    """A further notification of an open incident is the alerter's to enqueue, and only in its epoch."""
    book = Book()
    book.opened()
    draft = book.draft("mail", "web", "1")
    answer = book.do(by, c.Enqueue(epoch=epoch, incident=1, draft=draft, at_wall=WALL))
    assert answer == Answer(ok=False, reason=reason)
