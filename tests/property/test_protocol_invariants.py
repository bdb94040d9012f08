"""The protocol's invariants over random walks of the real apply and decide, and the rules they rest on.

The first tests walk the full protocol and must find nothing. Every other test switches one rule off and must
find a violation: a walk that cannot see a missing rule proves nothing about the rule. Walks are repeated
by their seed; `support.protocol_walk` says what the world is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from support.protocol_walk import FAULTS, Finding, search

from watchtower.core import commands as c
from watchtower.core import incidents, ledger, outbox
from watchtower.core.commands import Answer, Entry
from watchtower.core.model import Doubt, NoticeKind, Notification, Outcome, PeerRow, Stage, State

WALKS = 1200
HUNT = 3000
STORMY = {**FAULTS, "expire": 15, "fault": 15, "lease": 15, "crash": 2}
"""Few crashes, many claims that run out and answers that are lost."""

Effect = Callable[[State, Entry, Any], tuple[State, Answer]]


def told(finding: Finding | None) -> str:
    """A finding with the last steps that led to it."""
    if finding is None:
        return ""
    seed, broken, steps = finding
    return "\n".join([f"seed {seed}: {broken}", *steps[-60:]])


@pytest.mark.parametrize("faults", [FAULTS, STORMY], ids=["all faults", "stormy"])
def test_the_full_protocol(faults: dict[str, int]) -> None:
    """No walk breaks an invariant, and every walk comes to rest once the faults stop."""
    healed: Counter[bool] = Counter()
    finding = search(WALKS, faults=faults, on_healed=lambda is_healed: healed.update([is_healed]))
    assert finding is None, told(finding)
    assert healed == {True: WALKS}


def test_without_faults_nothing_is_repeated_or_doubted() -> None:
    """With opinions that change and nothing else, every walk keeps the invariants too."""
    finding = search(WALKS // 3, faults={**dict.fromkeys(FAULTS, 0), "flip": 20, "lease": 3})
    assert finding is None, told(finding)


@pytest.mark.full
def test_the_full_protocol_for_longer() -> None:
    """The same over twenty thousand other walks."""
    finding = search(20_000, first_seed=1_000_000) or search(20_000, faults=STORMY, first_seed=2_000_000)
    assert finding is None, told(finding)


# ---- rules of the sender, switched off


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("fence", {"sent after its claim ran out"}),
        ("wait", {"a repeat outside the window", "out of order"}),
        ("match_claim", {"sent after its claim ran out", "a repeat outside the window"}),
    ],
)
def test_a_sender_without_a_rule_is_caught(rule: str, expected: set[str]) -> None:
    """Without the fence, without waiting for a rival's claim, or with a claim mistaken for one's own."""
    finding = search(HUNT, faults=STORMY, switches={rule})
    assert finding is not None, f"without {rule} nothing was found"
    assert finding[1] in expected


# ---- rules of the ledger, switched off


def without_lanes(patch: pytest.MonkeyPatch) -> None:
    """Hole 7: an item may be claimed before an older one of its lane is finished."""
    patch.setattr(outbox, "head_of_lane", lambda _state, _item: True)


def with_doubt_that_fades(patch: pytest.MonkeyPatch) -> None:
    """Hole 10: a negative answer clears the doubt of an earlier attempt."""
    real = outbox._not_accepted

    def faded(item: Notification, outcome: Outcome) -> Notification:
        settled = real(item, outcome)
        return replace(settled, doubt=Doubt.NO) if settled.stage is Stage.PENDING else settled

    patch.setattr(outbox, "_not_accepted", faded)


def with_negatives_of_anybody(patch: pytest.MonkeyPatch) -> None:
    """Hole 12: a negative outcome counts although the claim is another's by now."""

    def settle(state: State, entry: Entry, command: c.Settle) -> tuple[State, Answer]:
        item = state.notifications.get(command.id)
        if item is not None and command.outcome is not Outcome.ACCEPTED:
            command = replace(command, attempt=item.attempt)
            entry = replace(entry, by=item.owner, session=item.session)
        return outbox.settle(state, entry, command)

    patch.setitem(ledger._EFFECTS, c.Settle, settle)


def with_a_close_that_does_not_look(patch: pytest.MonkeyPatch) -> None:
    """Hole 11: closing tells the end only where the beginning is known to be delivered."""

    def has_left(item: Notification) -> bool:
        return item.kind is not NoticeKind.RESOLVED and item.stage is Stage.DELIVERED

    patch.setattr(outbox, "_has_left", has_left)


def without_sessions(patch: pytest.MonkeyPatch) -> None:
    """Hole 9: what an earlier life of a peer proposed still counts."""
    patch.setattr(ledger, "_proposer_refusal", lambda _state, _entry: "")


def with_votes_that_survive_a_restart(patch: pytest.MonkeyPatch) -> None:
    """Hole 9: a join leaves the votes of the earlier life."""

    def join(state: State, entry: Entry, command: c.Join) -> tuple[State, Answer]:
        old: PeerRow = state.row(entry.by)
        after, answer = ledger._join(state, entry, command)
        row = replace(after.row(entry.by), votes=old.votes, config_hash=old.config_hash)
        return (replace(after, peers={**after.peers, entry.by: row}) if answer.ok else after), answer

    patch.setitem(ledger._EFFECTS, c.Join, join)


def with_reports_in_any_order(patch: pytest.MonkeyPatch) -> None:
    """Hole 9: a report counts whatever its sequence number says."""

    def report(state: State, entry: Entry, command: c.Report) -> tuple[State, Answer]:
        current = replace(command, seq=state.row(entry.by).report_seq, full=True)
        before = state.row(entry.by)
        after, answer = ledger._report(state, entry, current)
        # Applying it twice must stay once, or that alone would be found.
        is_same = replace(after.row(entry.by), report_seq=0) == replace(before, report_seq=0)
        return (state, Answer(ok=False, reason="the same again")) if is_same else (after, answer)

    patch.setitem(ledger._EFFECTS, c.Report, report)


def without_revisions(patch: pytest.MonkeyPatch) -> None:
    """Hole 6: a transition is not compared with the votes it was decided on."""
    for kind, effect in ((c.Open, ledger._open), (c.Close, ledger._close)):

        def any_rev(state: State, entry: Entry, command: Any, effect: Effect = effect) -> tuple[State, Answer]:
            return effect(state, entry, replace(command, rev=state.rev(command.service)))

        patch.setitem(ledger._EFFECTS, kind, any_rev)


def without_incident_numbers(patch: pytest.MonkeyPatch) -> None:
    """Hole 6: an open is not compared with the incident it was decided on."""

    def open_again(state: State, entry: Entry, command: c.Open) -> tuple[State, Answer]:
        refusal = ledger._office_refusal(state, entry, command.epoch)
        is_current = command.rev == state.rev(command.service) and command.gen == state.config.gen
        # An open that is applied twice in a row would be found as such; this finds the second open.
        if refusal or not is_current or state.incidents.get(state.last_incident, None) is None:
            return ledger._open(state, entry, command)
        return incidents.opened(state, command), Answer(ok=True)

    patch.setitem(ledger._EFFECTS, c.Open, open_again)


def with_votes_of_any_config(patch: pytest.MonkeyPatch) -> None:
    """A change of the config in force leaves the revisions, so that decisions under the old one still count."""

    def activate(state: State, entry: Entry, command: c.Activate) -> tuple[State, Answer]:
        after, answer = ledger._activate(state, entry, command)
        config = replace(after.config, gen=0)
        return (replace(after, rev_base=state.rev_base, config=config) if answer.ok else after), answer

    patch.setitem(ledger._EFFECTS, c.Activate, activate)


def with_a_transition_of_any_epoch(patch: pytest.MonkeyPatch) -> None:
    """Whoever believes to hold the office may close and open."""
    patch.setattr(ledger, "_office_refusal", lambda _state, _entry, _epoch: "")


def without_looking_again(patch: pytest.MonkeyPatch) -> None:
    """Hole 11: what a close left behind is not looked at again when an attempt is settled."""
    patch.setattr(outbox, "tidy", lambda state: state)


MUTANTS: list[tuple[Callable[[pytest.MonkeyPatch], None], set[str]]] = [
    (without_lanes, {"out of order"}),
    (with_doubt_that_fades, {"at rest: announced, closed, and no resolved notice", "cancelled, yet it had been sent"}),
    (with_negatives_of_anybody, {"at rest: announced, closed, and no resolved notice", "cancelled, yet it had been sent", "a repeat outside the window"}),
    (with_a_close_that_does_not_look, {"at rest: announced, closed, and no resolved notice"}),
    (without_sessions, {"a vote of an earlier boot counts"}),
    (with_votes_that_survive_a_restart, {"a vote of an earlier boot counts"}),
    (with_reports_in_any_order, {"an older report replaced a newer one"}),
    (without_revisions, {"opened without a majority of current votes", "closed without a majority of current votes"}),
    (without_incident_numbers, {"opened twice", "applied twice is not applied once"}),
]  # fmt: skip


@pytest.mark.parametrize(("mutate", "expected"), MUTANTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_ledger_without_a_rule_is_caught(
    mutate: Callable[[pytest.MonkeyPatch], None], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rule of the ledger that is switched off breaks an invariant within the bounds."""
    mutate(monkeypatch)
    finding = search(HUNT) or search(HUNT, faults=STORMY)
    assert finding is not None, f"{mutate.__name__}: nothing was found"
    assert finding[1] in expected, told(finding)
