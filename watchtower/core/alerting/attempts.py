"""When, by which peer and on which channel people are told next: `next_attempt`, the one gate before a send.

All that can make a notification wait stands here and nowhere else: the backoff of its own failures, what the
channel asked for, its rate and its hourly ceiling, a configuration that cannot work, circuit breakers, paths
that are cut, and how long people may wait before another channel tells them. Asked by decide (who sends, what
goes to a fallback), by the sender (when) and by the API (why it waits). Reads no clock, changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from watchtower.core.applying import outbox
from watchtower.core.channel_rows import DRILL_PREFIX, HOUR_S, RECENT_KEPT, RETRY_AFTER_MAX_S, ChannelRow
from watchtower.core.model import Attempt, NoticeKind, Notification, Outcome, Stage, State
from watchtower.core.policies import Severity
from watchtower.core.settings import Channel, Rate, Settings
from watchtower.core.text import clean

BACKOFF_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
TROUBLED_RETRY_S: Final = 300.0
"""So often a channel that cannot work is tried again, should somebody have mended it."""
TRIAL: Final = "half-open"
"""How a peer's word about its breaker begins when one message may try the way."""
CLOSED_LOOK_S: Final = 1.0
"""While no peer's breaker lets anything through, it is looked at again so soon."""
FAILURES_MAX: Final = 8
"""So often a message is refused for good before it is given up, if the channel takes others meanwhile."""
BECAUSE_MAX: Final = 200
FALLBACK_AFTER_S: Final = {Severity.CRITICAL: 55.0, Severity.WARNING: 300.0, Severity.INFO: 300.0}
"""What is critical is with people within a minute: some seconds are left for the fallback to take it."""


class NextAttempt(Struct, frozen=True, kw_only=True):
    """`peer` tells it on `channel`, not before `at_wall`; `reason` says why so, or why not sooner."""

    peer: str
    channel: str
    at_wall: float
    reason: str


class Gate(Struct, frozen=True):
    """Not before `at_wall`, because of `reason`."""

    at_wall: float
    reason: str


class ChannelState(Struct, frozen=True, kw_only=True):
    """What bears on an attempt on one channel, as of one moment (`channel_states`).

    `turns`: who may send, in order; `closed`: those whose path is cut, and why. `gate` holds for every
    message, `repair` (it cannot work as configured) for all but tests, which find out whether it was mended,
    `ceiling` for all but the one that tells of it. `stuck` are lanes in which something fails,
    `dead` digests that were refused for good, `elsewhere` the ids of what the fallback knows already.
    """

    name: str
    turns: tuple[str, ...]
    closed: dict[str, str] = {}
    gate: Gate = Gate(0.0, "")
    repair: Gate = Gate(0.0, "")
    ceiling: Gate = Gate(0.0, "")
    trouble: str = ""
    fallback: str = ""
    stuck: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()
    elsewhere: frozenset[str] = frozenset()

    def opens_wall(self, now_wall: float) -> float:
        """When the channel takes the next message: `now_wall` at the earliest."""
        return max(self.gate.at_wall, self.repair.at_wall, self.ceiling.at_wall, now_wall)


def is_hopeless(item: Notification, row: ChannelRow) -> bool:
    """True when one more refusal for good is the message's own fault: the channel takes others meanwhile."""
    first_wall = item.attempts[0].at_wall if item.attempts else row.accepted_wall
    return item.failures + 1 >= FAILURES_MAX and row.accepted_wall > first_wall


def next_attempt(item: Notification, channel: ChannelState, now_wall: float) -> NextAttempt:
    """The next attempt at what is not finished, or was refused for good, or waits in a digest."""
    peer = _peer(item, channel)
    gates = [_own_gate(item, peer, now_wall), channel.gate]
    if not _finds_out(item):
        gates.append(channel.repair)
    if item.kind is not NoticeKind.CEILING:
        gates.append(channel.ceiling)
    latest = max(gates, key=lambda gate: gate.at_wall)
    why = _why_elsewhere(item, channel, latest, now_wall)
    if why:
        return NextAttempt(peer=channel.turns[0], channel=channel.fallback, at_wall=now_wall, reason=why)
    return NextAttempt(peer=peer, channel=channel.name, at_wall=latest.at_wall, reason=latest.reason)


def _is_drill(item: Notification) -> bool:
    return item.service.startswith(DRILL_PREFIX)


def _finds_out(item: Notification) -> bool:
    """True for what is to show whether the channel was mended."""
    return item.kind is NoticeKind.TEST or (_is_drill(item) and not item.failures)


def turn(state: State, item: Notification) -> tuple[int, int]:
    """Its place among what is due on its channel: by age, but where one is refused for good the others first.

    That one is refused for what it says, none of the others would ever find out.
    """
    is_troubled = bool(state.channels.get(item.channel, ChannelRow()).trouble)
    return (item.failures if is_troubled else 0), item.order


# ---- by whom


def _peer(item: Notification, channel: ChannelState) -> str:
    """The next in turn whose path is not known to be cut.

    What never left a peer goes to the peer that has not tried for longest; what the channel itself refused
    twice is its own doing, and only then another peer's turn.
    """
    peers = (
        [peer for peer in channel.turns if peer not in channel.closed]
        or [peer for peer in channel.turns if channel.closed[peer].startswith(TRIAL)]
        or list(channel.turns)
    )
    tried = {attempt.peer: place for place, attempt in enumerate(_unsent(item))}
    if tried:
        return min(peers, key=lambda peer: tried.get(peer, -1))
    return peers[(item.failures // 2) % len(peers)]


def _unsent(item: Notification) -> list[Attempt]:
    """The latest attempts in a row of which certainly nothing left."""
    row = takewhile(lambda attempt: attempt.outcome is Outcome.NOT_SENT, reversed(item.attempts))
    return list(row)[::-1]


# ---- when


def _own_gate(item: Notification, peer: str, now_wall: float) -> Gate:
    """What the item's own failures ask for; where nothing left, another peer tries at once."""
    if not item.failures:
        return Gate(min(item.created_wall, now_wall), "first attempt")
    unsent = _unsent(item)
    tried = {attempt.peer for attempt in unsent}
    if unsent and peer not in tried:
        return Gate(item.settled_wall, f"peer {unsent[-1].peer} could not reach the channel")
    # The ledger keeps the latest attempts only: when all of those were unsent, so were the earlier ones.
    count = item.failures if len(unsent) in (0, len(item.attempts)) else len(unsent)
    rounds = count // len(tried) if tried else count
    backoff_s = BACKOFF_S[min(rounds, len(BACKOFF_S)) - 1]
    asked_s = min(item.retry_after_s, RETRY_AFTER_MAX_S)
    if asked_s > backoff_s:
        return Gate(item.settled_wall + asked_s, "the channel asked to wait")
    return Gate(item.settled_wall + backoff_s, f"attempt {item.failures} failed")


def _channel_gate(
    row: ChannelRow, rate: Rate, turns: tuple[str, ...], closed: dict[str, str], now_wall: float
) -> Gate:
    """The latest of what the channel asks of every message."""
    gates = [
        Gate(row.rest_until_wall, "the channel asked to wait"),
        Gate(_token_wall(row.recent, rate), f"at most one message every {rate.every_s:g} s"),
    ]
    if turns and all(not closed.get(peer, TRIAL).startswith(TRIAL) for peer in turns):
        why = f"no peer's circuit breaker lets it through: {closed[turns[0]]}"
        gates.append(Gate(now_wall + CLOSED_LOOK_S, why))
    return max(gates, key=lambda gate: gate.at_wall)


def _repair_gate(row: ChannelRow, *, has_fallback: bool) -> Gate:
    """A while after the latest try of what cannot work as configured, where another channel tells people."""
    if not row.trouble or not has_fallback:
        return Gate(0.0, "")
    tried_wall = max(row.recent, default=0.0)
    return Gate(tried_wall + TROUBLED_RETRY_S, f"it cannot work as configured: {row.trouble}")


def _token_wall(recent: tuple[float, ...], rate: Rate) -> float:
    """When the next token is in the bucket of a channel that was sent to at these times."""
    if rate.every_s <= 0 or not recent:
        return 0.0
    # Of more attempts than are kept one only knows that the first of these had a token.
    tokens, last = (float(rate.burst) if len(recent) < RECENT_KEPT else 1.0), min(recent)
    for at_wall in sorted(recent):
        tokens = min(float(rate.burst), tokens + (at_wall - last) / rate.every_s) - 1.0
        last = at_wall
    return last + (1.0 - tokens) * rate.every_s if tokens < 1.0 else 0.0


def _ceiling_gate(row: ChannelRow, rate: Rate, now_wall: float) -> Gate:
    """The end of the hour in which the channel has had all that it may; of a wrong clock's hour, nothing."""
    hour = int(now_wall // HOUR_S)
    if row.hour != hour or row.hour_sent < rate.hour:
        return Gate(0.0, "")
    return Gate((hour + 1) * HOUR_S, f"the channel has had its {rate.hour} messages of this hour")


# ---- on which channel


def _why_elsewhere(item: Notification, channel: ChannelState, latest: Gate, now_wall: float) -> str:
    """Why the fallback is told now; "" while it is not, or there is none, or it knows already."""
    # Nothing but the channel itself can prove that a drill arrives on it.
    if not channel.fallback or not item.kind.is_of_incident or _is_drill(item):
        return ""
    if item.notice.instead_of or item.id in channel.elsewhere:
        return ""
    if item.stage is Stage.DEAD or item.digest in channel.dead:
        return _because(f"{channel.name} refused it for good", _said(item))
    is_gated = latest.at_wall > now_wall
    if channel.trouble and is_gated:
        return _because(f"{channel.name} cannot work as configured", channel.trouble)
    return _why_too_late(item, channel, latest.reason if is_gated else "", now_wall)


def _why_too_late(item: Notification, channel: ChannelState, gated: str, now_wall: float) -> str:
    """Why people wait for too long, or would, if it is critical; `gated`: what keeps it back now, or ""."""
    after_s = FALLBACK_AFTER_S[item.notice.severity]
    is_kept_back = bool(gated) or item.failures > 0 or item.lane in channel.stuck
    if is_kept_back and now_wall - item.created_wall > after_s:
        return _because(f"{channel.name} has not taken it for {after_s:g} s", _said(item) or gated)
    is_in_vain = channel.opens_wall(now_wall) > item.created_wall + after_s
    if gated and is_in_vain and item.notice.severity is Severity.CRITICAL:
        return _because(f"{channel.name} cannot take it within {after_s:g} s", gated)
    return ""


def _said(item: Notification) -> str:
    """What was heard of the channel at the latest attempt."""
    return item.attempts[-1].detail if item.attempts else ""


def _because(what: str, why: str) -> str:
    return clean(f"{what}: {why}" if why else what, BECAUSE_MAX)


# ---- what bears on it


def channel_state(
    channel: Channel | None,
    name: str,
    row: ChannelRow,
    *,
    turns: tuple[str, ...],
    closed: dict[str, str],
    now_wall: float,
) -> ChannelState:
    """A channel by itself, without its fallback; `channel` None: it is not configured."""
    rate = channel.rate if channel else Rate()
    return ChannelState(
        name=name,
        turns=turns,
        closed=closed,
        gate=_channel_gate(row, rate, turns, closed, now_wall),
        repair=_repair_gate(row, has_fallback=channel is not None and bool(channel.fallback)),
        ceiling=_ceiling_gate(row, rate, now_wall),
        trouble=row.trouble,
    )


def channel_states(
    state: State, settings: Settings, turns: tuple[str, ...], now_wall: float
) -> dict[str, ChannelState]:
    """Every channel that is configured or has something in the outbox; `turns`: who may send, in order."""
    items = state.notifications.values()
    told = {
        outbox.transition_told(item, item.channel)
        for item in items
        if item.kind.is_of_incident and not outbox.is_withdrawn(state, item)
    }
    stuck = frozenset(_stuck(state))
    dead = frozenset(item.id for item in items if item.stage is Stage.DEAD)
    elsewhere: dict[str, set[str]] = {}
    for item in items:
        channel = settings.channels.get(item.channel)
        if channel and channel.fallback and outbox.transition_told(item, channel.fallback) in told:
            elsewhere.setdefault(item.channel, set()).add(item.id)
    names = dict.fromkeys((*settings.channels, *(item.channel for item in items)))
    found = {}
    for name in names:
        channel = settings.channels.get(name)
        closed = {peer: why for peer in turns if (why := state.row(peer).paths.get(name, ""))}
        row = state.channels.get(name, ChannelRow())
        alone = channel_state(channel, name, row, turns=turns, closed=closed, now_wall=now_wall)
        found[name] = replace(
            alone,
            fallback=channel.fallback if channel else "",
            stuck=stuck,
            dead=dead,
            elsewhere=frozenset(elsewhere.get(name, ())),
        )
    return found


def _stuck(state: State) -> Iterator[str]:
    """Lanes in which something fails, by itself or in a digest."""
    for item in state.notifications.values():
        if not item.failures or not outbox.is_to_be_told(state, item):
            continue
        yield item.lane
        yield from (state.notifications[name].lane for name in item.members if name in state.notifications)
