"""What every folder shares: the switch `--full`, and figures that a run measured and prints at its end.

Without `--full` long rounds run short, and tests marked `full`, which only repeat a short one at length,
are deselected; pytest counts them in its last line.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

MEASURED: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full."""
    parser.addoption("--full", action="store_true", help="run the long rounds at full length")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what is marked `full`, unless it is asked for."""
    if config.getoption("--full"):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long rounds run at full length."""
    return bool(request.config.getoption("--full"))


@pytest.fixture
def measured(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> Callable[[str], None]:
    """Note a figure of this test; the run prints all of them at its end, whichever process it ran in."""
    return lambda figure: record_property(request.node.name, figure)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a test measured."""
    if report.when == "teardown":
        MEASURED.extend(f"{name}: {figure}" for name, figure in report.user_properties)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    if MEASURED:
        terminalreporter.section("measured")
        for line in MEASURED:
            terminalreporter.line(line)
