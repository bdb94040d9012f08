"""What every folder shares: the switch `--full`, and figures that a run measured and prints at its end.

Without `--full` the long rounds run short; they are never left out.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

MEASURED: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full."""
    parser.addoption("--full", action="store_true", help="run the long rounds at full length")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long rounds run at full length."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Note a figure of this test; the run prints all of them at its end."""

    def note(figure: str) -> None:
        MEASURED.append(f"{request.node.name}: {figure}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if MEASURED:
        terminalreporter.section("measured")
        for line in MEASURED:
            terminalreporter.line(line)
