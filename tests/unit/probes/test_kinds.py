"""Each kind of target has its look, and its model makes that target."""

from __future__ import annotations

from typing import get_args

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
