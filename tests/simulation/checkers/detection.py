"""Detection in time: what fails in calm is found within the bound that `watchtower check` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from simulation import scene
from simulation.history import History
from simulation.replay import Replay

from watchtower.config.worst_case import detection_s

TELLING_S: Final = 3.0


def check(history: History, replay: Replay) -> Iterator[str]:
    """The service that failed in the calm at the end, when it was found or told too late."""
    if not history.calm_service:
        return
    members = replay.state.members
    service = scene.settings(members[0], members, scene.VERSIONS[-1], history.shape).services[
        history.calm_service
    ]
    due = history.calm_at + detection_s(service, service.voters) + history.slower_s
    number, opened_at = min(
        (
            (one.number, one.at)
            for one in replay.opened.values()
            if one.service == service.name and one.at > history.calm_at
        ),
        default=(0, float("inf")),
    )
    if opened_at > due:
        yield f"{service.name} failed at {history.calm_at:.2f}, due at {due:.2f}, found at {opened_at:.2f}"
        return
    for channel in service.alert or ():
        heard = [one.at for one in history.receipts if (one.channel, one.incident) == (channel, number)]
        if min(heard, default=float("inf")) > due + TELLING_S:
            yield f"#{number} of {service.name} was not told on {channel} by {due + TELLING_S:.2f}"
