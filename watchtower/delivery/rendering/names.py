"""What people call the subject of an incident, and how a subject line is put together.

Names come from the configuration and are cut to a length; they are cleaned, not escaped.
"""

from __future__ import annotations

from typing import Final

from watchtower.core.channel_rows import DRILL_PREFIX
from watchtower.core.settings import CHANNEL_PREFIX, CLUSTER_SUBJECT, PEER_PREFIX, Settings
from watchtower.delivery.message import SUBJECT_MAX, clean

NAME_MAX: Final = 60


def name_of(subject: str, settings: Settings) -> str:
    """What people call the subject of an incident."""
    if subject == CLUSTER_SUBJECT:
        return "the cluster"
    for prefix, word in ((PEER_PREFIX, "peer"), (CHANNEL_PREFIX, "channel"), (DRILL_PREFIX, "fire drill on")):
        if subject.startswith(prefix):
            return clean(f"{word} {subject.removeprefix(prefix)}", NAME_MAX)
    service = settings.services.get(subject)
    return clean(service.shown_as if service else subject, NAME_MAX)


def is_service(subject: str) -> bool:
    """False for what watchtower says of itself: its peers, its channels, its drills, the cluster."""
    return subject != CLUSTER_SUBJECT and "/" not in subject


def sentence(name: str, subject: str) -> str:
    """`peer b` begins a sentence as `Peer b`; names of services keep their spelling."""
    return name if is_service(subject) else name[:1].upper() + name[1:]


def subject_line(parts: list[str], settings: Settings) -> str:
    """The parts, then the cluster's name, which is never cut away."""
    tail = clean(f" - {settings.cluster.name}", NAME_MAX)
    return f"{clean(' '.join(part for part in parts if part), SUBJECT_MAX - len(tail) - 1)} {tail}"
