"""A process that keeps history until it is killed: `python -m support.history_child FOLDER`.

A look every ten seconds of a clock that runs by itself, another opinion every thirty looks. For each
transition that is on the disk it prints a line: transitions written, and looks taken in by then.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from support.history_support import SetClock, history_settings, result

from watchtower.core.model import Opinion
from watchtower.history.keeper import History


async def keep(folder: Path) -> None:
    """Until killed."""
    clock = SetClock()
    history = History(history_settings(folder, "web"), clock)
    await history.start()
    turn = 0
    while True:
        turn += 1
        opinion = (Opinion.UP, Opinion.DOWN)[turn % 2]
        for _ in range(30):
            history.take(result("web", clock.wall, opinion))
            clock.pass_s(10)
        taken = history.stats.samples_total
        while history.stats.transitions_total < turn:  # noqa: ASYNC110 - a thread's counter has no event
            await asyncio.sleep(0.002)  # noqa: TID251 - paces the look at it
        sys.stdout.write(f"{turn} {taken}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(keep(Path(sys.argv[1])))
