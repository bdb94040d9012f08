"""The ledger under arbitrary sequences of entries: what holds for every log, not only for sensible ones.

Sequences mix wild entries (any fields) with plausible ones (right fences, one flaw now and then), and
start in an empty ledger or in a running cluster.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_strategies import Deed, deeds, entry_of, wild_entries
from support.core_support import Book, unchanged

from watchtower.core import ledger
from watchtower.core.applying import outbox
from watchtower.core.commands import Entry, decode, encode
from watchtower.core.model import Stage, State

RUNNING = Book().state
steps = st.lists(st.one_of(*[deeds] * 12, wild_entries), max_size=80) | st.lists(
    deeds, min_size=40, max_size=100
)
starts = st.sampled_from((State(), RUNNING, RUNNING, RUNNING))


def entry_for(state: State, step: Deed | Entry) -> Entry:
    """The entry a step puts into the log."""
    return entry_of(state, step) if isinstance(step, Deed) else step


def log_of(state: State, plan: list[Deed | Entry]) -> list[Entry]:
    """The log that a plan makes."""
    log = []
    for step in plan:
        entry = entry_for(state, step)
        log.append(entry)
        state, _ = ledger.apply(state, entry)
    return log


def raw(state: State) -> bytes:
    """The state as a snapshot holds it."""
    return msgspec.json.encode(state)


@given(starts, steps, st.sampled_from((2, outbox.UNFINISHED_MAX)))
def test_apply_is_total_and_refusals_change_nothing(
    start: State, plan: list[Deed | Entry], room: int
) -> None:
    """No entry raises, a refused one is only counted, and applying twice is applying once: full or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "UNFINISHED_MAX", room)
        _check_apply(start, plan)


def _check_apply(state: State, plan: list[Deed | Entry]) -> None:
    for step in plan:
        entry = entry_for(state, step)
        before, bytes_before = state, raw(state)
        state, answer = ledger.apply(before, entry)
        assert raw(before) == bytes_before, "apply changed the state it was given"
        if not answer.ok:
            assert unchanged(before, state)
            assert answer.reason
        assert state.entries == before.entries + 1
        twice, _ = ledger.apply(state, entry)
        assert unchanged(state, twice)


@given(starts, steps)
def test_what_never_goes_back(start: State, plan: list[Deed | Entry]) -> None:
    """Revisions, sessions, epochs, generations and numbers only grow; what is finished stays so."""
    state = start
    for step in plan:
        before = state
        state, _ = ledger.apply(before, entry_for(before, step))
        names = ("web", "api", "peer/b", "never named", *before.services)
        assert all(state.rev(name) >= before.rev(name) for name in names)
        assert all(
            state.row(peer).session >= row.session
            for peer, row in before.peers.items()
            if peer in state.members
        )
        assert all(
            row.session > before.session_base for peer, row in state.peers.items() if peer not in before.peers
        )
        assert len(set(before.members) ^ set(state.members)) <= 1 or not before.cluster
        numbers = ("last_incident", "last_order", "rev_base", "shed", "gate", "members_gen", "session_base")
        for field in numbers:
            assert getattr(state, field) >= getattr(before, field)
        assert (state.lease.epoch, state.lease.renewals) >= (before.lease.epoch, before.lease.renewals)
        assert state.config.gen >= before.config.gen
        _check_finished(before, state)


def _check_finished(before: State, after: State) -> None:
    for item in before.notifications.values():
        now = after.notifications.get(item.id)
        if not item.stage.finished or now is None:
            continue
        is_late_news = (item.stage, now.stage) == (Stage.SUPERSEDED, Stage.DELIVERED)
        # What a digest was to tell may still be withdrawn while that has certainly told nobody.
        is_withdrawn = (item.stage, now.stage) == (Stage.DIGESTED, Stage.CANCELLED)
        assert now == item or is_late_news or (is_withdrawn and outbox.never_left(before, item))


@given(starts, steps)
def test_what_always_holds(start: State, plan: list[Deed | Entry]) -> None:
    """At every index: one claim per lane, one open incident per service, unique orders, consistent rows."""
    state = start
    for step in plan:
        state, _ = ledger.apply(state, entry_for(state, step))
        claimed = [item.lane for item in state.notifications.values() if item.stage is Stage.CLAIMED]
        assert len(claimed) == len(set(claimed))
        orders = [item.order for item in state.notifications.values()]
        assert len(orders) == len(set(orders))
        assert all(0 < order <= state.last_order for order in orders)
        opened = {
            incident.service: number for number, incident in state.incidents.items() if incident.is_open
        }
        assert opened == {name: row.incident for name, row in state.services.items() if row.open}
        assert all(number <= state.last_incident for number in state.incidents)
        assert all(
            item.incident in state.incidents or item.stage.finished or not item.kind.is_of_incident
            for item in state.notifications.values()
        )


@given(starts, steps)
def test_replay_is_byte_identical(start: State, plan: list[Deed | Entry]) -> None:
    """The same log through its wire form gives the same bytes on every peer."""
    log = log_of(start, plan)
    wire = [encode(entry) for entry in log]
    assert [decode(text) for text in wire] == log
    lived, replayed = start, start
    for entry, text in zip(log, wire, strict=True):
        lived, _ = ledger.apply(lived, entry)
        replayed, _ = ledger.apply(replayed, decode(text))
    assert raw(lived) == raw(replayed)


@given(starts, steps, st.integers(0, 60))
@settings(max_examples=60)
def test_a_restored_peer_goes_on_equally(start: State, plan: list[Deed | Entry], at: int) -> None:
    """A state that went through a snapshot, its rows in any order, develops as the one that lived."""
    lived = restored = start
    for index, entry in enumerate(log_of(start, plan)):
        if index == at:
            assert msgspec.json.decode(raw(lived), type=State) == lived
            restored = _turned(lived)
        lived, one = ledger.apply(lived, entry)
        restored, other = ledger.apply(restored, entry)
        assert (restored, other) == (lived, one)


def _turned(state: State) -> State:
    """The state as restored by a codec that does not keep the order of rows."""
    restored = msgspec.json.decode(raw(state), type=State)
    turned = {
        name: dict(reversed(getattr(restored, name).items()))
        for name in ("peers", "services", "incidents", "notifications", "beats")
    }
    return replace(restored, **turned)


@given(st.lists(wild_entries, max_size=5))
def test_the_wire_form_round_trips(entries: list[Entry]) -> None:
    """Every entry that can be built is decoded to itself, and to the same bytes again."""
    for entry in entries:
        assert decode(encode(entry)) == entry
        assert encode(decode(encode(entry))) == encode(entry)
