"""Every script in this folder against its golden trace, and what no scenario may ever show.

WATCHTOWER_REWRITE=1 writes the traces anew; the difference is then reviewed line by line, because the
traces are the proof that the policy is sane.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scenarios import index
from scenarios.script import read
from scenarios.world import World

from watchtower.core.model import Doubt, Stage

TWICE_MAX_S = 1_200
"""Longer ones are run once."""
SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scenario(path: Path) -> None:
    """The world of the script tells the golden trace, if short twice the same, and keeps the promises."""
    script = read(path)
    world = World(script)
    trace = "\n".join(world.run()) + "\n"
    check_promises(world)
    if os.environ.get("WATCHTOWER_REWRITE"):
        path.write_text(f"{script.text}---\n{trace}")
    else:
        assert trace == script.golden
    if script.until_s <= TWICE_MAX_S:
        assert "\n".join(World(read(path)).run()) + "\n" == trace


def check_promises(world: World) -> None:
    """A repeat is marked as one, lanes keep their order, what is cancelled was never sent."""
    for channel in world.channels.values():
        first: dict[str, int] = {}
        lanes: dict[str, int] = {}
        for item in channel.received:
            assert item.id not in first or item.doubt is Doubt.MAYBE, "a repeat that does not say so"
            assert item.order >= lanes.get(item.lane, 0), "out of order"
            first.setdefault(item.id, item.order)
            lanes[item.lane] = item.order
        for item in world.state.notifications.values():
            assert item.stage is not Stage.CANCELLED or item.id not in first, "cancelled, yet it was sent"


def test_every_scenario_stands_in_the_list() -> None:
    """The list in README.md is what operators read; WATCHTOWER_REWRITE=1 writes it anew."""
    groups = index.grouped()
    assert groups.pop("") == [], "these fit no group of tests/scenarios/index.py"
    assert all(groups.values()), "a group without a scenario"
    before, _, _ = (readme := index.README.read_text(encoding="utf-8")).partition(index.HEADING)
    wanted = before + index.text()
    if os.environ.get("WATCHTOWER_REWRITE"):
        index.README.write_text(wanted, encoding="utf-8")
    else:
        assert readme == wanted, "write the list anew: WATCHTOWER_REWRITE=1 pytest tests/scenarios -k list"


def test_a_line_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    """A script with a typing error does not pass in silence."""
    path = tmp_path / "broken.txt"
    path.write_text("peers a b c\nat 1s web explodes\n---\n")
    with pytest.raises(ValueError, match=r"broken.txt:2: not understood: at 1s web explodes"):
        read(path)
