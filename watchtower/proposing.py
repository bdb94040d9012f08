"""What one pass decided, into the log: some commands at a time, until the fate of one is not known.

Commands that are under way together share the way to the leader and its flush to the disk; when thousands
of services fail at once, one at a time would take the better part of an hour. Each stands for itself: what
was refused or lost the next pass derives again. Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from watchtower.core.commands import Command
from watchtower.core.ports import Submit

log = logging.getLogger(__name__)

AT_ONCE: Final = 20


async def propose(commands: Sequence[Command], submit: Submit, is_aside: Callable[[], bool]) -> None:
    """Return when all are applied, refused or given up. `is_aside`: this peer decides nothing any more."""
    for begin in range(0, len(commands), AT_ONCE):
        if is_aside():
            return
        known = await asyncio.gather(*(_propose(one, submit) for one in commands[begin : begin + AT_ONCE]))
        if not all(known):
            return


async def _propose(command: Command, submit: Submit) -> bool:
    """False when it is not known whether it was applied."""
    try:
        answer = await submit(command)
    except ValueError as error:
        log.warning("decided %s, which cannot be proposed: %s", describe(command), error)
        return True
    if answer is None:
        log.warning("decided %s: not known whether it was applied", describe(command))
        return False
    log.info("decided %s: %s", describe(command), answer.reason or "applied")
    return True


def describe(command: Command) -> str:
    """One short phrase for the log: what kind, about what."""
    kind = type(command).__name__.lower()
    subject = getattr(command, "service", "") or getattr(command, "peer", "") or getattr(command, "id", "")
    return f"{kind} {subject}".strip()
