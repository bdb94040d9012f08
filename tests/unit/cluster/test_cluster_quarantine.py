"""A peer without memory: whom it must hear before it believes a leader, and when a whole cluster begins."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from watchtower.cluster.quarantine import Hello, Quarantine


def hello(term: int = 1, **said: Any) -> Hello:
    """What a peer says on a new link."""
    usual = {"disk": "d1", "is_blank": False, "votes": True, "disks": {"a": "mine", "d": "mine"}}
    return Hello(**{**usual, "term": term, **said})


@pytest.mark.parametrize(("size", "needed"), [(2, 1), (3, 2), (4, 2), (5, 3)])
def test_it_hears_one_of_every_majority_its_earlier_self_was_part_of(size: int, needed: int) -> None:
    """So many that any majority with this peer in it has at least one of them; then the oldest term."""
    others = tuple("bcdef"[: size - 1])
    majority = size // 2 + 1
    for heard in itertools.combinations(others, needed):
        quarantine = Quarantine("a", others, "empty", "mine")
        for term, peer in enumerate(heard, start=5):
            assert quarantine.floor is None
            quarantine.hello(peer, hello(term))
        assert quarantine.floor == 4 + needed
        for company in itertools.combinations(others, majority - 1):
            assert set(company) & set(heard), "a majority that nobody told of"


def test_peers_without_memory_and_strangers_do_not_count() -> None:
    """Only other members that vote themselves know what was promised."""
    quarantine = Quarantine("a", "bcd", "empty", "mine")
    quarantine.hello("b", hello(3))
    quarantine.hello("c", hello(9, votes=False))
    quarantine.hello("x", hello(9))
    assert (quarantine.floor, quarantine.missing) == (None, "word of d")
    quarantine.hello("d", hello(4, votes=False))
    assert (quarantine.floor, quarantine.missing) == (None, "more peers that remember")
    quarantine.hello("c", hello(4))
    assert (quarantine.floor, quarantine.missing) == (4, "a leader that sends what is missing")


def test_the_members_that_others_name_count_not_the_file() -> None:
    """A new peer of a cluster that was rescued as {a} and has just taken in d: a alone knows everything."""
    quarantine = Quarantine("d", "ae", "empty", "mine")
    quarantine.hello("a", hello(7, members=("a",), members_gen=4))
    assert (quarantine.floor, quarantine.missing) == (
        None,
        "being taken into the cluster: `watchtower cluster resize`",
    )
    quarantine.hello("a", hello(7, members=("a", "d"), members_gen=5))
    assert quarantine.floor == 7
    quarantine.hello("e", hello(1, members=("a", "d", "e"), members_gen=6, votes=False, is_blank=True))
    assert quarantine.floor == 7


def test_who_has_not_applied_a_change_of_the_members_does_not_count_yet() -> None:
    """Our earlier self may have formed a majority with a member that this one does not know yet."""
    quarantine = Quarantine("d", "ae", "empty", "mine")
    quarantine.hello("a", hello(7, members=("a", "d"), members_gen=5, is_resizing=True))
    assert quarantine.floor is None
    quarantine.hello("a", hello(7, members=("a", "d", "e"), members_gen=6))
    assert quarantine.floor is None
    quarantine.hello("e", hello(8, members=("a", "d", "e"), members_gen=6))
    assert quarantine.floor == 8


def test_a_cluster_begins_when_all_are_there_and_none_has_run() -> None:
    """One that is missing, or that has anything in its log, keeps a blank peer waiting."""
    quarantine = Quarantine("a", "bc", "empty", "mine")
    quarantine.hello("b", hello(is_blank=True, votes=False))
    assert not quarantine.all_begin({"b", "c"})
    quarantine.hello("c", hello(is_blank=False))
    assert not quarantine.all_begin({"b", "c"})
    quarantine.hello("c", hello(is_blank=True))
    assert not quarantine.all_begin({"b"})
    assert quarantine.all_begin({"b", "c"})


def test_another_disk_under_the_same_name_is_noticed() -> None:
    """What the peer promised with its earlier disk is void; the same disk on a new link is nothing."""
    quarantine = Quarantine("a", "bc", "", "mine")
    assert not quarantine.hello("b", hello())
    assert not quarantine.hello("b", hello(term=7))
    assert quarantine.hello("b", hello(disk="d2"))


def test_who_does_not_know_our_new_disk_does_not_count() -> None:
    """It may still give a vote that completes a majority with one of our earlier self."""
    quarantine = Quarantine("a", "bc", "empty", "mine")
    quarantine.hello("b", hello(3))
    quarantine.hello("c", hello(3, disks={"a": "the one before"}))
    floors = [quarantine.floor]
    quarantine.hello("c", hello(4))
    assert [*floors, quarantine.floor] == [None, 4]
    assert quarantine.disks == {"b": "d1", "c": "d1"}
