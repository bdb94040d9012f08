"""Each kind of target has its look, and its model makes that target."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from watchtower.config.kinds import SERVICE_MODELS
from watchtower.core.targets import HeartbeatTarget, PeerTarget, Target
from watchtower.probes.prober import LOOKS


def test_every_kind_but_the_one_that_calls_us_has_a_look() -> None:
    """A target without a look would be a KeyError at three in the morning."""
    assert set(LOOKS) == set(get_args(Target)) - {HeartbeatTarget}


def test_every_target_is_made_by_a_model_or_is_a_peer() -> None:
    """A target that no file can name is dead code; a model whose target is not in the union is unread."""
    made = {model.target.__annotations__["return"] for model in SERVICE_MODELS.values()}

    assert made == {kind.__name__ for kind in set(get_args(Target)) - {PeerTarget}}


@pytest.mark.parametrize(
    ("url", "library"),
    [("ws://127.0.0.1:1/", "aiohttp"), ("grpc://127.0.0.1:1", "h2"), ("amqp://127.0.0.1:1", "pamqp")],
)
def test_what_few_need_is_imported_late_and_not_timed(url: str, library: str) -> None:
    """The first look of a kind is not slower than its second, and has as much time."""
    program = f"""
import asyncio, sys
from watchtower.clock import SystemClock
from watchtower.config.loader import service_from_url
from watchtower.probes import prober

class Watched(prober.Look):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        print({library!r} in sys.modules, round(self.budget_s, 2))

async def run():
    looking = prober.Prober(SystemClock(), "a", lambda peer: False)
    print({library!r} in sys.modules)
    await looking.probe(service_from_url({url!r}), SystemClock().now().boot + 5)
    await looking.close()

prober.Look = Watched
asyncio.run(run())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "5.0"]
