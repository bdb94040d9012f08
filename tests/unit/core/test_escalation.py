"""Reminders and escalation steps: when they are due, who gets them, and what stops or prunes them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.core_support import WALL, Book, instant, peer_services, service, settings, view

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.alerting import escalation
from watchtower.core.alerting.escalation import reminder_at, reminders_due
from watchtower.core.alerting.scene import Scene
from watchtower.core.model import Level, Notice, NoticeKind, Notification, Outcome, Stage
from watchtower.core.policies import Acknowledgement
from watchtower.core.settings import Alerting, EscalationStep, Hours, Route, Settings

MINUTE_S, HOUR_S = 60.0, 3_600.0
CHANNELS = {"chat": "", "pager": "", "boss": ""}
ONCALL = (
    EscalationStep(after_s=0.0, notify=("chat",)),
    EscalationStep(after_s=600.0, notify=("pager",)),
    EscalationStep(after_s=1200.0, notify=("pager", "boss")),
)
OPENED_S = 100.0
FOLLOW_UPS = (NoticeKind.REMINDER, NoticeKind.ESCALATION)


def config(*routes: Route, repeat_s: float = 14_400.0, **fields: Any) -> Settings:
    """One service with routes."""
    return settings(
        service("web"),
        *peer_services(),
        channels=CHANNELS,
        routes=routes,
        escalations={"oncall": ONCALL},
        alerting=Alerting(repeat_s=repeat_s),
        **fields,
    )


class Story:
    """An incident of `web` that was announced at OPENED_S, and what the alerter makes of it later on."""

    def __init__(self, given_settings: Settings) -> None:
        self.settings = given_settings
        self.book = Book()
        self.book.fails()
        self.number = 0
        self.at(OPENED_S)
        self.number = self.book.state.last_incident

    def at(self, boot: float, *, is_delivered: bool = True) -> list[tuple[str, str, int]]:
        """Channel, kind and step of what is made at `boot`, delivered a second later unless it is not."""
        before = {item.id for item in self.items}
        commands, _ = self.book.decided(self.settings, boot)
        for command in commands:
            self.book.must("a", command)
        again, _ = self.book.decided(self.settings, boot)
        assert not [command for command in again if not isinstance(command, c.Assign)], "not idempotent"
        new = [item for item in self.items if item.id not in before]
        for item in new if is_delivered else ():
            self.deliver(item, boot + 1)
        return [(item.channel, item.kind.value, item.notice.step) for item in new]

    def gather(self, items: list[Notification]) -> Notification:
        """One digest of what waits."""
        draft = self.book.draft("chat", "*", items[0].id, NoticeKind.DIGEST)
        members = tuple(item.id for item in items)
        self.book.must("a", c.Coalesce(epoch=1, draft=draft, members=members, at_wall=WALL))
        return self.book.state.notifications[draft.id]

    def deliver(self, item: Notification, boot: float) -> None:
        """The channel takes it."""
        state = self.book.state
        claim = c.Claim(
            id=item.id, attempt=item.attempt, hold_ms=15_000, claim_id="x", policy_rev=state.policy_rev
        )
        self.book.must("a", claim)
        self.book.must(
            "a",
            c.Settle(id=item.id, attempt=item.attempt + 1, outcome=Outcome.ACCEPTED, at_wall=WALL + boot),
        )

    def acknowledge(self, by: str = "ops-lead") -> None:
        """Somebody takes it; without a name, leaves it again."""
        ack = Acknowledgement(by=by, note="", at_wall=WALL) if by else None
        self.book.must("b", r.Acknowledge(incident=self.number, ack=ack, by=by or "ops-lead", at_wall=WALL))

    @property
    def items(self) -> list[Notification]:
        """All notifications of the incident."""
        return self.book.items(self.number or self.book.state.last_incident)

    def stages(self, *kinds: NoticeKind) -> list[Stage]:
        """How the notifications of these kinds stand."""
        return [item.stage for item in self.items if item.kind in kinds]


@pytest.mark.parametrize(
    ("repeat_s", "expected_m"),
    [
        (4 * HOUR_S, [30, 120, 360, 600]),
        (HOUR_S, [30, 90, 150, 210]),
        (30 * MINUTE_S, [30, 60, 90, 120]),
        (10 * MINUTE_S, [10, 20, 30, 40]),
        (2 * HOUR_S, [30, 120, 240, 360]),
        (24 * HOUR_S, [30, 120, 1560, 3000]),
    ],
)
def test_when_reminders_are_due(repeat_s: float, expected_m: list[int]) -> None:
    """After 30 minutes, 2 hours, then every `repeat`; a shorter one is kept from the beginning."""
    assert [reminder_at(number, repeat_s) / MINUTE_S for number in range(1, 5)] == expected_m
    for number, due_m in enumerate(expected_m, 1):
        assert reminders_due(due_m * MINUTE_S - 0.1, repeat_s) == number - 1
        assert reminders_due(due_m * MINUTE_S, repeat_s) == number


@given(elapsed_s=st.floats(0, 90 * 86_400, allow_nan=False), repeat_s=st.integers(60, 7 * 86_400).map(float))
def test_the_row_of_reminders_is_without_gap_or_haste(elapsed_s: float, repeat_s: float) -> None:
    """At any moment the latest that is due has come and the next has not; pauses are within their bounds."""
    due = reminders_due(elapsed_s, repeat_s)
    assert due == 0 or reminder_at(due, repeat_s) <= elapsed_s + 1e-6
    assert elapsed_s < reminder_at(due + 1, repeat_s) + 1e-6
    pause_s = reminder_at(due + 1, repeat_s) - (reminder_at(due, repeat_s) if due else 0.0)
    assert min(1_800.0, repeat_s) - 1e-6 <= pause_s <= repeat_s + 1e-6


def test_never_is_never() -> None:
    """`repeat: never` knows no reminder."""
    assert reminders_due(1e9, 0.0) == 0
    story = Story(config(repeat_s=0.0))
    assert story.at(OPENED_S + 30 * 86_400) == []


def test_only_the_latest_reminder_is_told() -> None:
    """Nobody alerted for a day: one message, not seven; and the next one at its own time."""
    story = Story(config())
    assert story.at(OPENED_S + 1_799) == []
    assert story.at(OPENED_S + 86_400) == [("chat", "reminder", 7)]
    assert story.at(OPENED_S + 86_401) == []
    assert story.at(OPENED_S + reminder_at(8, 14_400.0)) == [("chat", "reminder", 8)]


def test_an_alerter_whose_clock_is_behind_repeats_none() -> None:
    """The next alerter's clock is ten seconds behind: what its predecessor told, it does not tell again."""
    story = Story(config(repeat_s=600.0))
    assert story.at(OPENED_S + 1_200.5) == [("chat", "reminder", 2)]
    assert story.at(OPENED_S + 1_190.5) == []
    assert story.at(OPENED_S + 1_800) == [("chat", "reminder", 3)]


def test_a_month_of_reminders_does_not_grow_the_ledger() -> None:
    """Every ten minutes for three days: the announcement and the latest reminder are what is kept."""
    story = Story(config(repeat_s=600.0))
    for number in range(1, 433):
        assert story.at(OPENED_S + number * 600) == [("chat", "reminder", number)]
        assert len(story.items) <= 2
    assert [(item.kind, item.notice.step) for item in story.items] == [
        (NoticeKind.FIRING, 0),
        (NoticeKind.REMINDER, 432),
    ]


def test_what_proves_that_a_channel_was_told_is_not_pruned() -> None:
    """A route of the day reminds somebody who was never told before: they hear the end, come what may."""
    story = Story(config(Route(notify=("pager",)), repeat_s=600.0))
    story.settings = config(Route(notify=("boss",)), repeat_s=600.0)
    for number in range(1, 4):
        assert story.at(OPENED_S + number * 600) == [("boss", "reminder", number)]
    story.at(OPENED_S + 4 * 600, is_delivered=False)
    story.acknowledge()
    story.at(OPENED_S + 4 * 600 + 1)
    assert story.stages(NoticeKind.REMINDER) == [Stage.DELIVERED, Stage.CANCELLED]
    story.book.recovers()
    story.at(OPENED_S + 5 * 600)
    assert [item.channel for item in story.items if item.kind is NoticeKind.RESOLVED] == ["pager", "boss"]


def test_reminders_do_not_pile_up_where_nothing_arrives() -> None:
    """While one waits for its channel no other is made, nor right after it has arrived."""
    story = Story(config(repeat_s=600.0))
    assert story.at(OPENED_S + 600, is_delivered=False) == [("chat", "reminder", 1)]
    assert story.at(OPENED_S + 6_000) == []
    story.deliver(story.items[-1], OPENED_S + 6_500)
    assert story.at(OPENED_S + 6_501) == []
    assert story.at(OPENED_S + 6_600) == []
    assert story.at(OPENED_S + 7_200) == [("chat", "reminder", 12)]


def test_steps_are_told_in_their_time() -> None:
    """Each with its number, the same channel again where a later step names it again."""
    story = Story(config(Route(notify=("oncall",), repeat_s=0.0)))
    assert [item.channel for item in story.items] == ["chat"]
    assert story.at(OPENED_S + 599) == []
    assert story.at(OPENED_S + 600) == [("pager", "escalation", 1)]
    assert story.at(OPENED_S + 1_199) == []
    assert story.at(OPENED_S + 1_200) == [("pager", "escalation", 2), ("boss", "escalation", 2)]
    assert story.at(OPENED_S + 86_400) == []


def test_late_steps_are_told_once_per_channel() -> None:
    """Nobody alerted meanwhile: the pager hears the later of its two steps, and not both."""
    story = Story(config(Route(notify=("oncall",), repeat_s=0.0)))
    assert story.at(OPENED_S + 5_000) == [("pager", "escalation", 2), ("boss", "escalation", 2)]
    assert story.at(OPENED_S + 5_001) == []


def test_a_reminder_is_for_whom_the_incident_has_reached_and_not_on_the_heels_of_a_step() -> None:
    """After 30 minutes the chat is reminded; the pager and the boss heard a step ten minutes before."""
    story = Story(config(Route(notify=("oncall",))))
    for after_s in (600, 1_200):
        assert story.at(OPENED_S + after_s)
    assert story.at(OPENED_S + 1_800) == [("chat", "reminder", 1)]
    assert story.at(OPENED_S + 7_200) == [(name, "reminder", 2) for name in ("chat", "pager", "boss")]


def test_between_two_of_its_steps_a_channel_is_reminded() -> None:
    """The pager was told after ten minutes and will be after twenty: every four minutes it is reminded."""
    story = Story(config(Route(notify=("oncall",), repeat_s=240.0)))
    told = {boot: story.at(OPENED_S + boot) for boot in (600, 720, 960, 1_200, 1_440)}
    assert ("pager", "escalation", 1) in told[600]
    assert ("pager", "reminder", 3) not in told[720], "two minutes after the step"
    assert told[960] == [("chat", "reminder", 4), ("pager", "reminder", 4)]
    assert [made for made in told[1_200] if made[0] == "pager"] == [("pager", "escalation", 2)]
    assert [made[0] for made in told[1_440]] == ["chat", "pager", "boss"]


def test_another_rhythm_holds_from_its_reload_on() -> None:
    """From every ten minutes to every four hours: the second of one row is not the second of the other."""
    story = Story(config(repeat_s=600.0))
    for number in (1, 2):
        assert story.at(OPENED_S + number * 600)
    story.settings = config()
    assert story.at(OPENED_S + 7_199) == []
    assert story.at(OPENED_S + 7_200) == [("chat", "reminder", 2)]
    story.settings = config(repeat_s=600.0)
    assert story.at(OPENED_S + 7_800) == [("chat", "reminder", 13)]


def test_an_acknowledgement_takes_back_what_waits_and_lets_it_go_on_when_it_is_withdrawn() -> None:
    """What had left is out; what waits is withdrawn with the reason; both are made anew later on."""
    story = Story(config(Route(notify=("oncall",), repeat_s=600.0)))
    made = story.at(OPENED_S + 600, is_delivered=False)
    assert made == [("pager", "escalation", 1), ("chat", "reminder", 1)]
    story.acknowledge()
    assert story.at(OPENED_S + 700) == []
    assert [item.dropped for item in story.items if item.kind in FOLLOW_UPS] == [
        "acknowledged by ops-lead"
    ] * 2
    assert story.stages(*FOLLOW_UPS) == [Stage.CANCELLED] * 2
    assert story.at(OPENED_S + 1_000) == []
    story.acknowledge(by="")
    assert sorted(story.at(OPENED_S + 1_001)) == [("chat", "reminder", 1), ("pager", "escalation", 1)]


def test_an_acknowledgement_in_the_last_moment_wins() -> None:
    """Decided before it was applied, proposed after it: the reminder is refused by the ledger."""
    story = Story(config())
    commands, _ = story.book.decided(story.settings, OPENED_S + 1_800)
    assert [type(command) for command in commands] == [c.Enqueue]
    story.acknowledge()
    assert not story.book.do("a", commands[0]).ok


def test_whoever_was_told_hears_that_it_is_worse_unless_off_duty() -> None:
    """The audience of the new severity, and those told before whose routes have hours that hold."""
    sundays = Hours(days=(6,), from_minute=0, until_minute=0, timezone="UTC")
    for active, expected in (((), ["pager", "chat"]), ((sundays,), ["pager"])):
        story = Story(config(Route(notify=("chat",))))
        story.settings = config(Route(notify=("pager",)), Route(notify=("chat",), active=active))
        incident = story.book.state.incidents[story.number]
        now = instant(OPENED_S + 10)
        seen = view("a", OPENED_S + 10)
        scene = Scene(story.book.state, story.settings, seen, now)
        assert list(escalation.reached(scene, incident, story.items)) == expected


def test_who_hears_by_a_fallback_hears_the_next_through_the_channel_itself() -> None:
    """A fallback stands in for one message; it does not become part of the audience."""
    story = Story(config(Route(notify=("chat",))))
    draft = story.book.draft("boss", "web", "1", notice=_instead_of("chat"))
    story.book.must("a", c.Enqueue(epoch=1, incident=story.number, draft=draft, at_wall=WALL))
    scene = Scene(story.book.state, story.settings, view("a", 200.0), instant(200.0))
    incident = story.book.state.incidents[story.number]
    assert escalation.reached(scene, incident, story.items) == ("chat",)


def _instead_of(channel: str) -> Notice:
    return Notice(level=Level.DOWN, reason="test", since_wall=WALL, at_wall=WALL, instead_of=channel)


def test_what_a_digest_has_just_told_is_not_reminded_of() -> None:
    """When a digest was taken, each of those it tells was told."""
    story = Story(config())
    story.at(OPENED_S)
    book = Book()
    story.book = book
    book.fails()
    for command in book.decided(story.settings, OPENED_S)[0]:
        book.must("a", command)
    digest = story.gather(book.items(1))
    due_s = OPENED_S + 30 * MINUTE_S
    story.deliver(digest, due_s - 1)
    assert story.at(due_s + 1) == []


def test_what_was_withdrawn_again_and_again_is_told_again() -> None:
    """Also when the rows of earlier times are pruned: an id is never used twice."""
    story = Story(config())
    due_s = OPENED_S + 30 * MINUTE_S
    for turn in range(4):
        assert story.at(due_s + turn, is_delivered=False) == [("chat", "reminder", 1)]
        story.acknowledge()
        for command in story.book.decided(story.settings, due_s + turn)[0]:
            story.book.must("a", command)
        story.acknowledge("")
