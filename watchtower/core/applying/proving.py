"""What proofs of the alerting itself write into the ledger: test messages, the start of a fire drill.

The other halves are ordinary: a test is delivered like any notification, a drill is an incident. No policy
of when to drill is here.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.applying import outbox
from watchtower.core.channel_rows import DRILL_PREFIX, drilled
from watchtower.core.commands import Answer, Draft
from watchtower.core.model import Level, Notice, NoticeKind, State
from watchtower.core.policies import AUTHOR_MAX, Severity
from watchtower.core.requests import StartDrill, TryChannels

TESTS_MAX: Final = 200
"""Asked for at once, and waiting at any time."""


def try_channels(state: State, command: TryChannels) -> tuple[State, Answer]:
    """One pending notification for each channel and sender, in the order given, each sender fixed."""
    count = len(command.channels) * len(command.senders)
    if not 1 <= count <= TESTS_MAX or not set(command.senders) <= set(state.members):
        return state, Answer(ok=False, reason=f"1 to {TESTS_MAX} tests, from members")
    waiting = sum(
        item.kind is NoticeKind.TEST and not item.stage.finished for item in state.notifications.values()
    )
    if waiting + count > TESTS_MAX:
        return state, Answer(ok=False, reason=f"{waiting} tests wait already, of at most {TESTS_MAX}")
    subject = f"test/{command.id[:40]}"
    notice = Notice(
        level=Level.UP,
        reason=f"asked for by {command.by[:AUTHOR_MAX]}",
        since_wall=command.at_wall,
        at_wall=command.at_wall,
        severity=Severity.INFO,
    )
    drafts = tuple(
        Draft(
            id=outbox.notification_id(state.cluster, subject, NoticeKind.TEST, sender, channel),
            channel=channel,
            kind=NoticeKind.TEST,
            sender=sender,
            notice=notice,
        )
        for channel in command.channels
        for sender in command.senders
    )
    if any(draft.id in state.notifications for draft in drafts):
        return state, Answer(ok=False, reason="asked for already")
    return outbox.enqueue(state, 0, subject, drafts, command.at_wall), Answer(ok=True)


def start_drill(state: State, command: StartDrill) -> tuple[State, Answer]:
    """A drill is on: what opens and ends its incident looks at this row.

    Not while the incident of another is open: the new drill would be taken for that one, and never be sent.
    """
    if command.seen_wall != state.drill.started_wall:
        return state, Answer(ok=False, reason="another drill has started meanwhile")
    if is_drilling(state):
        return state, Answer(ok=False, reason="the drill before it is not over yet: try again in a moment")
    by, at_wall = command.by[:AUTHOR_MAX], command.at_wall
    started = drilled(state.drill, command.channel, by, at_wall, is_planned=command.is_planned)
    return replace(state, drill=started), Answer(ok=True)


def is_drilling(state: State) -> bool:
    """True while the incident of a drill is open."""
    return any(row.open and subject.startswith(DRILL_PREFIX) for subject, row in state.services.items())
