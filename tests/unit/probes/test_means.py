"""What this process lacks for looking, and for how long that counts."""

from __future__ import annotations

from watchtower.probes.pace.means import LACK_REMEMBERED_S, NAMES_REMEMBERED_S, Means


def test_a_lack_is_remembered_for_a_while() -> None:
    """The last reason given, until some seconds after the last look that failed for it."""
    means = Means()
    assert means.reason(0.0) == ""
    means.note_lack("no port", 1.0)
    means.note_lack("no descriptor", 2.0)
    assert means.reason(1.9 + LACK_REMEMBERED_S) == "no descriptor"
    assert means.reason(2.0 + LACK_REMEMBERED_S) == ""


def test_one_silent_name_is_its_own_trouble_and_several_are_the_resolvers() -> None:
    """Two names without an answer, and none with one, speak against the resolver."""
    means = Means()
    means.note_resolved("a.example", 0.0, answered=False)
    means.note_resolved("a.example", 1.0, answered=False)
    assert means.reason(1.0) == ""
    means.note_resolved("b.example", 2.0, answered=False)
    assert means.reason(2.0) == "its resolver answers for no name"


def test_any_answer_speaks_for_the_resolver() -> None:
    """That there is no such name is an answer as well."""
    means = Means()
    for name in ("a.example", "b.example", "c.example"):
        means.note_resolved(name, 0.0, answered=False)
    means.note_resolved("d.example", 1.0, answered=True)
    assert means.reason(1.0) == ""
    means.note_resolved("a.example", 2.0, answered=False)
    assert means.reason(2.0) == ""


def test_names_that_are_asked_for_no_more_are_forgotten() -> None:
    """A doubt must not outlive the looks that raised it."""
    means = Means()
    means.note_resolved("a.example", 0.0, answered=False)
    means.note_resolved("b.example", 0.0, answered=False)
    assert means.reason(NAMES_REMEMBERED_S - 0.1)
    assert means.reason(NAMES_REMEMBERED_S) == ""
