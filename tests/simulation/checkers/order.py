"""Order: within a lane (one service on one channel) people read things in the order they happened in."""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history import History
from simulation.replay import Item, Replay


def check(history: History, replay: Replay) -> Iterator[str]:
    """Every message that arrives after a younger one of its lane."""
    youngest: dict[tuple[str, str], Item] = {}
    for receipt in history.receipts:
        item = replay.items.get(receipt.delivery_id)
        if item is None:
            continue
        lane = item.service, item.channel
        last = youngest.get(lane)
        if last is not None and item.order < last.order:
            yield (
                f"{receipt.at:.2f} {receipt.channel} gets {item.kind.value} #{item.incident} of "
                f"{item.service} after {last.kind.value} #{last.incident}"
            )
        else:
            youngest[lane] = item
