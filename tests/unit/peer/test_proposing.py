"""What a pass decided goes into the log together, in order, and stops at what nobody knows the fate of."""

from __future__ import annotations

import asyncio
import logging
from itertools import count

import pytest

from watchtower.core.commands import Answer, Command, Gate
from watchtower.proposing import AT_ONCE, propose

LOST, TOO_LONG, REFUSED = 3, 5, 7


class Log:
    """Answers what was proposed once all that is proposed together has arrived; `lost` it never answers."""

    def __init__(self, lost: int = -1) -> None:
        self.lost = lost
        self.proposed: list[int] = []
        self.under_way = self.most_under_way = 0

    async def submit(self, command: Command, *, timeout_s: float = 2.0) -> Answer | None:
        """Applied after the others had their turn; `timeout_s` is not used up."""
        assert isinstance(command, Gate)
        assert timeout_s > 0
        number = command.version
        self.proposed.append(number)
        if number == TOO_LONG:
            raise ValueError("too long")
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)  # noqa: TID251 - the others have their turn
        self.under_way -= 1
        if number == self.lost:
            return None
        return Answer(ok=number != REFUSED, reason="no" if number == REFUSED else "")


def proposed(log: Log, number: int, asides: int = 1000) -> list[int]:
    """What of so many commands was proposed, when the peer steps aside after so many questions."""
    commands = tuple(Gate(epoch=1, version=n) for n in range(number))
    asked = count()
    asyncio.run(propose(commands, log.submit, lambda: next(asked) >= asides))
    return log.proposed


def test_commands_go_together_but_not_all_at_once() -> None:
    """All of them in their order, AT_ONCE under way; one that is refused or too long holds up nobody."""
    log = Log()
    assert proposed(log, 3 * AT_ONCE + 1) == list(range(3 * AT_ONCE + 1))
    assert log.most_under_way == AT_ONCE


def test_after_one_whose_fate_is_unknown_no_more_follow(caplog: pytest.LogCaptureFixture) -> None:
    """What was under way with it is waited for; the rest is left to the next pass."""
    with caplog.at_level(logging.WARNING):
        assert proposed(Log(lost=LOST), 2 * AT_ONCE) == list(range(AT_ONCE))
    assert "decided gate: not known whether it was applied" in caplog.text


def test_a_peer_that_steps_aside_proposes_no_more() -> None:
    """Not one further command once it has stepped aside."""
    assert proposed(Log(), 3 * AT_ONCE, asides=1) == list(range(AT_ONCE))
    assert proposed(Log(), AT_ONCE, asides=0) == []
