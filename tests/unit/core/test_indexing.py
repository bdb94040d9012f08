"""Many rows of matchers at once: whatever fits one by one is found, and in what time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchtower.core.alerting import matching
from watchtower.core.alerting.indexing import Index
from watchtower.core.alerting.matching import fits
from watchtower.core.policies import Matcher

LABELS = st.sampled_from(["service", "team"])
MATCHERS = st.builds(
    Matcher,
    label=LABELS,
    patterns=st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=3).map(tuple),
    is_not=st.booleans(),
)
ROWS = st.lists(st.lists(MATCHERS, max_size=3).map(tuple), max_size=8)
FACTS = st.dictionaries(LABELS, st.text("ab", max_size=4))


@given(rows=ROWS, facts=st.lists(FACTS, max_size=4))
def test_what_fits_is_found_and_nothing_else(
    rows: list[tuple[Matcher, ...]], facts: list[dict[str, str]]
) -> None:
    """As if each were tried."""
    index = Index(rows)
    for found in facts:
        assert index.fitting(found) == [place for place, row in enumerate(rows) if fits(row, found)]


def test_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five hundred services by name, by a beginning or by an end: those that may fit."""
    rows = [
        (Matcher(label="service", patterns=(text.format(number),)),)
        for number in range(100, 266)
        for text in ("shop-{}", "web-{}-*", "*-{}-db")
    ]
    tried: list[object] = []

    def counted(row: tuple[Matcher, ...], found: dict[str, str]) -> bool:
        tried.append(row)
        return fits(row, found)

    monkeypatch.setattr(matching, "fits", counted)
    index = Index(rows)
    for name in ("shop-123", "web-123-x", "x-123-db", "other"):
        assert len(index.fitting({"service": name})) == (name != "other")
    assert len(tried) == 3
