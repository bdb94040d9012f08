"""Members: changed one at a time, only when all that stay keep up; and what a file with other peers means."""

from __future__ import annotations

import pytest
from support.core_support import WALL, Book, down, settings

from watchtower.core import commands as c
from watchtower.core.applying.membership import foreign_ledger, majority, mismatch, outsider, version_of_all
from watchtower.core.model import State


def confirmed(peers: tuple[str, ...] = ("a", "b", "c")) -> Book:
    """A cluster all of whose members have said that they run with the current membership."""
    book = Book(peers=peers)
    for peer in peers:
        book.report(peer, members_gen=book.state.members_gen)
    return book


def resize(book: Book, *members: str) -> c.Resize:
    """The change to these members, on the membership of now."""
    return c.Resize(members=members, members_gen=book.state.members_gen)


def test_founding_is_the_first_membership() -> None:
    """The founders are generation 1, which no fresh row claims to run with."""
    book = Book()
    assert book.state.members_gen == 1
    assert book.state.row("a").members_gen == 0


def test_one_peer_more() -> None:
    """A further member is in at once, may join, and the generation grows."""
    book = confirmed()
    assert not book.do("d", c.Join(boot_id="d-1", version="1", command_version=1, at_wall=WALL)).ok
    book.must("b", resize(book, "d", "c", "b", "a"))
    assert (book.state.members, book.state.members_gen, majority(book.state)) == (("a", "b", "c", "d"), 2, 3)
    book.join("d")


def test_one_peer_less() -> None:
    """Of a removed member no row is left, what it votes is void, and what it still proposes is refused."""
    book = confirmed()
    book.report("c", {"web": down()}, members_gen=1)
    before = book.state.rev("web")
    book.must("a", resize(book, "a", "b"))
    assert set(book.state.peers) == {"a", "b"}
    assert book.state.rev("web") > before
    late = book.do("c", c.BeatSeen(service="job", at_wall=WALL), session=1)
    assert late.reason == "c is not a member of the cluster"


def test_a_peer_may_remove_itself() -> None:
    """Whoever has a live session may propose any change, also its own removal."""
    book = confirmed()
    book.must("c", resize(book, "a", "b"))
    assert book.state.members == ("a", "b")


@pytest.mark.parametrize(
    "members",
    [
        ("a", "b", "c"),
        ("a", "b", "c", "d", "e"),
        ("a",),
        ("a", "b", "d"),
        ("a", "b", "c", "c"),
        ("a", "b", "c", "d", "d"),
        (),
    ],
)
def test_anything_but_one_at_a_time_is_refused(members: tuple[str, ...]) -> None:
    """No change, two at once, an exchange, a name twice, nobody: old and new majorities must overlap."""
    book = confirmed()
    assert "one at a time" in book.do("a", resize(book, *members)).reason


def test_the_last_member_stays() -> None:
    """A cluster of nobody cannot be made."""
    book = confirmed(("a",))
    assert not book.do("a", resize(book)).ok


def test_a_member_that_lags_holds_the_next_change_up() -> None:
    """Who has not said that it runs with the current members may still count with the ones before."""
    book = confirmed()
    book.must("a", resize(book, "a", "b", "c", "d"))
    book.join("d")
    for peer in ("a", "b", "d"):
        book.report(peer, members_gen=2)
    refused = book.do("a", resize(book, "a", "b", "c", "d", "e"))
    assert refused.reason == "not confirmed the current members yet: c"
    book.report("c", members_gen=2)
    book.must("a", resize(book, "a", "b", "c", "d", "e"))


def test_the_member_that_lags_may_itself_be_removed() -> None:
    """A host that never kept up must not keep the others from replacing it."""
    book = Book()
    for peer in ("a", "b"):
        book.report(peer, members_gen=1)
    assert book.do("a", resize(book, "a", "b", "c", "d")).reason == "not confirmed the current members yet: c"
    book.must("a", resize(book, "a", "b"))
    for peer in ("a", "b"):
        book.report(peer, members_gen=2)
    book.must("a", resize(book, "a", "b", "d"))


def test_a_change_that_arrives_late_is_refused() -> None:
    """Compare-and-set on the generation: also the very same change a second time."""
    book = confirmed()
    change = resize(book, "a", "b", "c", "d")
    book.must("a", change)
    assert book.do("a", change).reason == "membership 1 is not the current 2"


def test_without_a_live_session_nothing_is_changed() -> None:
    """An earlier life of a member cannot change the members."""
    book = confirmed()
    book.join("a")
    assert not book.do("a", resize(book, "a", "b"), session=1).ok


def test_a_name_that_comes_back_meets_nothing_of_its_earlier_life() -> None:
    """Removed and added again, it gets a session number that no earlier entry can carry."""
    book = confirmed()
    book.must("a", resize(book, "a", "b"))
    for peer in ("a", "b"):
        book.report(peer, members_gen=2)
    book.must("a", resize(book, "a", "b", "c"))
    assert not book.do("c", c.Report(seq=0, full=True, config_hash="h1", at_wall=WALL), session=1).ok
    book.join("c", "c again")
    assert book.state.row("c").session == 2


def test_who_is_no_member_cannot_be_declared_gone() -> None:
    """Or a row would come back that nobody removes."""
    book = confirmed()
    book.must("a", resize(book, "a", "b"))
    assert not book.do("a", c.Gone(epoch=1, peer="c", peer_session=0)).ok
    assert "c" not in book.state.peers


def test_the_gate_is_the_version_of_all_members() -> None:
    """One without a live session, or one of an older version, keeps the gate where it is."""
    book = Book()
    assert version_of_all(book.state) == 1
    for number, peer in enumerate(("a", "b"), 2):
        join = c.Join(boot_id=f"{peer}{number}", version="2", command_version=2, at_wall=WALL)
        book.must(peer, join)
        assert version_of_all(book.state) == 1
    book.must("c", c.Join(boot_id="c2", version="3", command_version=3, at_wall=WALL))
    assert version_of_all(book.state) == 2
    book.lease("a")
    book.must("a", c.Gone(epoch=2, peer="b", peer_session=2))
    assert version_of_all(book.state) == 0


def test_a_ledger_of_another_cluster_is_named() -> None:
    """A ledger with another name is foreign; an empty one, or one with other members, is not."""
    cluster = settings().cluster
    assert foreign_ledger(State(), cluster) == ""
    assert foreign_ledger(State(cluster="test", members=("x", "y")), cluster) == ""
    assert "belongs to cluster old" in foreign_ledger(State(cluster="old", members=("x",)), cluster)


def test_a_file_with_other_peers_is_told_apart() -> None:
    """A mismatch is said with both sets; who is no member is an outsider, a member never is."""
    cluster = settings().cluster
    ahead = State(cluster="test", members=("a", "b"))
    assert mismatch(State(), cluster) == outsider(State(), cluster, "a") == ""
    assert mismatch(State(cluster="test", members=("c", "b", "a")), cluster) == ""
    said = "the file names a, b, c, the cluster has a, b: finish `watchtower cluster resize`"
    assert mismatch(ahead, cluster) == said
    assert outsider(ahead, cluster, "a") == ""
    assert outsider(ahead, cluster, "c") == f"c is not a member: {said}"


def test_two_dead_of_five_are_removed_one_after_the_other() -> None:
    """What a peer confirmed outlives its session: a site that burned down can be left behind."""
    book = Book(peers=("a", "b", "c", "d", "e"))
    for peer in book.peers:
        book.report(peer, members_gen=1)
    for peer in "de":
        book.must("a", c.Gone(epoch=1, peer=peer, peer_session=book.state.row(peer).session))
    book.must("a", c.Resize(members=("a", "b", "c", "e"), members_gen=1))
    for peer in "abc":
        book.report(peer, members_gen=2)
    book.must("a", c.Resize(members=("a", "b", "c"), members_gen=2))
    assert book.state.members == ("a", "b", "c")


@pytest.mark.parametrize("how", ["restarts", "is declared gone"])
def test_what_was_confirmed_outlives_the_process(how: str) -> None:
    """Its log holds the members that it had confirmed, so a new life does not fall behind them."""
    book = confirmed()
    if how == "restarts":
        book.join("c")
    else:
        book.must("a", c.Gone(epoch=1, peer="c", peer_session=1))
    book.must("a", resize(book, "a", "b", "c", "d"))
    assert "c" in book.do("a", resize(book, "a", "b", "c")).reason, "this one it has not confirmed"
