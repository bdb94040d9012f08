"""The longest run begins first: with several workers the whole stage then takes little longer than that."""

from __future__ import annotations

import pytest

LONGEST = "test_real_faults.py::test_nothing_is_lost"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort it to the front, after any shuffling."""
    items.sort(key=lambda item: LONGEST not in item.nodeid)
