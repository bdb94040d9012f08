"""Eligibility: each reason why a peer's votes do not count, their order, and the clocks.

Everything starts from a cluster in which all three peers are eligible; each test takes one thing away.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, instant, view

from watchtower.core import commands as c
from watchtower.core.judging.eligibility import FRESH_S, Ineligible, clock_error_s, ineligible, silent_s
from watchtower.core.model import Instant, PeerRow, State
from watchtower.core.view import View, listen


def reason(book: Book, looks: View | None = None, now: Instant | None = None) -> Ineligible | None:
    """Why b is not eligible."""
    return ineligible(book.state, "b", looks or view(), now or instant(100.0))


def test_a_peer_of_which_nothing_is_wrong_votes() -> None:
    """A live session, a fresh report, the config in force and a sane clock: eligible."""
    assert reason(Book()) is None


def test_not_joined() -> None:
    """A peer without a row, one that was declared gone, and a stranger have no vote."""
    book = Book()
    book.must("a", c.Gone(epoch=1, peer="b", peer_session=1))
    assert reason(book) is Ineligible.NOT_JOINED
    assert ineligible(book.state, "z", view(), instant(100.0)) is Ineligible.NOT_JOINED


def test_leaving() -> None:
    """A peer that said goodbye has no vote until it joins again, even after its excuse has run out."""
    book = Book()
    book.must("b", c.Leaving(for_s=1, at_wall=WALL))
    assert reason(book) is Ineligible.LEAVING
    book.join("b")
    book.report("b")
    assert reason(book) is None


@pytest.mark.parametrize(("age_s", "expected"), [(15.0, None), (15.1, Ineligible.SILENT)])
def test_silent(age_s: float, expected: Ineligible | None) -> None:
    """A report older than 15 s is none."""
    assert reason(Book(), view(boot=100.0), instant(100.0 + age_s)) is expected


def test_not_heard_since_this_process_started() -> None:
    """What was reported before this process began to listen does not count as fresh."""
    assert reason(Book(), view(heard=("a", "c"))) is Ineligible.SILENT


def test_another_config() -> None:
    """A peer with another config than the one in force has no vote."""
    book = Book()
    book.report("b", config_hash="h2")
    assert reason(book) is Ineligible.CONFIG


OFFSETS: list[tuple[dict[str, float], Ineligible | None]] = [
    ({"b": 5.1, "c": 0.0}, Ineligible.CLOCK),
    ({"b": -5.1, "c": 0.0}, Ineligible.CLOCK),
    ({"b": 5.0, "c": 0.0}, None),
    ({"b": 60.0, "c": 60.0}, None),
    ({"b": 60.0}, None),
    ({"c": 60.0}, None),
]


@pytest.mark.parametrize(("offsets", "expected"), OFFSETS)
def test_clock(offsets: dict[str, float], expected: Ineligible | None) -> None:
    """A clock more than 5 s from the median has no vote; with fewer than three clocks nobody is judged."""
    samples = {peer: (offset,) for peer, offset in offsets.items()}
    assert reason(Book(), view(clock_samples_s=samples)) is expected


def test_the_odd_clock_may_be_ones_own() -> None:
    """When the two others agree, the peer that looks is the one that is off."""
    looks = view(clock_samples_s={"b": (60.0,), "c": (61.0,)})
    assert clock_error_s("a", looks) == -60.0
    assert clock_error_s("b", looks) == 0.0


@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"boot_id": "", "leaving_until_wall": 1.0}, Ineligible.NOT_JOINED),
        ({"leaving_until_wall": 1.0, "config_hash": "h2"}, Ineligible.LEAVING),
    ],
)
def test_the_first_reason_is_named(spoilt: dict[str, Any], expected: Ineligible) -> None:
    """Of several reasons the first of the list is told."""
    book = Book()
    peers = {**book.state.peers, "b": replace(book.state.row("b"), **spoilt)}
    assert ineligible(replace(book.state, peers=peers), "b", view(), instant(100.0)) is expected


def test_silence_is_counted_from_ones_own_start() -> None:
    """A peer that was never heard is silent for as long as this process listens."""
    looks = View(me="a", started_boot=40.0, heard_boot={"b": 30.0, "c": 90.0})
    assert [silent_s(name, looks, instant(100.0)) for name in ("b", "c", "z")] == [60.0, 10.0, 60.0]


def test_a_session_just_begun_is_not_silent() -> None:
    """A peer that rejoins after a long silence is given time for its first report."""
    old, rejoined = (
        State(peers={"b": PeerRow(session=2)}),
        State(peers={"b": PeerRow(session=3, boot_id="x")}),
    )
    seen = listen(View(me="a", started_boot=10.0), old, Instant(wall=10.0, boot=10.0))
    seen = listen(seen, rejoined, Instant(wall=100.0, boot=100.0))
    assert silent_s("b", seen, Instant(wall=101.0, boot=101.0)) == 1.0
    assert silent_s("b", seen, Instant(wall=120.0, boot=120.0)) > FRESH_S
