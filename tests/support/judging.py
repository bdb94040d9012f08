"""Judges a run: the truth of the outages and of the faults against what arrived. Pure.

Lost: a long outage that some channel never told, or a firing that was never told as over. Repeated: one
delivery id more than once on a channel, or one transition under two ids. It names the window in which a
repeat may happen (the sender was hit between accept and commit), and counts everything outside of it, an
alarm without an outage, and a message out of order as a violation of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.arrivals import Arrival
from support.outages import Outage

DETECTED_S = 2.5
"""At an interval of 1 s and two failures a verdict stands at the latest so long after the failure."""

COMMIT_S = 2.0
"""An accepted message is committed so long after it at the latest, while nothing is broken."""

LATE_ALARM_S = 3.0
"""A verdict may lag so far behind the end of an outage."""

TAKE_OVER_S = 5.0
"""What is due later than this after a fault is no matter of the take-over any more."""

SILENT_S = 3.5
"""Who is cut off falls silent when its lease of 3 s has run out; the last byte may take a moment."""

TAKEN_OVER_S = 20.0
"""What was in flight when its sender was hit is taken over, and its lane free again, after so long."""

SILENCING = ("kill", "SIGSTOP", "cut off", "majority", "full disk", "wiped disk")
"""Kinds of faults after which a sender cannot settle what it has sent."""

EVERYBODY = ""


@dataclass
class Fault:
    """One thing that was broken, and whom it hit; EVERYBODY stands for a lost majority."""

    kind: str
    peers: tuple[str, ...]
    began_wall: float
    ended_wall: float = float("inf")

    def hits(self, peer: str, since_wall: float, until_wall: float) -> bool:
        """Whether it hit `peer` within this time."""
        is_then = self.began_wall <= until_wall and self.ended_wall >= since_wall
        return is_then and (peer in self.peers or EVERYBODY in self.peers)


@dataclass
class Row:
    """The figures of one kind of fault. Delays are seconds; `late_s` begins when it could first be told."""

    kind: str
    rounds: int = 0
    incidents: int = 0
    lost: int = 0
    repeats: dict[str, list[int]] = field(default_factory=lambda: {"hook": [0, 0], "post": [0, 0]})
    told_s: list[float] = field(default_factory=list)
    late_s: list[float] = field(default_factory=list)
    in_flight_s: list[float] = field(default_factory=list)

    @property
    def line(self) -> str:
        """One line of the table."""
        hook, post = self.repeats["hook"], self.repeats["post"]
        told = f"{_at(self.told_s, 50)}/{_at(self.told_s, 99)}/{_at(self.told_s, 100)}"
        late = f"{_at(self.late_s, 99)}/{_at(self.late_s, 100)} ({len(self.late_s)})"
        in_flight = f"{_at(self.in_flight_s, 100)} ({len(self.in_flight_s)})"
        return (
            f"| {self.kind} | {self.rounds} | {self.incidents} | {self.lost} | {hook[0]}+{hook[1]} "
            f"| {post[0]}+{post[1]} | {told} | {late} | {in_flight} |"
        )


HEAD = (
    "| fault | rounds | incidents | lost | repeats webhook | repeats mail | told after p50/p99/worst, s "
    "| late p99/worst, s (number) | in flight worst, s (number) |\n|---|---|---|---|---|---|---|---|---|"
)
"""Repeats are marked + unmarked; `late` is over what detection takes, for what a take-over could delay."""


def table(rows: list[Row]) -> str:
    """All rows below their head, in Markdown."""
    return "\n".join([HEAD, *(row.line for row in rows)])


def _at(values: list[float], percent: int) -> str:
    return f"{percentile(values, percent):.1f}" if values else "-"


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that `percent` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


@dataclass
class Judgement:
    """What came of a run: a row per kind of fault, and every violation in words."""

    rows: list[Row]
    violations: list[str]

    def row(self, kind: str) -> Row:
        """The row of one kind."""
        return next(row for row in self.rows if row.kind == kind)


class Judge:
    """Everything known about a run, and the questions to ask about it."""

    def __init__(self, outages: list[Outage], arrivals: list[Arrival], faults: list[Fault]) -> None:
        self._outages = outages
        self._faults = sorted(faults, key=lambda fault: fault.began_wall)
        self._notices = [one for one in arrivals if one.kind == "notice"]
        self._lanes: dict[tuple[str, str], list[Arrival]] = defaultdict(list)
        for arrival in sorted(arrivals, key=lambda one: one.at_wall):
            if arrival.kind != "notice":
                self._lanes[arrival.channel, arrival.service].append(arrival)
        self._rows: dict[str, Row] = {}
        for fault in self._faults:
            self._row(fault).rounds += 1

    def judge(self, channels: tuple[str, ...]) -> Judgement:
        """All figures and all violations."""
        violations = [
            *(words for outage in self._outages for words in self._untold(outage, channels)),
            *(words for lane in self._lanes.values() for words in self._repeats(lane)),
            *(words for lane in self._lanes.values() for words in self._disorder(lane)),
            *self._false_alarms(),
            *self._said_by_the_cut_off(),
            *self._needless(),
        ]
        return Judgement(list(self._rows.values()), violations)

    # ---- lost

    def _untold(self, outage: Outage, channels: tuple[str, ...]) -> Iterator[str]:
        if outage.is_short:
            return
        first = {channel: self._first(channel, outage) for channel in channels}
        told = [arrival.at_wall for arrival in first.values() if arrival is not None]
        fault = self._fault_of(outage, min(told, default=outage.ended_wall))
        row = self._row(fault)
        row.incidents += 1
        for channel, arrival in first.items():
            if arrival is None:
                row.lost += 1
                yield f"lost: {outage.service} was down from {outage.began_wall:.1f}, {channel} never said so"
        hook = first.get("hook")
        if hook is not None:
            self._time(row, outage, hook, fault)

    def _first(self, channel: str, outage: Outage) -> Arrival | None:
        """The first word about an outage on a channel."""
        lane = self._lanes[channel, outage.service]
        firing = (one for one in lane if one.kind == "firing" and one.at_wall >= outage.began_wall)
        return next(firing, None)

    def _fault_of(self, outage: Outage, told_wall: float) -> Fault | None:
        """The latest fault that could have to do with how this outage was told."""
        near = [
            fault
            for fault in self._faults
            if fault.began_wall <= told_wall and fault.ended_wall + DETECTED_S >= outage.began_wall
        ]
        return near[-1] if near else None

    def _time(self, row: Row, outage: Outage, arrival: Arrival, fault: Fault | None) -> None:
        row.told_s.append(arrival.at_wall - outage.began_wall)
        due_wall = outage.began_wall + DETECTED_S
        if fault is not None:
            due_wall = max(due_wall, fault.began_wall)
            is_late = arrival.at_wall > due_wall
            if is_late and self._waited_for_a_claim(arrival, outage):
                row.in_flight_s.append(arrival.at_wall - fault.began_wall)
                return
            if due_wall > fault.began_wall + TAKE_OVER_S:
                return
        row.late_s.append(max(0.0, arrival.at_wall - due_wall))

    def _waited_for_a_claim(self, arrival: Arrival, outage: Outage) -> bool:
        """Whether it, or what was before it in its lane, was in flight when its sender was hit."""
        lane = self._lanes[arrival.channel, arrival.service]
        since = outage.began_wall - TAKEN_OVER_S
        before = [one for one in lane if since <= one.at_wall < arrival.at_wall][-1:]
        if any(one.attempt > 1 or one.may_repeat for one in (*before, arrival)):
            return True
        # One that was found by a search arrived once, and yet kept its lane until its claim had run out.
        faults = (self._window(one) for one in before)
        return any(fault is not None and fault.kind.startswith(SILENCING) for fault in faults)

    # ---- repeated, out of order

    def _repeats(self, lane: list[Arrival]) -> Iterator[str]:
        first: dict[str, Arrival] = {}
        ids: dict[tuple[int, str], str] = {}
        for arrival in lane:
            about = f"{arrival.channel}: {arrival.kind} {arrival.incident} of {arrival.service}"
            earlier = first.setdefault(arrival.id, arrival)
            # An incident may worsen more than once; it opens and closes once.
            known = ids.setdefault((arrival.incident, arrival.kind), arrival.id)
            if known != arrival.id and arrival.kind != "worsened":
                yield f"told under two ids: {about}"
            if earlier is arrival:
                continue
            fault = self._window(earlier)
            self._row(fault).repeats[arrival.channel][0 if arrival.may_repeat else 1] += 1
            if not arrival.may_repeat:
                yield f"unmarked repeat: {about}"
            if fault is None:
                yield f"repeat outside the window: {about} by {earlier.peer} at {earlier.at_wall:.1f}"

    def _window(self, accepted: Arrival) -> Fault | None:
        """The fault that hit the sender between accept and commit of what arrived first."""
        since, until = accepted.at_wall - COMMIT_S, accepted.at_wall + COMMIT_S
        return next((fault for fault in self._faults if fault.hits(accepted.peer, since, until)), None)

    def _disorder(self, lane: list[Arrival]) -> Iterator[str]:
        """Firing, then what it worsened to, then resolved; and nothing of an older incident after it."""
        seen: set[str] = set()
        is_open, number = False, 0
        for arrival in lane:
            about = f"{arrival.channel}: {arrival.kind} {arrival.incident} of {arrival.service}"
            is_repeat = arrival.id in seen
            seen.add(arrival.id)
            if arrival.incident < number or (is_repeat and arrival.kind != "resolved" and not is_open):
                yield f"out of order: {about} after what came later"
            if is_repeat:
                continue
            if arrival.kind == "firing" and is_open:
                yield f"lost: {about} while incident {number} was never told as over"
            if arrival.kind == "resolved" and not is_open and not arrival.is_unheard:
                yield f"out of order: {about}, which nobody had been told of"
            is_open, number = arrival.kind != "resolved", max(number, arrival.incident)
        if is_open:
            yield f"lost: {lane[-1].channel} never told that incident {number} of {lane[-1].service} is over"

    # ---- said without reason, or by somebody who should not

    def _false_alarms(self) -> Iterator[str]:
        for (channel, service), lane in self._lanes.items():
            spans = [one for one in self._outages if one.service == service]
            for arrival in lane if service.startswith("s") else ():
                if arrival.kind == "firing" and not self._is_explained(arrival, spans):
                    yield f"false alarm: {channel}: {service} at {arrival.at_wall:.1f}"

    def _is_explained(self, arrival: Arrival, spans: list[Outage]) -> bool:
        """An outage before it, and if it is over, a fault or a retry that explains why it is told so late."""
        for outage in spans:
            ended_wall = outage.ended_wall or float("inf")
            if outage.began_wall <= arrival.at_wall <= ended_wall + LATE_ALARM_S:
                return True
            is_late = arrival.at_wall > ended_wall and any(
                fault.began_wall <= arrival.at_wall and fault.ended_wall + LATE_ALARM_S >= outage.began_wall
                for fault in self._faults
            )
            if is_late:
                return True
        return False

    def _said_by_the_cut_off(self) -> Iterator[str]:
        """Who is cut off from every majority may speak until its lease has run out."""
        for fault in self._faults:
            if not fault.kind.startswith("cut off"):
                continue
            since = fault.began_wall + SILENT_S
            for lane in self._lanes.values():
                for one in lane:
                    if one.peer in fault.peers and since < one.at_wall < fault.ended_wall:
                        late_s = one.at_wall - fault.began_wall
                        yield f"{one.peer}, cut off, said {one.kind} of {one.service} after {late_s:.1f} s"

    def _needless(self) -> Iterator[str]:
        """A planned restart is nobody's business."""
        for fault in self._faults:
            if not fault.kind.startswith("planned"):
                continue
            for (channel, service), lane in self._lanes.items():
                for one in lane if not service.startswith("s") else ():
                    if fault.began_wall <= one.at_wall <= fault.ended_wall:
                        yield f"needless: {channel} said {one.kind} of {service} during a planned restart"

    def _row(self, fault: Fault | None) -> Row:
        kind = fault.kind if fault is not None else "none"
        return self._rows.setdefault(kind, Row(kind))
