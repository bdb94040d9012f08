"""What a peer says of itself into the log: one command at a time, derived from applied state alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import cast

import pytest
from msgspec.structs import replace
from support.core_support import HASH, WALL, Book, instant, settings

from watchtower import __version__
from watchtower.core import commands as c
from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import COMMAND_VERSION, Checkpoint, Instant, State
from watchtower.core.ports import ClusterPort, CourierPort, VantagePort
from watchtower.core.settings import Settings
from watchtower.errors import ClusterError
from watchtower.reporter import Reporter

NOW = instant(100.0)
MARK = Checkpoint(entries=512, hash="f00d")


class Log:
    """A replicated log of which only the state is asked."""

    def __init__(self, state: State, leader: str = "b") -> None:
        self.state = state
        self.checkpoint = MARK
        self.leader = leader

    def status(self) -> ClusterStatus:
        """Linked to one of two others."""
        return ClusterStatus(leader=self.leader, links={"b": True, "c": False})


class Eyes:
    """A vantage point that always has something to report."""

    def report(self, state: State, now: Instant, boot_id: str, blocked: Mapping[str, str]) -> c.Report:
        """An empty report of the row."""
        return c.Report(
            seq=7, full=False, config_hash=HASH, at_wall=now.wall, doubt=boot_id, paths=dict(blocked)
        )


class Ways:
    """A courier that cannot reach one channel."""

    def blocked(self) -> dict[str, str]:
        """Why."""
        return {"chat": "open: connection refused"}


def reporter_on(log: Log, boot_id: str) -> Reporter:
    """A reporter of peer a."""
    eyes, ways = cast("VantagePort", Eyes()), cast("CourierPort", Ways())
    return Reporter(cast("ClusterPort", log), eyes, ways, boot_id)


def next_of(
    state: State,
    boot_id: str = "a-1",
    config: Settings | None = None,
    *,
    leader: str = "b",
    is_aside: bool = False,
) -> c.Command | None:
    """What peer a says."""
    reporter = reporter_on(Log(state, leader), boot_id)
    return reporter.next(config or settings(), NOW, is_aside=is_aside)


def test_founding_needs_a_leader() -> None:
    """An empty ledger is founded with the file's peers, once somebody leads (all, or an operator, must)."""
    assert next_of(State(), leader="") is None
    assert next_of(State()) == c.Found(cluster="test", members=("a", "b", "c"), at_wall=NOW.wall)


def test_a_process_that_is_not_in_its_row_joins() -> None:
    """First start, restart, or declared gone: join, and report nothing else before."""
    join = next_of(Book().state, "a-2")
    assert join == c.Join(
        boot_id="a-2", version=__version__, command_version=COMMAND_VERSION, at_wall=NOW.wall
    )


def test_a_report_carries_the_checkpoint() -> None:
    """So that the others can compare."""
    report = next_of(Book().state)
    assert isinstance(report, c.Report)
    assert (report.seq, report.checkpoint) == (7, MARK)


def test_a_report_carries_the_channels_that_cannot_be_reached() -> None:
    """So that another peer is asked to send."""
    report = next_of(Book().state)
    assert isinstance(report, c.Report)
    assert report.paths == {"chat": "open: connection refused"}


def test_who_is_no_member_says_nothing() -> None:
    """A peer that is only in the file follows, and is no voice until it is added."""
    assert next_of(Book(peers=("b", "c")).state) is None


def test_a_member_whose_file_is_ahead_goes_on() -> None:
    """While a resize is being prepared, monitoring must not stop."""
    more = settings(peers=("a", "b", "c", "d"))
    assert isinstance(next_of(Book().state, config=more), c.Report)


def test_a_foreign_ledger_is_fatal() -> None:
    """Another cluster's ledger on this disk: better stop than mix."""
    with pytest.raises(ClusterError, match="belongs to cluster test"):
        next_of(Book().state, config=replace(settings(), cluster=replace(settings().cluster, name="other")))


def test_aside_it_reports_but_neither_joins_nor_comes_back() -> None:
    """A drained peer lives on; one whose session ended while it was aside waits until it is back."""
    book = Book()
    book.must("a", c.Leaving(for_s=60, at_wall=WALL))
    assert isinstance(next_of(book.state, is_aside=True), c.Report)
    assert next_of(book.state, "a-2", is_aside=True) is None
    assert next_of(book.state) == c.Leaving(for_s=0.0, at_wall=NOW.wall)


def test_a_mismatch_is_said_once_and_its_end_too(caplog: pytest.LogCaptureFixture) -> None:
    """Not every half second."""
    book = Book()
    reporter = reporter_on(Log(book.state), "a-1")
    with caplog.at_level(logging.WARNING, "watchtower.reporter"):
        for peers in (("a", "b"), ("a", "b"), ("a", "b", "c")):
            reporter.next(settings(peers=peers), NOW, is_aside=False)
    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("the file names a, b, the cluster has a, b, c")
    assert "same peers again" in last
