"""Test messages prove one peer's way to one channel, so no other peer may send them: a stage of decide.

What its peer cannot even begin to send is withdrawn with the reason, so that whoever asked gets an answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from watchtower.core.alerting.scene import Scene
from watchtower.core.applying import outbox
from watchtower.core.commands import Command, Drop
from watchtower.core.judging import eligibility
from watchtower.core.model import NoticeKind, Notification

WAITS_MAX_S: Final = 120.0


def unsendable_tests(scene: Scene) -> Iterator[Command]:
    """Withdraw tests of peers that are not fit to send, and those that have waited for too long."""
    state = scene.state
    for item in state.notifications.values():
        if item.kind is not NoticeKind.TEST or not outbox.is_waiting(item):
            continue
        reason = _reason(scene, item)
        if reason:
            yield Drop(epoch=state.lease.epoch, id=item.id, reason=reason, policy_rev=state.policy_rev)


def _reason(scene: Scene, item: Notification) -> str:
    unfit = eligibility.ineligible(scene.state, item.sender, scene.view, scene.now)
    if unfit is not None:
        return f"peer {item.sender} is not fit to send: {unfit.value}"
    if scene.now.wall - item.created_wall > WAITS_MAX_S:
        return f"peer {item.sender} did not get to it within {WAITS_MAX_S / 60:.0f} min"
    return ""
