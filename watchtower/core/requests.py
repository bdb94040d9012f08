"""Commands by which people, and the schedules they wrote, ask the cluster for something.

Quiet, an acknowledgement, a test of the channels, a fire drill. Any peer proposes them for whoever asked
it; what they do is quieting.py's and proving.py's.
"""

from __future__ import annotations

from msgspec import Struct

from watchtower.core.policies import Acknowledgement, Silence


class SetSilence(Struct, frozen=True, kw_only=True, tag="set_silence"):
    """Somebody wants quiet; a known id is replaced."""

    silence: Silence


class EndSilence(Struct, frozen=True, kw_only=True, tag="end_silence"):
    """A silence is over before its time."""

    id: str
    by: str
    at_wall: float


class Sweep(Struct, frozen=True, kw_only=True, tag="sweep"):
    """Forget silences that have been over for long."""

    epoch: int
    silences: tuple[str, ...]


class Acknowledge(Struct, frozen=True, kw_only=True, tag="acknowledge"):
    """Somebody works on an open incident; None: nobody does after all. `by` is who says so.

    `by_link`: it came by the link in a message, so whoever says it has that message.
    """

    incident: int
    ack: Acknowledgement | None
    by: str
    at_wall: float
    by_link: bool = False


class TryChannels(Struct, frozen=True, kw_only=True, tag="try_channels"):
    """A test message to each channel from each of `senders`, in turn. `id` is fresh."""

    id: str
    channels: tuple[str, ...]
    senders: tuple[str, ...]
    by: str
    at_wall: float


class StartDrill(Struct, frozen=True, kw_only=True, tag="start_drill"):
    """A fire drill on a channel; `seen_wall` is when the latest one known to the proposer had started.

    `is_planned`: it is the schedule's, not a person's.
    """

    channel: str
    by: str
    at_wall: float
    seen_wall: float = 0.0
    is_planned: bool = False
