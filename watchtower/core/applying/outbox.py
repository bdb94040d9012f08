"""Notifications in the ledger: who may send which one, when, and what an attempt's outcome does.

The outbox half of `ledger.apply`. Every rule here answers a counterexample of the protocol's model:
lanes keep order per (service, channel); a claim is compare-and-set on the attempt; a negative
outcome counts only from the live claim, `accepted` from any; doubt is sticky; closing an incident
looks at the outbox itself. Nothing here knows a clock or the configuration.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from watchtower.core import channel_rows
from watchtower.core.applying.fences import POLICY_CHANGED
from watchtower.core.channel_rows import ChannelRow
from watchtower.core.commands import Answer, Assign, Claim, Draft, Entry, Settle
from watchtower.core.model import (
    Attempt,
    Doubt,
    NoticeKind,
    Notification,
    Outcome,
    Stage,
    State,
)
from watchtower.core.policies import Severity

UNFINISHED_MAX: Final = 2_000
FINISHED_KEPT: Final = 300
ATTEMPTS_KEPT: Final = 10
_REPEATED: Final = (NoticeKind.REMINDER, NoticeKind.WORSENED)
_NEVER_SHED: Final = (NoticeKind.RESOLVED, NoticeKind.DIGEST, NoticeKind.TEST)
Told = tuple[int, NoticeKind, float, str]


def notification_id(cluster: str, service: str, kind: NoticeKind, number: str, channel: str) -> str:
    """The deterministic id: the same on every peer, for every attempt, 16 hex digits.

    `number` is the incident's number, followed by the step for a notification within it.
    """
    text = f"{cluster}\x1f{service}\x1f{kind.value}\x1f{number}\x1f{channel}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def lane_of(service: str, channel: str) -> str:
    """Items of one lane are delivered in order."""
    return f"{service} {channel}"


def transition_told(item: Notification, channel: str) -> Told:
    """One transition on one channel: an incident may worsen more than once, each time at another time."""
    return item.incident, item.kind, item.notice.at_wall, channel


def lane_heads(state: State) -> dict[str, int]:
    """The order of the oldest that is still to be told, by itself or by a digest, of each lane."""
    heads: dict[str, int] = {}
    for item in state.notifications.values():
        if is_to_be_told(state, item) and item.order <= heads.get(item.lane, item.order):
            heads[item.lane] = item.order
    return heads


def head_of_lane(state: State, item: Notification) -> bool:
    """True when nothing older in the same lane is still to be told; of many items, ask `lane_heads` once."""
    return lane_heads(state).get(item.lane, item.order) >= item.order


def teller(state: State, item: Notification) -> Notification:
    """The message that tells of the item, itself or its digest: it is asked whether anybody was told.

    A digest that is no longer in the ledger was finished long ago; then it is the item, and finished too.
    """
    return state.notifications.get(item.digest, item) if item.stage is Stage.DIGESTED else item


def is_to_be_told(state: State, item: Notification) -> bool:
    """True while the item, or the digest that tells it, is unfinished."""
    return not teller(state, item).stage.finished


def is_full(state: State) -> bool:
    """True when so much is unfinished that further announcements are shed."""
    return _unfinished(state) >= UNFINISHED_MAX


def _unfinished(state: State) -> int:
    """Tests are people's own doing, few, and keep no alert out."""
    items = state.notifications.values()
    return sum(not item.stage.finished and item.kind is not NoticeKind.TEST for item in items)


def enqueue(state: State, incident: int, service: str, drafts: Iterable[Draft], at_wall: float) -> State:
    """The drafts as pending notifications; known ids are left alone, an overfull outbox sheds and counts.

    A resolved notice is never shed: whoever was told hears the end. There is at most one per lane. Nor is a
    digest, which makes room, or a test, which takes none: of those there are TESTS_MAX (proving.py).
    """
    notifications = dict(state.notifications)
    order, shed, unfinished = state.last_order, state.shed, _unfinished(state)
    for draft in drafts:
        if draft.id in notifications:
            continue
        if unfinished >= UNFINISHED_MAX and draft.kind not in _NEVER_SHED:
            shed += 1
            continue
        order, unfinished = order + 1, unfinished + (draft.kind is not NoticeKind.TEST)
        notifications[draft.id] = Notification(
            id=draft.id,
            order=order,
            incident=incident,
            service=service,
            kind=draft.kind,
            channel=draft.channel,
            lane=lane_of(service, draft.channel),
            sender=draft.sender,
            notice=draft.notice,
            created_wall=at_wall,
            members=draft.members,
        )
    return replace(state, notifications=notifications, last_order=order, shed=shed)


def told_channels(state: State, incident: int) -> tuple[str, ...]:
    """Channels on which the incident was, or may have been, or is being announced, in that order.

    Sorted, because a restored snapshot need not hold its notifications in the order of their making.
    """
    mine = (item for item in state.notifications.values() if item.incident == incident)
    items = (item for item in mine if has_left(state, item))
    return tuple(dict.fromkeys(item.channel for item in sorted(items, key=lambda item: item.order)))


def announces(state: State, item: Notification) -> bool:
    """True for what tells, told or tries to tell that the incident is there (protocol.md, hole 15)."""
    return item.kind is not NoticeKind.RESOLVED and not is_withdrawn(state, item)


def is_withdrawn(state: State, item: Notification) -> bool:
    """True for what nobody may rely on: taken back before it left, or when it may have arrived."""
    return teller(state, item).stage in (Stage.CANCELLED, Stage.SUPERSEDED)


def has_left(state: State, item: Notification) -> bool:
    """True for an announcement, unless it is certain that nobody was or is being told by it."""
    told = teller(state, item)
    if item.kind is NoticeKind.RESOLVED or told.stage is Stage.CANCELLED:
        return False
    return told.stage is not Stage.PENDING or told.doubt is not Doubt.NO


def has_arrived(state: State, item: Notification) -> bool:
    """True for what is known to have reached its channel."""
    told = teller(state, item)
    return told.stage is Stage.DELIVERED or told.doubt is Doubt.PROOF


def assign(state: State, command: Assign) -> tuple[State, Answer]:
    """Name another wanted sender; a live claim is not touched, its owner may still finish."""
    item = state.notifications.get(command.id)
    if item is None or item.stage.finished:
        return state, Answer(ok=False, reason="no such unfinished notification")
    return _put(state, replace(item, sender=command.sender)), Answer(ok=True)


def claim(state: State, entry: Entry, command: Claim) -> tuple[State, Answer]:
    """The wanted sender takes attempt + 1 (protocol.md, `claim`); a takeover leaves doubt at least maybe."""
    item = state.notifications.get(command.id)
    refusal = _claim_refusal(state, entry, command, item)
    if item is None or refusal:
        return state, Answer(ok=False, reason=refusal)
    doubt = item.doubt
    if item.stage is not Stage.PENDING and doubt is Doubt.NO:
        doubt = Doubt.MAYBE
    claimed = replace(
        item,
        stage=Stage.CLAIMED,
        attempt=item.attempt + 1,
        owner=entry.by,
        session=entry.session,
        claim_id=command.claim_id,
        hold_ms=command.hold_ms,
        doubt=doubt,
    )
    return _put(state, claimed), Answer(ok=True)


def _claim_refusal(state: State, entry: Entry, command: Claim, item: Notification | None) -> str:
    if item is None:
        return "no such notification"
    if item.stage.finished:
        return f"already {item.stage.value}"
    if item.attempt != command.attempt:
        return f"attempt {command.attempt} is not the current {item.attempt}"
    if item.sender != entry.by:
        return f"the wanted sender is {item.sender}"
    if command.policy_rev != state.policy_rev:
        return POLICY_CHANGED
    return "" if head_of_lane(state, item) else "an older notification of the lane is unfinished"


def settle(state: State, entry: Entry, command: Settle) -> tuple[State, Answer]:
    """Write down how an attempt ended (protocol.md, `settle`), then cancel what nobody needs any more."""
    item = state.notifications.get(command.id)
    if item is None or command.attempt > item.attempt:
        return state, Answer(ok=False, reason="no such attempt")
    is_current = (item.attempt, item.owner, item.session) == (command.attempt, entry.by, entry.session)
    if command.outcome is Outcome.ACCEPTED:
        settled = _accepted(item, is_current=is_current)
    elif item.stage is Stage.CLAIMED and is_current:
        settled = _not_accepted(item, command.outcome)
    else:
        return state, Answer(ok=False, reason="not from the live claim")
    if settled == item:
        return state, Answer(ok=False, reason="nothing changes")
    state = _put(state, _recorded(settled, entry, command))
    return tidy(_with_channel(state, item.channel, command)), Answer(ok=True)


def _with_channel(state: State, name: str, command: Settle) -> State:
    """What the attempt has taught about its channel. A claim that was given back has taught nothing."""
    is_accepted, outcome = command.outcome is Outcome.ACCEPTED, command.outcome
    is_taken = outcome in (Outcome.ACCEPTED, Outcome.AMBIGUOUS)
    # What is dead without a refusal for good was never sent: nobody knows the channel, or it is a test.
    has_reached = is_taken or outcome is Outcome.REJECTED or command.is_permanent
    row = channel_rows.settled(
        state.channels.get(name, ChannelRow()),
        command.at_wall,
        has_reached=has_reached,
        is_taken=is_taken,
        is_accepted=is_accepted,
    )
    if not is_accepted:
        trouble = (command.detail or outcome.value) if command.is_permanent else ""
        row = channel_rows.refused(row, command.at_wall, retry_after_s=command.retry_after_s, trouble=trouble)
    return replace(state, channels={**state.channels, name: row})


def _accepted(item: Notification, *, is_current: bool) -> Notification:
    """Truth about the world beats ownership, but a live foreign claim keeps the lane until it ends."""
    if item.stage is Stage.CLAIMED and not is_current:
        return replace(item, doubt=Doubt.PROOF)
    if item.stage in (Stage.PENDING, Stage.CLAIMED, Stage.UNCERTAIN, Stage.SUPERSEDED):
        return replace(item, stage=Stage.DELIVERED, doubt=Doubt.PROOF)
    return item


_STAGE_AFTER: Final = {
    Outcome.NOT_SENT: Stage.PENDING,
    Outcome.REJECTED: Stage.PENDING,
    Outcome.AMBIGUOUS: Stage.UNCERTAIN,
    Outcome.DEAD: Stage.DEAD,
    Outcome.SUPERSEDED: Stage.SUPERSEDED,
}


def _not_accepted(item: Notification, outcome: Outcome) -> Notification:
    stage, doubt = _STAGE_AFTER[outcome], item.doubt
    if outcome is Outcome.AMBIGUOUS and doubt is Doubt.NO:
        doubt = Doubt.MAYBE
    if doubt is Doubt.PROOF and stage is not Stage.UNCERTAIN:
        stage = Stage.DELIVERED
    return replace(item, stage=stage, doubt=doubt)


def _recorded(item: Notification, entry: Entry, command: Settle) -> Notification:
    attempt = Attempt(
        number=command.attempt,
        peer=entry.by,
        outcome=command.outcome,
        detail=command.detail[:200],
        at_wall=command.at_wall,
    )
    failed = command.outcome not in (Outcome.ACCEPTED, Outcome.SUPERSEDED)
    return replace(
        item,
        attempts=(*item.attempts, attempt)[-ATTEMPTS_KEPT:],
        failures=item.failures + failed,
        retry_after_s=command.retry_after_s,
        settled_wall=command.at_wall,
        receipt=command.receipt[:200] or item.receipt,
    )


def tidy(state: State) -> State:
    """Cancel announcements of closed incidents that never left, and resolved notices nobody waits for.

    Out of a digest that never left they are taken as well; one that has nothing left to tell is cancelled.
    """
    told = {(item.incident, item.channel) for item in state.notifications.values() if has_left(state, item)}
    rows = state.notifications
    cancelled = {
        key
        for key, item in rows.items()
        if item.kind.is_of_incident and never_left(state, item) and _is_idle(state, item, told)
    }
    if not cancelled:
        return _pruned(state)
    digests = dict.fromkeys(
        item.digest for key, item in rows.items() if key in cancelled and item.stage is Stage.DIGESTED
    )
    notifications = {
        key: replace(item, stage=Stage.CANCELLED) if key in cancelled else item for key, item in rows.items()
    }
    for key in digests:
        left = tuple(member for member in rows[key].members if member not in cancelled)
        stage = rows[key].stage if left else Stage.CANCELLED
        notifications[key] = replace(rows[key], members=left, stage=stage)
    return _pruned(replace(state, notifications=notifications))


def _is_idle(state: State, item: Notification, told: set[tuple[int, str]]) -> bool:
    """True for what would tell of something that is over, or of the end of what was never told."""
    if item.kind is NoticeKind.RESOLVED:
        # What goes to a fallback stands for the channel that was told.
        return item.attempt == 0 and (item.incident, item.notice.instead_of or item.channel) not in told
    return not _is_open(state, item)


def is_waiting(item: Notification) -> bool:
    """True for what has certainly told nobody and nobody is sending just now."""
    return item.stage is Stage.PENDING and item.doubt is Doubt.NO


def has_failed(state: State, item: Notification) -> bool:
    """True when an attempt at it failed, or at one of those it tells before they became one message."""
    told = (state.notifications[name] for name in item.members if name in state.notifications)
    return item.failures > 0 or any(member.failures > 0 for member in told)


def never_left(state: State, item: Notification) -> bool:
    """True for what waits, by itself or in a digest that waits: it may still be withdrawn."""
    return is_waiting(teller(state, item))


def _is_open(state: State, item: Notification) -> bool:
    incident = state.incidents.get(item.incident)
    return incident is not None and incident.is_open


def _pruned(state: State) -> State:
    """Keep the newest FINISHED_KEPT finished notifications, and what belongs to something open.

    An incident is kept whole: what of it was told where is asked of all its rows.
    """
    outdated = _outdated(state)
    if outdated:
        kept = {key: item for key, item in state.notifications.items() if key not in outdated}
        state = replace(state, notifications=kept)
    finished = [item for item in state.notifications.values() if item.stage.finished]
    if len(finished) <= FINISHED_KEPT:
        return state
    busy = {item.incident for item in state.notifications.values() if is_to_be_told(state, item)} - {0}
    finished.sort(key=lambda item: item.order)
    old = len(finished) - FINISHED_KEPT
    busy |= {item.incident for item in finished[old:]} - {0}
    # Said once an hour: whether it was is known by the latest of each channel.
    ceilings = {item.channel: item.id for item in finished if item.kind is NoticeKind.CEILING}
    drop = {
        item.id for item in finished[:old] if item.incident not in busy and not _is_open(state, item)
    } - set(ceilings.values())
    # A digest is kept for as long as one of those it tells.
    drop -= {item.digest for item in state.notifications.values() if item.id not in drop}
    kept = {key: item for key, item in state.notifications.items() if key not in drop}
    return replace(state, notifications=kept)


def _outdated(state: State) -> set[str]:
    """What later ones on the same channel have replaced of what is told again and again while it lasts.

    Kept are the latest, which says what is due next, the latest that left, which says who was told, and the
    first that told of each severity, from which escalation and reminders are counted.
    """
    latest: dict[tuple[int, str, NoticeKind, bool], Notification] = {}
    begun: set[tuple[int, str, Severity]] = set()
    outdated: set[str] = set()
    repeated = (item for item in state.notifications.values() if item.kind in _REPEATED)
    for item in sorted(repeated, key=lambda item: item.order):
        if is_to_be_told(state, item):
            continue
        first = (item.incident, item.channel, item.notice.severity)
        if item.kind is NoticeKind.WORSENED and first not in begun and announces(state, item):
            begun.add(first)
            continue
        key = (item.incident, item.channel, item.kind, has_left(state, item))
        if key in latest:
            outdated.add(latest[key].id)
        latest[key] = item
    return outdated


def _put(state: State, item: Notification) -> State:
    return replace(state, notifications={**state.notifications, item.id: item})
