"""Many alerts in one message: grouped by root cause, the loudest first, everyone named or linked.

Ten names a group and ten groups are written out; the page that lists every incident has them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from watchtower.core.applying import digests
from watchtower.core.model import Level, NoticeKind, Notification, State
from watchtower.core.policies import Severity
from watchtower.core.settings import Settings
from watchtower.delivery.message import LINE_MAX, Group, Member, Message, Tone, clean, moment, span
from watchtower.delivery.rendering import evidence, surroundings
from watchtower.delivery.rendering.names import name_of, subject_line

GROUPS_MAX: Final = 10
_LEVELS: Final = (Level.DOWN, Level.DEGRADED, Level.PARTIAL, Level.UNKNOWN, Level.UP)
_SEVERITIES: Final = tuple(Severity)
_OVER: Final = "over"
_ALONE: Final = "alone"


class _Row(Struct, frozen=True, kw_only=True):
    """The latest that one incident's members say. `root` is the subject that explains it, itself if none.

    A digest that may have arrived is repeated whole: `ended_wall` says what is over meanwhile.
    """

    item: Notification
    name: str
    root: str
    ended_wall: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.item.kind is NoticeKind.RESOLVED or self.ended_wall > 0

    @property
    def lasted_s(self) -> float:
        notice = self.item.notice
        until_wall = notice.at_wall if self.item.kind is NoticeKind.RESOLVED else self.ended_wall
        return until_wall - notice.since_wall

    @property
    def rank(self) -> tuple[int, int, str]:
        notice = self.item.notice
        return _SEVERITIES.index(notice.severity), _LEVELS.index(notice.level), self.name


def told(item: Notification, state: State, settings: Settings) -> Message:
    """One message for all members of a digest that are still known."""
    rows = sorted(_rows(item, state, settings), key=lambda row: row.rank)
    bad = [row for row in rows if not row.is_over]
    over = [row for row in rows if row.is_over]
    heaps = _heaps(bad)
    lead = heaps[0][0] if heaps else over[0] if over else None
    groups = [_group(heap, state, settings) for heap in heaps[:GROUPS_MAX]]
    if len(heaps) > GROUPS_MAX:
        rest = sum(len(heap) for heap in heaps[GROUPS_MAX:])
        groups.append(Group(title=f"and {rest} more, of other causes", lines=()))
    if over:
        groups.append(_ended(over))
    facts = (("Why", clean(item.notice.reason, LINE_MAX)), ("Since", _since(bad, settings)))
    return Message(
        state="DIGEST",
        tone=_tone(bad),
        subject=subject_line(["[DIGEST]", _headline(heaps, bad, over, settings)], settings),
        summary=clean(f"{_counted(bad, over)} in one message.", LINE_MAX),
        facts=tuple(fact for fact in facts if fact[1]),
        groups=tuple(groups),
        members=tuple(_member(row) for row in rows),
        since_wall=item.notice.since_wall,
        root=f"incident-{lead.item.incident}" if lead else f"digest-{item.id}",
    )


def _member(row: _Row) -> Member:
    item = row.item
    return Member(
        incident=item.incident,
        service=clean(item.service, LINE_MAX),
        kind=NoticeKind.RESOLVED.value if row.is_over else item.kind.value,
        level=Level.UP.value if row.is_over else item.notice.level.value,
        severity=item.notice.severity.value,
        cause=clean(row.root, LINE_MAX) if row.root != item.service else "",
    )


def _rows(item: Notification, state: State, settings: Settings) -> Iterable[_Row]:
    members = digests.worth_telling(state, item)
    latest = {member.incident: member for member in sorted(members, key=lambda member: member.order)}
    causes = surroundings.causes(state, settings)
    for member in latest.values():
        found = causes.roots(member.service, member.notice.level)
        incident = state.incidents.get(member.incident)
        yield _Row(
            item=member,
            name=name_of(member.service, settings),
            root=found[0] if found else member.service,
            ended_wall=incident.closed_wall if incident else 0.0,
        )


def _heaps(rows: list[_Row]) -> list[list[_Row]]:
    """Rows of one root cause together, the cause itself first; what has no common cause is one heap, last."""
    by_root: dict[str, list[_Row]] = {}
    for row in rows:
        by_root.setdefault(row.root, []).append(row)
    alone = [
        row
        for heap in by_root.values()
        if len(heap) == 1 and heap[0].root == heap[0].item.service
        for row in heap
    ]
    causes = [
        sorted(heap, key=lambda row: (row.root != row.item.service, row.rank))
        for heap in by_root.values()
        if not (len(heap) == 1 and heap[0] in alone)
    ]
    causes.sort(key=lambda heap: (min(row.rank[0] for row in heap), -len(heap), heap[0].name))
    return [*causes, sorted(alone, key=lambda row: row.rank)] if alone else causes


def _group(heap: list[_Row], state: State, settings: Settings) -> Group:
    first = heap[0]
    if all(row.root == row.item.service for row in heap):
        title = f"{len(heap)} without a common cause" if len(heap) > 1 else "By itself"
        return Group(title=title, lines=surroundings.and_more([_line(row) for row in heap], len(heap)))
    if first.root == first.item.service:
        title = f"{_line(first)}, and {len(heap) - 1} because of it"
        rest = heap[1:]
    else:
        root = state.open_incident(first.root)
        number = f" (incident {root.number})" if root else ""
        title, rest = f"{len(heap)} because of {name_of(first.root, settings)}{number}", heap
    return Group(
        title=clean(title, LINE_MAX), lines=surroundings.and_more([_line(row) for row in rest], len(rest))
    )


def _line(row: _Row) -> str:
    notice = row.item.notice
    cause = evidence.cause(notice.evidence) or (
        "" if notice.evidence else clean(notice.reason, evidence.CAUSE_MAX)
    )
    return f"{row.name} {notice.level.value.upper()}{f' ({cause})' if cause else ''}"


def _ended(over: list[_Row]) -> Group:
    rows = sorted(over, key=lambda row: row.name)
    lines = [f"{row.name} after {span(row.lasted_s)}" for row in rows]
    return Group(title=f"Recovered ({len(over)})", lines=surroundings.and_more(lines, len(over)))


def _headline(heaps: list[list[_Row]], bad: list[_Row], over: list[_Row], settings: Settings) -> str:
    """`500 alerts: Orders DB DOWN and 499 more, 3 recovered`."""
    ends = f"{len(over)} recovered" if over else ""
    if not heaps:
        names = [row.name for row in over]
        return f"{ends}: {_first(names)}" if names else "nothing is known of it any more"
    alerts, first = "1 alert" if len(bad) == 1 else f"{len(bad)} alerts", heaps[0][0]
    said = f"{alerts}: {_line(first)}{f' and {len(bad) - 1} more' if len(bad) > 1 else ''}"
    if first.root != first.item.service:
        also = " and others" if len(heaps) > 1 else ""
        said = f"{alerts} because of {name_of(first.root, settings)}{also}"
    return f"{said}{f', {ends}' if ends else ''}"


def _first(names: list[str]) -> str:
    rest = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{rest}"


def _counted(bad: list[_Row], over: list[_Row]) -> str:
    said = [f"{len(bad)} alert{'s' * (len(bad) != 1)}"] if bad else []
    said += [f"{len(over)} recover{'ies' if len(over) != 1 else 'y'}"] if over else []
    return " and ".join(said) or "Nothing"


def _since(bad: list[_Row], settings: Settings) -> str:
    if not bad:
        return ""
    return moment(min(row.item.notice.since_wall for row in bad), settings.alerting.timezone)


def _tone(bad: list[_Row]) -> Tone:
    if not bad:
        return Tone.SUCCESS
    return Tone.FAILURE if any(row.item.notice.level is Level.DOWN for row in bad) else Tone.WARNING
