"""The judge of the long runs on small made-up runs: it finds what is wrong and passes what is right."""

from __future__ import annotations

import pytest
from support.arrivals import Arrival
from support.judging import EVERYBODY, Fault, Judge, Judgement
from support.outages import Outage

CHANNELS = ("hook",)
DOWN = Outage("s1", began_wall=100.0, lasts_s=10.0, is_short=False, ended_wall=110.0)


def told(at_wall: float, kind: str = "firing", **other: object) -> Arrival:
    """One message about incident 1 of s1, sent by a, unless something else is said."""
    fields: dict[str, object] = {
        "id": kind,
        "service": "s1",
        "incident": 1,
        "attempt": 1,
        "peer": "a",
        **other,
    }
    return Arrival(channel="hook", at_wall=at_wall, kind=kind, **fields)  # type: ignore[arg-type] # checked by the dataclass


def judged(*arrivals: Arrival, faults: tuple[Fault, ...] = ()) -> Judgement:
    """The judgement over one outage."""
    return Judge([DOWN], list(arrivals), list(faults)).judge(CHANNELS)


FIRING, RESOLVED = told(102.0), told(112.0, "resolved")


def test_a_run_in_which_all_is_well_has_no_violation() -> None:
    """Told in time, told as over, nothing else."""
    judgement = judged(FIRING, RESOLVED)
    assert judgement.violations == []
    assert judgement.row("none").told_s == [2.0]
    assert judgement.row("none").late_s == [0.0]


@pytest.mark.parametrize(
    ("arrivals", "words"),
    [
        ((), "lost: s1 was down from 100.0"),
        ((FIRING,), "lost: hook never told that incident 1"),
        ((FIRING, told(103.0), RESOLVED), "unmarked repeat"),
        ((FIRING, told(103.0, may_repeat=True), RESOLVED), "repeat outside the window"),
        ((FIRING, told(103.0, id="x"), RESOLVED), "told under two ids"),
        ((FIRING, RESOLVED, told(113.0, may_repeat=True)), "out of order: hook: firing 1"),
        ((RESOLVED, told(113.0), told(114.0, "resolved", id="y")), "which nobody had been told of"),
        ((FIRING, RESOLVED, told(200.0, id="z", incident=2)), "false alarm"),
    ],
)
def test_what_is_wrong_is_found(arrivals: tuple[Arrival, ...], words: str) -> None:
    """Each kind of violation is told in words."""
    assert any(words in said for said in judged(*arrivals).violations), judged(*arrivals).violations


def test_a_marked_repeat_is_allowed_in_its_window_alone() -> None:
    """The sender was killed between accept and commit: counted as marked, and no violation."""
    repeated = (FIRING, told(118.0, attempt=2, peer="b", may_repeat=True), told(119.0, "resolved"))
    for peers, expected in (("a", []), (EVERYBODY, []), ("c", ["repeat outside the window"])):
        fault = Fault("kill -9 while sending", (peers,), 102.1, 108.0)
        judgement = judged(*repeated, faults=(fault,))
        assert [said.partition(":")[0] for said in judgement.violations] == expected
    assert judged(*repeated, faults=(Fault("kill", ("a",), 102.1, 108.0),)).row("kill").repeats["hook"] == [
        1,
        0,
    ]


def test_who_is_cut_off_may_speak_until_its_lease_has_run_out() -> None:
    """3.5 s after the cut nothing of the sender may arrive; of others it may."""
    fault = Fault("cut off while sending", ("a",), 101.0, 120.0)
    assert judged(told(104.4), RESOLVED, faults=(fault,)).violations == [
        "a, cut off, said resolved of s1 after 11.0 s"
    ]
    others = (told(104.6, peer="b"), told(112.0, "resolved", peer="c"))
    assert judged(*others, faults=(fault,)).violations == []


def test_a_planned_restart_is_nobodys_business() -> None:
    """A message about a peer during it is needless; one about a service that is down is not."""
    fault = Fault("planned restart in turn", (), 99.0, 130.0)
    about_peer = (
        told(104.0, id="p", service="peer/a", incident=2),
        told(108.0, "resolved", id="q", service="peer/a", incident=2),
    )
    needless = judged(FIRING, RESOLVED, *about_peer, faults=(fault,)).violations
    assert [said.partition(":")[0] for said in needless] == ["needless", "needless"]
    assert judged(FIRING, RESOLVED, faults=(fault,)).violations == []


@pytest.mark.parametrize(
    ("arrival", "late_s", "in_flight_s"),
    [
        (told(105.5), [3.0], []),
        (told(117.0, attempt=2), [], [15.9]),
        (told(117.0), [14.5], []),
    ],
)
def test_delays_count_from_when_it_could_be_told(
    arrival: Arrival, late_s: list[float], in_flight_s: list[float]
) -> None:
    """Late is over detection or, when that is later, over the kill; what was claimed is counted apart."""
    fault = Fault("kill -9 of the alerter", ("a",), 101.1, 108.0)
    row = judged(arrival, told(118.0, "resolved"), faults=(fault,)).row("kill -9 of the alerter")
    assert row.late_s == pytest.approx(late_s)
    assert row.in_flight_s == pytest.approx(in_flight_s)
