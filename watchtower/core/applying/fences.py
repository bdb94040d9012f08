"""Who may propose at all, and who holds the office: the fences that entries of the log are checked against.

The first rows of every precondition in protocol.md, section 3. Each answers with a reason, "" when the
proposer may; nothing is changed here.
"""

from __future__ import annotations

from typing import Final

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.commands import Answer, Entry
from watchtower.core.model import Outcome, State

Outgrowth = tuple[State, Answer]
DONE: Final = Answer(ok=True)
POLICY_CHANGED: Final = "what people said has changed"


def no(reason: str) -> Answer:
    """A refusal."""
    return Answer(ok=False, reason=reason)


def proposer_refusal(state: State, entry: Entry) -> str:
    """Why the proposer may not propose this at all; "" when it may."""
    command = entry.command
    if isinstance(command, c.Found):
        return ""
    if entry.by not in state.members:
        return f"{entry.by} is not a member of the cluster"
    said = c.Join | c.BeatSeen | r.SetSilence | r.EndSilence | r.Acknowledge
    sessionless = isinstance(command, said) or (
        isinstance(command, c.Settle) and command.outcome is Outcome.ACCEPTED
    )
    if not sessionless and (entry.session == 0 or entry.session != state.row(entry.by).session):
        return f"session {entry.session} is not the current one of {entry.by}"
    return ""


def office_refusal(state: State, entry: Entry, epoch: int) -> str:
    """Why the proposer is not the alerter of `epoch`; "" when it is."""
    lease = state.lease
    if epoch != lease.epoch:
        return f"epoch {epoch} is not the current {lease.epoch}"
    if (lease.holder, lease.session) != (entry.by, entry.session):
        return f"epoch {epoch} is held by {lease.holder}"
    return ""
