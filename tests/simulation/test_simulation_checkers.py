"""Every checker bites: an honest history passes all of them, and a doctored one fails the one it should.

The honest history is that of a plan with two plain incidents and a restart; each test changes one fact.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
from msgspec.structs import replace
from simulation.channels import Receipt
from simulation.faults import parse
from simulation.history import Ack, History, Office
from simulation.replay import Replay
from simulation.verdict import CHECKERS, objections
from simulation.world import World

PLAN = """
seed 1
peers 3
8.00 fail web refuses for 12.00
9.00 rate-limit hook for 6.00 much 8
10.00 fail api refuses for 20.00
30.00 restart b for 1.00
"""


@pytest.fixture(scope="module")
def honest() -> History:
    """The history of the plan above."""
    return World(parse(PLAN)).run()


def doctored(history: History, **changes: Any) -> History:
    """The same history with some of its facts replaced."""
    other = copy.copy(history)
    for name, value in changes.items():
        setattr(other, name, value)
    return other


def who_objects(history: History) -> set[str]:
    """The names of the checkers that object."""
    return {objection.checker for objection in objections(history, Replay(history))}


def receipt_of(history: History, kind: str, channel: str) -> Receipt:
    """The first message of a kind on a channel."""
    return next(one for one in history.receipts if (one.kind, one.channel) == (kind, channel))


def test_an_honest_history_passes(honest: History) -> None:
    """No checker objects to it, and it holds what the other tests need."""
    assert who_objects(honest) == set()
    assert honest.asked
    assert receipt_of(honest, "resolved", "chat").service == "web"


def test_agreement_sees_two_entries_at_one_place(honest: History) -> None:
    """Another entry applied at a place of the log that is taken."""
    history = doctored(honest, clashes=[], log=dict(honest.log))
    history.applied("x1", 7, honest.log[8].entry, ok=True)
    assert "agreement" in who_objects(history)


def test_agreement_sees_two_states_at_one_place(honest: History) -> None:
    """Two peers with as many entries and different states."""
    finals = dict(honest.finals)
    finals["b"] = replace(finals["a"], shed=1)
    assert "agreement" in who_objects(doctored(honest, finals=finals))


def test_acknowledged_sees_a_write_that_is_gone(honest: History) -> None:
    """An answer for an entry that no log holds, and a peer that ends without one that was answered."""
    text = honest.acks[0].text.replace('"seq":', '"seq":90000')
    lost = doctored(honest, acks=[*honest.acks, Ack(at=1.0, life="a1", text=text)])
    assert who_objects(lost) == {"acknowledged"}
    behind = {**honest.finals, "c": replace(honest.finals["c"], entries=20)}
    assert "acknowledged" in who_objects(doctored(honest, finals=behind))


def test_restore_sees_another_state(honest: History) -> None:
    """All peers agree, and yet not with what the log says."""
    finals = {peer: replace(state, shed=7) for peer, state in honest.finals.items()}
    assert who_objects(doctored(honest, finals=finals)) == {"restore"}


def test_lease_sees_two_alerters(honest: History) -> None:
    """Two processes in office for a tenth of a second."""
    first = honest.offices[0]
    other = Office(life="x1", peer="x", since=first.until - 0.1, until=first.until + 5.0)
    assert who_objects(doctored(honest, offices=[*honest.offices, other])) == {"lease"}


def test_rights_sees_a_message_without_right(honest: History) -> None:
    """A first byte of a process without a claim, after the claim's time, and after the lease's."""
    let, *others = honest.lets
    alike = (replace(let, life="x1"), replace(let, boot=let.boot + 11.0), replace(let, is_after_office=True))
    for changed in alike:
        assert who_objects(doctored(honest, lets=[changed, *others])) == {"rights"}


def test_voice_sees_a_repeat(honest: History) -> None:
    """The same message again, with nothing that excuses it."""
    first = receipt_of(honest, "firing", "chat")
    again = replace(first, at=first.at + 1.0)
    place = honest.receipts.index(first) + 1
    receipts = [*honest.receipts[:place], again, *honest.receipts[place:]]
    assert who_objects(doctored(honest, receipts=receipts)) == {"voice"}


def test_order_sees_an_end_before_the_beginning(honest: History) -> None:
    """The resolved notice arrives first."""
    receipts = sorted(honest.receipts, key=lambda one: one.kind, reverse=True)
    assert "order" in who_objects(doctored(honest, receipts=receipts))


def test_silence_sees_what_was_never_told(honest: History) -> None:
    """Nobody heard the end of what they heard the beginning of."""
    receipts = [one for one in honest.receipts if one.kind != "resolved"]
    assert "silence" in who_objects(doctored(honest, receipts=receipts))


def test_alarms_sees_a_false_one(honest: History) -> None:
    """An incident of a service that was well all the time; and one in perfect calm."""
    well = [one for one in honest.truth if one[2] == "well"]
    assert "alarms" in who_objects(doctored(honest, truth=well))
    assert "alarms" in who_objects(doctored(honest, calm_service="cache"))


def test_detection_sees_what_took_too_long(honest: History) -> None:
    """The calm failure was earlier than it was found."""
    assert who_objects(doctored(honest, calm_at=honest.calm_at - 10.0)) == {"detection"}


def test_convergence_sees_what_is_not_at_rest(honest: History) -> None:
    """Two leaders, a peer without a session, and an incident that the truth does not bear out."""
    statuses = {**honest.statuses, "a": "leader of a, term 9", "b": "leader of b, term 9"}
    assert who_objects(doctored(honest, statuses=statuses)) == {"convergence"}
    conditions = {**honest.final_conditions, "cache": "refuses"}
    assert who_objects(doctored(honest, final_conditions=conditions)) == {"convergence"}


def test_manners_sees_haste(honest: History) -> None:
    """A channel asked for a minute, and was tried again after a few seconds."""
    asked = [(at, life, delivery, 60.0) for at, life, delivery, _ in honest.asked]
    assert who_objects(doctored(honest, asked=asked)) == {"manners"}


def test_sessions_sees_an_earlier_life(honest: History) -> None:
    """An entry with an effect whose process had no session."""
    number, applied = next(
        (number, one) for number, one in honest.log.items() if one.entry.boot == "b2" and one.entry.session
    )
    entry = replace(applied.entry, boot="b1")
    log = {**honest.log, number: replace(applied, entry=entry)}
    assert "sessions" in who_objects(doctored(honest, log=log))


def test_terms_sees_endless_elections(honest: History) -> None:
    """Far more terms than faults."""
    assert who_objects(doctored(honest, terms=500)) == {"terms"}


def test_resources_sees_a_heap(honest: History) -> None:
    """More timers than any peer needs."""
    assert who_objects(doctored(honest, peaks=honest.peaks + type(honest.peaks)(timers=10_000))) == {
        "resources"
    }


def test_surprises_sees_an_end_that_nobody_asked_for(honest: History) -> None:
    """An exception in the product, and a process that ended by itself."""
    assert who_objects(doctored(honest, problems=["1.00 a pass failed"])) == {"surprises"}
    lives = {**honest.lives, "b1": replace(honest.lives["b1"], how="ends with 1")}
    assert who_objects(doctored(honest, lives=lives)) == {"surprises"}


def test_every_checker_is_tried_here() -> None:
    """No checker is without a test of its own in this file."""
    tried = {name.removeprefix("test_").split("_sees_")[0] for name in globals() if "_sees_" in name}
    assert tried == set(CHECKERS)
