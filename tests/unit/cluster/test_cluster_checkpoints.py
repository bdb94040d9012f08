"""Hashes of the state: equal for equal states however they came about, made every so many entries."""

from __future__ import annotations

import msgspec
import pytest
from support.core_support import Book

from watchtower.cluster import replica as replicas
from watchtower.cluster.replica import CHECK_EVERY, Replica, hash_of
from watchtower.core.commands import BeatSeen, encode
from watchtower.core.model import Incident, Level, State


def state(*names: str) -> State:
    """A state with an incident of each service, written in this order."""
    incidents = {
        number: Incident(
            number=number, service=name, level=Level.DOWN, reason="", since_wall=1.0, opened_wall=1.0
        )
        for number, name in ((int(name), name) for name in names)
    }
    return State(incidents=incidents)


def test_equal_states_have_equal_hashes_whatever_their_order() -> None:
    """A snapshot need not hold a mapping in the order in which it was made."""
    assert hash_of(state("2", "10", "1")) == hash_of(state("1", "2", "10"))
    assert hash_of(state("1", "2")) != hash_of(state("1", "3"))
    restored = msgspec.json.decode(msgspec.json.encode(state("2", "1")), type=State)
    assert hash_of(restored) == hash_of(state("1", "2"))


def applied(replica: Replica, entries: int) -> None:
    """Let the replica apply so many entries."""
    book = Book()
    for _ in range(entries):
        replica.apply_entry(encode(book.entry("a", BeatSeen(service="job", at_wall=1.0))), _doApply=True)


def test_a_checkpoint_is_made_every_so_many_entries() -> None:
    """Between two of them the older one stands."""
    early, late = Replica(), Replica()
    applied(early, CHECK_EVERY - 1)
    applied(late, 2 * CHECK_EVERY - 1)
    assert early.checkpoint is None
    assert late.checkpoint is not None
    assert late.checkpoint.entries == CHECK_EVERY


def test_a_state_that_cannot_be_hashed_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying goes on; the failure is counted."""

    def broken(_: State) -> str:
        raise TypeError("planned")

    monkeypatch.setattr(replicas, "hash_of", broken)
    replica = Replica()
    applied(replica, CHECK_EVERY + 1)
    assert (replica.failures, replica.state.entries, replica.checkpoint) == (1, CHECK_EVERY + 1, None)
