"""Pages of incidents and notifications: order, filters, cursors that skip nothing.

Checked for all sizes and for lists that change between two pages.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.web_support import world

from watchtower.core.model import Incident, Level, State
from watchtower.web.deliveries import notification_page
from watchtower.web.incidents import incident_page
from watchtower.web.paging import BadQuery, page_size


def _state(opened: set[int], closed: set[int]) -> State:
    return State(
        incidents={
            number: Incident(
                number=number,
                service="shop" if number % 2 else "api",
                level=Level.DOWN,
                reason="timeout",
                since_wall=1.0,
                opened_wall=2.0,
                closed_wall=0.0 if number in opened else 3.0,
            )
            for number in opened | closed
        }
    )


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.integers(1, 7))
def test_pages_together_are_everything_once_open_first_newest_first(
    opened: set[int], closed: set[int], limit: int
) -> None:
    """Whatever the page size."""
    closed -= opened
    state = _state(opened, closed)
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page, cursor = incident_page(state, cursor=cursor, limit=limit)
        assert len(page) <= limit
        seen += [incident.number for incident in page]
    assert seen == sorted(opened, reverse=True) + sorted(closed, reverse=True)


@given(st.sets(st.integers(1, 40), min_size=2), st.data())
def test_an_incident_that_closes_between_two_pages_is_not_skipped(
    opened: set[int], data: st.DataObject
) -> None:
    """It may be seen twice, which does no harm."""
    closing = data.draw(st.sampled_from(sorted(opened)))
    page, cursor = incident_page(_state(opened, set()), limit=1)
    seen = {page[0].number}
    state = _state(opened - {closing}, {closing})
    while cursor is not None:
        page, cursor = incident_page(state, cursor=cursor, limit=1)
        seen.add(page[0].number)
    assert seen == opened


def test_filters_and_bad_queries() -> None:
    """State and service narrow; what cannot be understood is refused with what would be right."""
    state = _state({3, 4}, {1, 2})
    assert [found.number for found in incident_page(state, wanted="open")[0]] == [4, 3]
    assert [found.number for found in incident_page(state, wanted="closed", service="shop")[0]] == [1]
    with pytest.raises(BadQuery):
        incident_page(state, wanted="opne")
    for cursor in ("x1", "o", "o-1", "c٣"):
        with pytest.raises(BadQuery):
            incident_page(state, cursor=cursor)
    assert page_size("") == 50
    assert page_size("9999") == 200
    for text in ("0", "-1", "many", "1e3"):
        with pytest.raises(BadQuery):
            page_size(text)


def test_notifications_are_paged_newest_first_and_by_incident() -> None:
    """The cursor is the ledger's own order."""
    made = world()
    made.open("shop", 1)
    made.open("orders-db", 2)
    for number in (1, 2, 1, 2, 1):
        made.tell(number)
    first, cursor = notification_page(made.snap.state, limit=2)
    assert [item.order for item in first] == [5, 4]
    rest, end = notification_page(made.snap.state, cursor=cursor or "", limit=10)
    assert [item.order for item in rest] == [3, 2, 1]
    assert end is None
    assert [item.order for item in notification_page(made.snap.state, incident=2)[0]] == [4, 2]
