"""Many notifications told by one: what coalescing and withdrawing write into the ledger.

A digest stands for its members: in their lanes they count as unfinished until it is finished, and as told
once it was. Only what has certainly told nobody may become a member, and only in the order of its lane.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from watchtower.core.applying import outbox
from watchtower.core.applying.fences import Outgrowth
from watchtower.core.commands import Answer, Coalesce, Drop
from watchtower.core.model import Doubt, NoticeKind, Notification, Stage, State

MEMBERS_MAX: Final = 1_000
DIGEST_SUBJECT: Final = "*"
"""What digests are about; no service may carry this name."""


def drop(state: State, command: Drop) -> Outgrowth:
    """Withdraw what never left, out of its digest if it is in one that never left either."""
    item = state.notifications.get(command.id)
    if item is None or not outbox.never_left(state, item):
        return state, Answer(ok=False, reason="no such notification that never left")
    rows = dict(state.notifications)
    rows[item.id] = replace(item, stage=Stage.CANCELLED, dropped=command.reason[:200])
    digest = rows.get(item.digest)
    if digest is not None:
        left = tuple(member for member in digest.members if member != item.id)
        rows[digest.id] = replace(digest, members=left, stage=digest.stage if left else Stage.CANCELLED)
    return outbox.tidy(replace(state, notifications=rows)), Answer(ok=True)


def worth_telling(state: State, digest: Notification) -> tuple[Notification, ...]:
    """The members that a digest tells now: what is over again meanwhile, it leaves out.

    One that may have arrived is repeated whole, or people would read an older end last. Total: a member that
    is no longer in the ledger is left out as well.
    """
    known = (state.notifications.get(name) for name in digest.members)
    members = (item for item in known if item is not None and item.stage is Stage.DIGESTED)
    return tuple(item for item in members if digest.doubt is not Doubt.NO or _is_worth_telling(state, item))


def _is_worth_telling(state: State, member: Notification) -> bool:
    incident = state.incidents.get(member.incident)
    return member.kind is NoticeKind.RESOLVED or (incident is not None and incident.is_open)


def coalesce(state: State, command: Coalesce) -> Outgrowth:
    """The members are told by the digest of that id: a new one, or one that has not left yet."""
    draft, known = command.draft, state.notifications.get(command.draft.id)
    members = [state.notifications[name] for name in command.members if name in state.notifications]
    refusal = _refusal(state, command, known, members)
    if refusal:
        return state, Answer(ok=False, reason=refusal)
    if known is None:
        state = outbox.enqueue(state, 0, DIGEST_SUBJECT, (draft,), command.at_wall)
    rows = dict(state.notifications)
    digest = rows[draft.id]
    names = dict.fromkeys((*digest.members, *(item.id for item in members)))
    # As old as the oldest that it tells: for how long people have waited is asked of what waits.
    created_wall = min(rows[name].created_wall for name in names if name in rows)
    rows[digest.id] = replace(digest, members=tuple(names), notice=draft.notice, created_wall=created_wall)
    for item in members:
        rows[item.id] = replace(item, stage=Stage.DIGESTED, digest=digest.id)
    return replace(state, notifications=rows), Answer(ok=True)


def _refusal(state: State, command: Coalesce, known: Notification | None, members: list[Notification]) -> str:
    draft, before = command.draft, len(known.members) if known else 0
    if draft.kind is not NoticeKind.DIGEST or draft.members or _is_other(known, draft.channel):
        return "only a digest tells others"
    if not members or len(members) != len(command.members) or before + len(members) > MEMBERS_MAX:
        return "nothing to tell, something unknown, or too much for one digest"
    if known is not None and not (outbox.is_waiting(known) and _is_youngest(state, known)):
        return "the digest may have left, or is not the latest of its channel"
    if any(not _may_join(item, draft.channel) for item in members):
        return "not all of them wait for this channel"
    if not _in_order(state, members):
        return "something older in a lane is unfinished"
    return ""


def _is_other(known: Notification | None, channel: str) -> bool:
    return known is not None and (known.kind, known.channel) != (NoticeKind.DIGEST, channel)


def _is_youngest(state: State, digest: Notification) -> bool:
    digests = (item for item in state.notifications.values() if item.lane == digest.lane)
    return all(item.order <= digest.order for item in digests)


def _may_join(item: Notification, channel: str) -> bool:
    is_single = item.kind.is_of_incident and item.channel == channel
    return is_single and outbox.is_waiting(item)


def _in_order(state: State, members: list[Notification]) -> bool:
    """True when whatever is older in the members' lanes is finished, a member, or told by an older digest."""
    youngest: dict[str, int] = {}
    for item in members:
        youngest[item.lane] = max(youngest.get(item.lane, 0), item.order)
    names = {item.id for item in members}
    return not any(
        not other.stage.finished and other.id not in names and other.order < youngest.get(other.lane, 0)
        for other in state.notifications.values()
    )
