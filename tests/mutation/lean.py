"""A pytest plugin for the runs under mutmut: cheap tests first, no shrinking, and a note of who killed whom.

Decides nothing about a mutant: mutmut reads pytest's exit code. Loaded by `-p mutation.lean` only.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from mutation.bench import NOTES_VARIABLE

CHEAP_FIRST = ("unit/", "scenarios/", "property/")

# The same examples in every run, or a survivor of today might be killed tomorrow. A failure is enough to
# know; making its example small costs a hundred times what finding it did.
settings.register_profile(
    "lean",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("lean")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order by what a test costs: most mutants die of an example within milliseconds."""
    items.sort(key=lambda item: (_rank(item.nodeid), item.nodeid))


def _rank(nodeid: str) -> int:
    return next((rank for rank, folder in enumerate(CHEAP_FIRST) if folder in nodeid), len(CHEAP_FIRST))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the test that failed, and under which mutant."""
    notes, mutant = os.environ.get(NOTES_VARIABLE), os.environ.get("MUTANT_UNDER_TEST", "")
    if notes and report.failed and "__mutmut_" in mutant:
        with Path(notes).open("a", encoding="utf-8") as file:
            file.write(f"{mutant}\t{report.nodeid}\n")
