"""The tour: breaks things in order and holds what people received against what they should have.

After each step it says what was expected and what arrived; a message too many counts like one too few.
Every wait is for a condition, with a deadline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from msgspec import Struct

from watchtower.cli.demo.sink import Message
from watchtower.cli.demo.stage import PEERS, Stage, await_

TOLD_S: Final = 25.0
QUIET_S: Final = 2.0
"""After the last expected message, so long for one too many to show itself."""


class Step(Struct, frozen=True, kw_only=True):
    """One step: what is done, the messages it must cause, and at least how many peers give evidence."""

    title: str
    act: Callable[[], None]
    expected: tuple[str, ...]
    witnesses: int = 0


class Report(Struct, frozen=True, kw_only=True):
    """What a step expected and what came of it. `problem` is "" when both agree."""

    title: str
    expected: tuple[str, ...]
    received: tuple[str, ...]
    seconds: float
    problem: str


def tour(stage: Stage) -> Iterator[Report]:
    """Run all steps on a cluster that is whole, yielding each report as soon as it is known."""
    seen = len(stage.sink.messages)
    yield _report("everything is up", (), stage.sink.messages[:seen], 0.0, 0)
    for step in steps(stage):
        began = monotonic()
        step.act()
        await_(lambda: len(stage.sink.messages) - seen >= len(step.expected), TOLD_S)  # noqa: B023 - called at once
        told_s = monotonic() - began
        await_(lambda: len(stage.sink.messages) - seen > len(step.expected), QUIET_S)  # noqa: B023 - called at once
        received = stage.sink.messages[seen:]
        seen += len(received)
        yield _report(step.title, step.expected, received, told_s, step.witnesses)


def steps(stage: Stage) -> Iterator[Step]:
    """The steps in order; each is made when the one before has ended, for it may depend on it."""
    shop, database = stage.shop, stage.database
    yield Step(
        title="the shop answers 503",
        act=lambda: setattr(shop, "is_broken", True),
        expected=("DOWN shop",),
        witnesses=len(PEERS),
    )
    yield Step(
        title="the shop is repaired",
        act=lambda: setattr(shop, "is_broken", False),
        expected=("RECOVERED shop",),
    )
    victim = stage.alerter() or PEERS[0]
    yield Step(
        title=f"peer {victim}, the alerter, is killed with SIGKILL",
        act=lambda: stage.kill(victim),
        expected=(f"DOWN peer {victim}",),
    )
    yield Step(
        title=f"the database refuses connections while peer {victim} is dead",
        act=database.break_down,
        expected=("DOWN database",),
        witnesses=len(PEERS) - 1,
    )
    yield Step(
        title=f"peer {victim} is started again",
        act=lambda: stage.start(victim),
        expected=(f"RECOVERED peer {victim}",),
    )
    yield Step(
        title="the database is repaired",
        act=database.repair,
        expected=("RECOVERED database",),
    )


def _report(
    title: str, expected: tuple[str, ...], received: list[Message], seconds: float, witnesses: int
) -> Report:
    names = tuple(f"{message.state} {message.name}" for message in received)
    problem = ""
    if names != expected:
        problem = f"expected {', '.join(expected) or 'nothing'}, received {', '.join(names) or 'nothing'}"
    elif any(len(message.witnesses) < witnesses for message in received):
        problem = f"evidence of fewer than {witnesses} peers"
    shown = tuple(f"{message.subject} (sent by {message.sender})" for message in received)
    return Report(title=title, expected=expected, received=shown, seconds=seconds, problem=problem)
