"""Readiness: one reason at a time, the most basic one first."""

from __future__ import annotations

from support.core_support import Book, settings

from watchtower.core.cluster_status import ClusterStatus
from watchtower.core.model import State
from watchtower.core.readiness import unready

LINKED = ClusterStatus(leader="b", links={"b": True, "c": False})
BOOK = Book().state


def reason(state: State = BOOK, status: ClusterStatus = LINKED, me: str = "a", **fields: str | int) -> str:
    """Why peer `me` is not ready."""
    given = {"session": 1, "aside": "", **fields}
    return unready(state, status, settings(me=me), session=int(given["session"]), aside=str(given["aside"]))


def test_ready() -> None:
    """Linked to a majority with a leader, and joined."""
    assert reason() == ""


def test_stepped_aside_comes_first() -> None:
    """Whoever drains a peer wants to read that it drains."""
    assert reason(status=ClusterStatus(trouble="full"), aside="draining") == "draining"


def test_a_disk_in_trouble_and_a_peer_that_must_not_vote() -> None:
    """Both are shown with their reason, the disk first."""
    sick = ClusterStatus(leader="b", links=LINKED.links, trouble="no space left", quarantine="wiped")
    assert reason(status=sick) == "the disk: no space left"
    assert reason(status=ClusterStatus(leader="b", quarantine="wiped")) == "must not vote yet: wiped"


def test_before_the_first_contact_with_all() -> None:
    """The missing peers are named; with all in sight it is only a moment."""
    assert reason(State()) == "waiting for first contact with all peers, missing c"
    assert reason(State(), ClusterStatus(links={"b": True})) == "founding"


def test_no_member() -> None:
    """A peer that the ledger does not know says how it becomes one."""
    outside = Book(peers=("a", "b")).state
    assert "finish `watchtower cluster resize`" in reason(outside, me="c")


def test_no_majority_and_not_joined() -> None:
    """Without a leader there is no quorum; without a session it is joining."""
    assert reason(status=ClusterStatus(links={"b": True})) == "no quorum"
    assert reason(session=0) == "joining"
