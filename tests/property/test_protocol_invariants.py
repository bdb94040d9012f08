"""The protocol's invariants over random walks of the real code, and the rules they rest on.

The first tests walk the full protocol and must find nothing. Every other test switches one rule off and must
find a violation: a walk that cannot see a missing rule proves nothing about the rule. Walks are repeated
by their seed; `support.protocol_walk`, `lease_walk` and `sender_walk` say what their worlds are.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support import lease_walk, sender_walk
from support.policy_mutants import EVERY, QUARRELSOME
from support.protocol_peers import FAULTS
from support.protocol_walk import Finding, search
from support.rule_mutants import STORMY, RuleMutant

WALKS = 1200
"""Walks of leases."""
PROTOCOL_WALKS = 500
HUNT = 3000
pytestmark = pytest.mark.timeout(240)
"""A walk over the whole protocol takes tens of milliseconds, and some rules are missed by one in hundreds."""


def told(finding: Finding | None) -> str:
    """A finding with the last steps that led to it."""
    if finding is None:
        return ""
    seed, broken, steps = finding
    return "\n".join([f"seed {seed}: {broken}", *steps[-60:]])


@pytest.mark.parametrize("faults", [FAULTS, STORMY], ids=["all faults", "stormy"])
def test_the_full_protocol(faults: dict[str, int]) -> None:
    """No walk breaks an invariant, and every walk comes to rest once the faults stop."""
    finding = search(PROTOCOL_WALKS, faults=faults)
    assert finding is None, told(finding)


def test_the_full_protocol_in_storms() -> None:
    """The same where whatever waits for a busy channel becomes a digest, and much is said and unsaid."""
    finding = search(PROTOCOL_WALKS, faults=QUARRELSOME, switches={"storms"}, first_seed=10_000)
    assert finding is None, told(finding)


def test_without_faults_nothing_is_repeated_or_doubted() -> None:
    """With opinions that change and nothing else, every walk keeps the invariants too."""
    finding = search(PROTOCOL_WALKS // 2, faults={**dict.fromkeys(FAULTS, 0), "flip": 20, "lease": 3})
    assert finding is None, told(finding)


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_full_protocol_for_longer() -> None:
    """The same over twenty thousand other walks."""
    finding = search(20_000, first_seed=1_000_000) or search(20_000, faults=STORMY, first_seed=2_000_000)
    assert finding is None, told(finding)


# ---- rules of the walk's own sender, switched off


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("fence", {"sent after its claim ran out"}),
        ("wait", {"a repeat outside the window", "out of order"}),
        ("match_claim", {"a repeat outside the window", "does not come to rest"}),
    ],
)
def test_a_sender_without_a_rule_is_caught(rule: str, expected: set[str]) -> None:
    """Without the fence, without waiting for a rival's claim, or with a claim mistaken for one's own."""
    finding = search(HUNT, faults=STORMY, switches={rule})
    assert finding is not None, f"without {rule} nothing was found"
    assert finding[1] in expected


# ---- rules of the real ledger, Lease and Sender, switched off


def test_nobody_meets_another_in_office() -> None:
    """With clocks as wrong as the leases are told, no schedule puts two peers in office at one instant."""
    assert lease_walk.search(WALKS) is None


def test_nothing_arrives_that_should_not() -> None:
    """No schedule of real Senders repeats, reorders or sends late outside the window of the protocol."""
    assert sender_walk.search(200) is None


def test_the_schedules_are_eventful() -> None:
    """A walk in which nothing happens proves nothing: offices change, claims are taken over, mail arrives."""
    epochs = arrivals = takeovers = 0
    for seed in range(20):
        contest = lease_walk.World(seed)
        for _ in range(400):
            contest.turn()
        epochs += contest.states[-1].lease.epoch
        courier = sender_walk.World(seed)
        courier.walk(500)
        arrivals += len(courier.arrived)
        takeovers += sum(item.attempt > 1 for item in courier.head.notifications.values())
    assert epochs > 60
    assert arrivals > 100
    assert takeovers > 50


@pytest.mark.parametrize("mutant", EVERY, ids=lambda mutant: mutant.name.replace(" ", "_"))
def test_a_rule_that_is_switched_off_is_noticed(mutant: RuleMutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rule of the protocol's model, taken out of the code that runs, breaks an invariant."""
    mutant.apply(monkeypatch)
    assert mutant.hunt() is not None, f"{mutant.name}: nothing was found"


def test_the_table_names_every_rule() -> None:
    """README.md beside this file lists each mutant with the rule of the model that it stands for."""
    table = (Path(__file__).parent / "README.md").read_text()
    listed = re.findall(r"^\| `([^`]+)` \| ([^|]+?) \|", table, re.MULTILINE)
    assert listed == [(mutant.model_rule, mutant.name) for mutant in EVERY]
