"""Which earlier message of the same channel a later one belongs to: the first that told of its incident.

A question about the applied state alone. Where the message is, its receipt says; what a channel makes of
it (a thread, an update) is that channel's part.
"""

from __future__ import annotations

from watchtower.core.model import NoticeKind, Notification, Stage, State
from watchtower.delivery.message import Opened


def opened(item: Notification, state: State) -> Opened | None:
    """The first message about the incident of `item` that its channel took; None when there is none.

    What a digest told has no message of its own.
    """
    if not item.incident or not item.kind.is_of_incident:
        return None
    first = min(
        (other for other in state.notifications.values() if _is_told(other, item)),
        key=lambda other: other.order,
        default=None,
    )
    return Opened(delivery_id=first.id, receipt=first.receipt) if first else None


def _is_told(other: Notification, item: Notification) -> bool:
    is_same = other.incident == item.incident and other.channel == item.channel and other.order < item.order
    is_first = other.kind is not NoticeKind.RESOLVED and other.stage is Stage.DELIVERED
    return is_same and is_first and bool(other.receipt)
