"""Says that this peer is blind, and when it sees again: past the ledger, which nobody can write meanwhile.

When there is something to say is blindness.py's; here it is put into words and sent by one channel.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from watchtower.clock import to_beat
from watchtower.core.judging.blindness import Blindness, Word, words
from watchtower.core.ports import Clock, ClusterPort, CourierPort
from watchtower.core.settings import Settings

log = logging.getLogger(__name__)

BLIND_LOOK_EVERY_S: Final = 1.0


async def speak_when_blind(
    clock: Clock,
    cluster: ClusterPort,
    courier: CourierPort,
    settings: Callable[[], Settings],
    failing: Callable[[], list[str]],
) -> None:
    """Without a majority somebody must say that nobody is watching. Runs until cancelled."""
    blindness, loop = Blindness(settings().me), asyncio.get_running_loop()
    while True:
        await asyncio.sleep(to_beat(loop.time(), BLIND_LOOK_EVERY_S))  # noqa: TID251 - a look every second
        after_s = settings().cluster.without_quorum.after_s
        word = blindness.step(cluster.status(), clock.now(), after_s)
        if word is not None:
            accepted = await _say(word, cluster, courier, settings(), failing())
            blindness.said(word, clock.now(), accepted=accepted)


async def _say(
    word: Word, cluster: ClusterPort, courier: CourierPort, settings: Settings, failing: list[str]
) -> bool:
    """The blind notice or its all-clear, past the ledger: there is no majority to write it."""
    channel = settings.cluster.without_quorum.notify or next(iter(settings.channels), "")
    if not channel:
        log.warning("monitoring: %s, and no channel is configured to say so", word.value)
        return True
    links = cluster.status().links
    title, lines = words(word, settings.cluster.name, settings.me, links, failing)
    error = await courier.tell(channel, title, lines)
    log.warning("said on %s that monitoring is %s: %s", channel, word.value, error or "accepted")
    return not error
