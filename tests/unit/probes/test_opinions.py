"""One service's looks in a row: what settles, what is only suspected, and how soon to look again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_support import service
from support.watching import DEGRADED, DOWN, UNKNOWN, UP, result

from watchtower.core.model import Kind, Opinion
from watchtower.core.settings import Confirm, Recover
from watchtower.probes.weighing.opinions import Track

LETTERS = {"u": UP, "g": DEGRADED, "d": DOWN, "?": UNKNOWN}
CONFIRM = Confirm(failures=2, recheck_s=1.0)
RECOVER = Recover(successes=2, recheck_s=3.0)


def track(looks: str, confirm: Confirm = CONFIRM, recover: Recover = RECOVER) -> tuple[Track, float | None]:
    """A track that has seen `looks`, ten seconds apart, and its wish after the last."""
    made = Track(service("web", confirm=confirm, recover=recover, interval_s=10.0, timeout_s=5.0), 0.0)
    wish = None
    for number, letter in enumerate(looks, 1):
        at_boot = 10.0 * number
        wish = made.take(result("web", LETTERS[letter], at_boot=at_boot), at_boot)
    return made, wish


@pytest.mark.parametrize(
    ("looks", "opinion", "suspect", "recheck_s"),
    [
        ("", UNKNOWN, False, None),
        ("u", UP, False, None),
        ("d", UNKNOWN, True, 1.0),
        ("dd", DOWN, False, None),
        ("du", UP, False, None),
        ("g", UNKNOWN, True, 1.0),
        ("gg", DEGRADED, False, None),
        ("ud", UP, True, 1.0),
        ("udd", DOWN, False, None),
        ("udu", UP, False, None),
        ("udud", UP, True, 1.0),
        ("ug", UP, True, 1.0),
        ("ugg", DEGRADED, False, None),
        ("ugd", DEGRADED, True, 1.0),
        ("ugdd", DOWN, False, None),
        ("uggd", DEGRADED, True, 1.0),
        ("uggdd", DOWN, False, None),
        ("uggu", DEGRADED, True, 3.0),
        ("ugguu", UP, False, None),
        ("uddu", DOWN, True, 3.0),
        ("udduu", UP, False, None),
        ("uddud", DOWN, False, None),
        ("uddudu", DOWN, True, 3.0),
        ("uddg", DOWN, True, 3.0),
        ("uddgg", DEGRADED, False, None),
        ("uddgu", DEGRADED, True, 3.0),
        ("uddguu", UP, False, None),
        ("?", UNKNOWN, False, None),
        ("u?", UP, False, None),
        ("ud?d", DOWN, False, None),
        ("u??", UP, False, None),
    ],
)
def test_runs_of_looks_settle_opinions(
    looks: str, opinion: Opinion, suspect: bool, recheck_s: float | None
) -> None:
    """Each step up or down needs its own run; a look that told nothing changes nothing."""
    made, wish = track(looks)
    vote = made.vote(10.0 * len(looks))
    assert (vote.opinion, vote.suspect, wish) == (opinion, suspect, recheck_s)


@pytest.mark.parametrize(
    ("looks", "failures", "successes", "opinion"),
    [("ud", 1, 1, DOWN), ("udu", 1, 1, UP), ("udd", 3, 1, UP), ("uddd", 3, 1, DOWN), ("udduu", 2, 3, DOWN)],
)
def test_the_lengths_are_configured(looks: str, failures: int, successes: int, opinion: Opinion) -> None:
    """`confirm.failures` and `recover.successes` are what a run is measured by."""
    made, _ = track(looks, Confirm(failures=failures), Recover(successes=successes))
    assert made.opinion is opinion


def test_a_vote_tells_since_when_and_why() -> None:
    """A down vote dates from the first failed look of its run and carries the look that settled it."""
    made, _ = track("uudd")
    vote = made.vote(40.0)
    assert vote.since_wall == result("web", DOWN, at_boot=30.0).at_wall
    assert (vote.kind, vote.text, vote.latency_ms) == (Kind.REFUSED, "seen down", 12.3)


def test_a_single_good_look_does_not_renew_an_outage() -> None:
    """Down, one good look, down again: the outage began where it began."""
    before, after = track("udd")[0].vote(30.0), track("uddud")[0].vote(50.0)
    assert before.since_wall == after.since_wall


def test_evidence_follows_the_kind_and_not_the_wording() -> None:
    """Another reason for the same opinion is new evidence; another latency is not."""
    made, _ = track("udd")
    made.take(result("web", DOWN, text="refused again"), 40.0)
    assert made.vote(40.0).text == "seen down"
    made.take(result("web", DOWN, kind=Kind.TIMEOUT, text="timeout"), 50.0)
    assert (made.vote(50.0).kind, made.vote(50.0).text) == (Kind.TIMEOUT, "timeout")


def test_an_opinion_without_looks_fades() -> None:
    """When no look has told anything for three intervals, the opinion is unknown and says why."""
    made, _ = track("u")
    made.take(result("web", UNKNOWN, text="no free file descriptor"), 20.0)
    assert made.vote(10.0 + 35.0).opinion is UP
    faded = made.vote(10.0 + 36.0)
    assert (faded.opinion, faded.kind) == (UNKNOWN, Kind.INCONCLUSIVE)
    assert faded.text == "no look for 36 s: no free file descriptor"


@given(st.text(alphabet="ugd?", max_size=30), st.integers(1, 4), st.integers(1, 4))
def test_no_opinion_without_a_run_behind_it(looks: str, failures: int, successes: int) -> None:
    """Whatever comes: a settled opinion that changes with a look has a full run of looks behind it."""
    confirm, recover = Confirm(failures=failures), Recover(successes=successes)
    seen = looks.replace("?", "")
    before, after = track(looks[:-1], confirm, recover)[0].opinion, track(looks, confirm, recover)[0].opinion
    if not seen or before is after:
        return
    if after is DOWN:
        assert seen.endswith("d" * failures)
    elif after is UP:
        assert seen.endswith("u" * (successes if before is not UNKNOWN else 1))
    elif before is DOWN:
        assert not set("d") & set(seen[-successes:])
    else:
        assert not set("u") & set(seen[-failures:])


@pytest.mark.parametrize(
    ("looks", "usual_ms", "suspect"),
    [("u", 12.0, True), ("u", 700.0, False), ("", 12.0, False), ("udd", 12.0, False)],
    ids=["up", "always slow", "never seen", "known to be down"],
)
def test_a_look_without_an_answer_is_suspect_before_it_has_failed(
    looks: str, usual_ms: float, suspect: bool
) -> None:
    """Only what was up and answered sooner; the opinion stays, and the end of the look ends it."""
    made, _ = track("")
    for letter in looks:
        made.take(replace(result("web", LETTERS[letter]), duration_ms=usual_ms), 0.5)
    before = made.vote(1.0).opinion
    made.note_unanswered(1.0)
    vote = made.vote(1.0)
    assert (vote.opinion, vote.suspect, made.is_plain) == (before, suspect, looks == "u" and not suspect)
    assert ("no answer yet after 1.0 s" in vote.text) is suspect
    made.take(result("web", UP), 1.5)
    assert "no answer" not in made.vote(1.5).text
