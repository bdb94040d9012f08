"""One switch for every folder: `--full` makes the long runs long; without it they run short, never not."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --full."""
    parser.addoption("--full", action="store_true", help="run the long rounds at full length")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the long rounds run at full length."""
    return bool(request.config.getoption("--full"))
