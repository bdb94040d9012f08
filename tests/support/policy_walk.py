"""A scenario's world under random events: what people, services and channels may do, and what must hold.

The world is that of tests/scenarios: real decide, real apply, an ideal log and courier, virtual time. Here
are the plan that is drawn, the record of what every channel really got, and the checks, written from the
promises and not from the code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from unittest import mock

from hypothesis import strategies as st
from msgspec import Struct
from scenarios.script import Event, Script
from scenarios.world import Process, World

from watchtower.core.alerting import flapping
from watchtower.core.applying.incidents import Move, move
from watchtower.core.commands import Command
from watchtower.core.decide import decide
from watchtower.core.model import Incident, Level, NoticeKind, Notification
from watchtower.core.policies import Silence, Why

CONFIG: Final = """\
notify:
  chat: {url: "json://192.0.2.9/", fallback: sms}
  mail: json://192.0.2.10/
  pager: json://192.0.2.11/
  sms: json://192.0.2.12/
escalation:
  oncall: [{notify: chat}, {after: 20s, notify: pager}]
services:
  web: {url: "https://web.example.com", interval: 1s, timeout: 1s, alert: [oncall, mail]}
  db: {url: "https://db.example.com", interval: 1s, timeout: 1s, alert: mail}
  shop: {url: "https://shop.example.com", interval: 1s, timeout: 1s, alert: chat, needs: [db]}
alerting: {hold: 2s, suppress: 30s, flap: {window: 20, high: 25%, low: 10%}}
"""
SERVICES: Final = ("web", "db", "shop")
CHANNELS: Final = ("chat", "mail", "pager", "sms")
MOODS: Final = ("accepts", "accepts", "refuses", "loses answers", "is unreachable")
BEGINS_S, HEALS_S, RESTS_S = 5, 60, 140
FLAPS_WITHIN_S: Final = 40.0
FOLLOW_UPS: Final = (NoticeKind.REMINDER, NoticeKind.ESCALATION)


def _event(what: str, subjects: tuple[str, ...], **fields: Any) -> st.SearchStrategy[Event]:
    at_s = st.integers(BEGINS_S * 4, HEALS_S * 4 - 1).map(lambda quarter: quarter / 4)
    return st.builds(Event, at_s=at_s, what=st.just(what), subject=st.sampled_from(subjects), **fields)


_turns: Final = st.one_of(*(_event(what, SERVICES) for what in ("fails", "fails", "degrades", "recovers")))
_wishes: Final = st.one_of(
    _event(
        "silences",
        ("ops",),
        number=st.sampled_from((5.0, 20.0, 40.0)),
        args=st.sampled_from(SERVICES).map(lambda name: (f"service={name}:", "known")),
    ),
    _event("maintains", ("ops",), number=st.just(15.0), args=st.just(("service=d*,w*:", "disks"))),
    _event("ends", ("ops",), args=st.sampled_from((("s1",), ("s2",)))),
    _event("acknowledges", ("bob",), args=st.sampled_from((("1",), ("2",), ("3",)))),
    _event("withdraws", ("bob",), args=st.sampled_from((("1",), ("2",), ("3",)))),
)
_troubles: Final = st.one_of(*(_event(mood, CHANNELS) for mood in MOODS))
_alerter: Final = st.sampled_from(((), (Event(at_s=30.0, what="dies", subject="a"),)))


def _story(*story: tuple[str, Any]) -> st.SearchStrategy[list[Event]]:
    """What seldom comes about by chance, at a drawn time and pace: a few seconds between its steps."""
    pauses = st.lists(st.integers(2, 14), min_size=len(story), max_size=len(story))
    return st.builds(
        lambda name, begins_s, paces: [
            Event(at_s=begins_s + sum(paces[: index + 1]) / 4, what=what, subject=name, **fields(name))
            for index, (what, fields) in enumerate(story)
        ],
        st.sampled_from(SERVICES),
        st.integers(BEGINS_S, HEALS_S - 35),
        pauses,
    )


def _nothing(_name: str) -> dict[str, Any]:
    return {}


def _for_a_while(name: str) -> dict[str, Any]:
    return {"number": 10.0, "args": (f"service={name}:", "known")}


_worse_in_silence: Final = (("degrades", _nothing), ("silences", _for_a_while), ("fails", _nothing))
_flaps: Final = (("fails", _nothing), ("recovers", _nothing)) * 3
_nothing_more: Final[st.SearchStrategy[list[Event]]] = st.just([])
_stories: Final = _nothing_more | _story(*_worse_in_silence) | _story(*_flaps, *_worse_in_silence[1:])


class Plan(Struct, frozen=True, kw_only=True):
    """What happens, and which services are still down when everything else has healed."""

    peers: tuple[str, ...]
    events: tuple[Event, ...]
    down: frozenset[str]


def _plan(*drawn: Any) -> Plan:
    turns, story, wishes, troubles, deaths, down, peers = drawn
    events = (*turns, *story, *wishes, *troubles, *(deaths if len(peers) > 1 else ()))
    ordered = tuple(sorted(events, key=lambda one: one.at_s))
    return Plan(peers=peers, events=ordered, down=frozenset(down) | {one.subject for one in story})


plans: Final = st.builds(
    _plan,
    st.lists(_turns, min_size=1, max_size=8),
    _stories,
    st.lists(_wishes, max_size=6),
    st.lists(_troubles, max_size=5),
    _alerter,
    st.sets(st.sampled_from(SERVICES)),
    st.sampled_from((("a",), ("a",), ("a",), ("a", "b", "c"))),
)


class Got(Struct, frozen=True, kw_only=True):
    """One word of one incident that a channel really got, alone or in a digest."""

    at_s: float
    channel: str
    item: Notification


class Walk(World):
    """The world of a plan, watched while it runs."""

    def __init__(self, plan: Plan) -> None:
        heal = [Event(at_s=HEALS_S, what="accepts", subject=name) for name in CHANNELS]
        ends = {name: "fails" if name in plan.down else "recovers" for name in SERVICES}
        last = [Event(at_s=HEALS_S, what=what, subject=name) for name, what in ends.items()]
        script = Script(name="walk", text="", golden="", peers=plan.peers, until_s=RESTS_S, config=CONFIG)
        script.events = [*plan.events, *heal, *last]
        super().__init__(script)
        self.down = plan.down
        self.got: list[Got] = []
        self.applied: list[Command] = []
        self._counted = dict.fromkeys(CHANNELS, 0)

    def run(self) -> list[str]:
        """The whole plan. What flaps has settled within a minute."""
        with mock.patch.object(flapping, "WINDOW_MIN_S", FLAPS_WITHIN_S):
            return super().run()

    def submit(self, process: Process, command: Command) -> Any:
        """As ever; what was applied is remembered for as long as the step."""
        answer = super().submit(process, command)
        if answer is not None and answer.ok:
            self.applied.append(command)
        return answer

    def step(self, process: Process) -> None:
        """As ever, and watched."""
        self.applied = []
        super().step(process)
        again = decide(process.state, process.settings, process.view, self.instant(process.name))
        repeated = [command for command in again if command in self.applied]
        assert not repeated, f"{self.now_s}: decided again although it is applied: {repeated}"
        for got in self._news():
            self.got.append(got)
            self._check_quiet(got)

    def _news(self) -> Iterator[Got]:
        for name, channel in self.channels.items():
            for item in channel.received[self._counted[name] :]:
                for key in item.members or (item.id,):
                    told = self.state.notifications[key]
                    if told.kind.is_of_incident:
                        yield Got(at_s=self.now_s, channel=name, item=told)
            self._counted[name] = len(channel.received)

    def _check_quiet(self, got: Got) -> None:
        """Nobody is told of what is silenced at this moment, nor reminded of what somebody works on."""
        incident = self.state.incidents[got.item.incident]
        if got.item.kind is NoticeKind.RESOLVED:
            return
        on = [one for one in self.state.silences.values() if self._is_on(one, incident.service)]
        assert not on, f"{got} although {on}"
        assert not incident.is_flapping or got.item.kind is NoticeKind.FLAPPING, f"{got} although it flaps"
        assert not (got.item.kind in FOLLOW_UPS and incident.ack), f"{got} although it is acknowledged"

    def _is_on(self, silence: Silence, service: str) -> bool:
        now_wall = self.instant().wall
        letters = {pattern[0] for matcher in silence.matchers for pattern in matcher.patterns}
        return silence.starts_wall <= now_wall < silence.ends_wall and service[0] in letters

    # ---- at rest

    def check_rest(self) -> None:
        """Every promise about what people know when everything has healed and every silence is over."""
        opened = {incident.service for incident in self.state.incidents.values() if incident.is_open}
        assert opened & set(SERVICES) == self.down, f"open is {opened}, down {self.down}"
        waiting = [item for item in self.state.notifications.values() if not item.stage.finished]
        assert not waiting, f"unfinished at rest: {waiting}"
        for incident in self.state.incidents.values():
            for channel in CHANNELS:
                heard = [
                    got.item
                    for got in self.got
                    if (got.channel, got.item.incident) == (channel, incident.number)
                ]
                _check_heard(incident, channel, heard)
            if incident.is_open:
                self._check_told(incident)

    def _check_told(self, incident: Incident) -> None:
        """What is open is told, unless a reason says otherwise; folded means that its cause is open."""
        why = incident.withheld
        if why is not None and why.why is Why.SUPPRESSED:
            assert self.state.incidents[why.root].is_open, f"folded into what is over: {incident}"
        elif why is None:
            heard = [got.item for got in self.got if got.item.incident == incident.number]
            assert heard, f"nobody knows of {incident}"
        else:
            raise AssertionError(f"still withheld: {incident}")


def _check_heard(incident: Incident, channel: str, heard: list[Notification]) -> None:
    """One channel's story of one incident: in order, current, and ended if it has ended."""
    # What a fallback heard instead of its channel is no promise to keep it up to date.
    news = [item for item in heard if item.kind not in FOLLOW_UPS and not item.notice.instead_of]
    orders = [item.order for item in heard]
    assert orders == sorted(orders), f"{channel} heard of {incident} out of order: {heard}"
    ends = [index for index, item in enumerate(heard) if item.kind is NoticeKind.RESOLVED]
    if incident.is_open or not heard:
        assert not ends, f"{channel} heard the end of what is open: {incident}"
    else:
        assert ends, f"{channel} was told of {incident} and never that it is over: {heard}"
        assert ends[0] > 0 or heard[0].doubt, f"{channel} heard of the end only: {incident}"
        assert all(heard[index].kind is NoticeKind.RESOLVED for index in range(ends[0], len(heard)))
    if news and incident.is_open and not incident.is_flapping and not incident.withheld:
        assert news[-1].kind is not NoticeKind.FLAPPING, f"{channel} was not told how it settled: {incident}"
        is_worse = move(news[-1].notice.level, incident.level) is Move.WORSENED
        assert not is_worse, f"{channel} does not know that it is worse: {incident}, {news[-1]}"
        assert news[-1].notice.level is not Level.UP
