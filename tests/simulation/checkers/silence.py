"""No silence: in the end every open incident was told, and every one that was told and ended says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation.history import History
from simulation.replay import Item, Replay
from simulation.scene import FALLBACKS

from watchtower.core.model import NoticeKind, Outcome

TELLING_S: Final = 5.0
"""An incident younger than this at the end may still be on its way to people."""


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every incident that somebody should have heard of, or heard the end of, and did not."""
    arrived = {(receipt.channel, receipt.delivery_id) for receipt in history.receipts}
    heard = arrived | set(_within_digests(history, replay))
    told = [item for item in replay.items.values() if (item.channel, item.id) in heard]
    dead = {one.id for one in replay.settles if one.outcome is Outcome.DEAD}
    for number, opened in replay.opened.items():
        closed = replay.closed.get(number)
        items = [item for item in replay.items.values() if item.incident == number]
        if closed is None and opened.at < history.ended_at - TELLING_S:
            yield from _untold(number, opened.service, items, heard)
        elif closed is not None and closed.at < history.ended_at - TELLING_S:
            ends = [item for item in items if item.kind is NoticeKind.RESOLVED]
            refused = {item.channel for item in ends if item.id in dead}
            mine = [item for item in told if item.incident == number]
            yield from _unended(number, closed.service, mine, refused)


def _within_digests(history: History, replay: Replay) -> Iterator[tuple[str, str]]:
    """What arrived as a part of a digest. Of what was over by then, a digest announces nothing."""
    receipts = {receipt.delivery_id: receipt for receipt in history.receipts}
    for member, told_by in replay.folded.items():
        item, receipt = replay.items.get(member), receipts.get(told_by)
        if item is None or receipt is None:
            continue
        closed = replay.closed.get(item.incident)
        if item.kind is NoticeKind.RESOLVED or closed is None or closed.at > receipt.at:
            yield receipt.channel, member


def _untold(number: int, service: str, items: list[Item], heard: set[tuple[str, str]]) -> Iterator[str]:
    wanted = {item.channel for item in items if item.kind is NoticeKind.FIRING and not item.instead_of}
    for channel in sorted(wanted):
        ways = [item for item in items if channel in (item.channel, item.instead_of)]
        if not any((item.channel, item.id) in heard for item in ways):
            yield f"incident #{number} of {service} is open, and {channel} never heard of it"


def _unended(number: int, service: str, told: list[Item], refused: set[str]) -> Iterator[str]:
    announced = {item.channel for item in told if item.kind is not NoticeKind.RESOLVED}
    resolved = [item for item in told if item.kind is NoticeKind.RESOLVED]
    ended = {name for item in resolved for name in (item.channel, item.instead_of)}
    # What a channel refuses for good goes to its fallback, which stands for it, and hears it once.
    ended |= {name for name in refused if FALLBACKS.get(name) in ended}
    for channel in sorted(announced - ended):
        yield f"incident #{number} of {service} is over: {channel} heard that it began, never that it ended"
