"""Who is told: the channels of an incident.

A service's own `alert:` wins; without one the first configured channel hears of it. Subjects that
are no configured service (the cluster itself) go to the first channel too.
"""

from __future__ import annotations

from watchtower.core import selfalerts
from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.settings import CHANNEL_PREFIX, Settings


def channels(subject: str, settings: Settings) -> tuple[str, ...]:
    """Names of the channels that hear of `subject`; empty when no channel is configured at all."""
    if subject.startswith(CHANNEL_PREFIX):
        return selfalerts.listeners(subject.removeprefix(CHANNEL_PREFIX), settings)
    if subject.startswith(DRILL_PREFIX):
        return (subject.removeprefix(DRILL_PREFIX),)
    service = settings.services.get(subject)
    if service is not None and service.alert:
        return service.alert
    return tuple(settings.channels)[:1]
