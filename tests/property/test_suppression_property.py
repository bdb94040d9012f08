"""Suppression over whole stories: what is hidden is folded into what is told, or is told itself in time.

Services that need one another fail and recover as they like, under the real decide and the real apply; what
is to be sent is delivered at once. After every pass the promises are looked at.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from msgspec.structs import replace
from support.core_support import PEERS, Book, instant, peer_services, service, settings, view

from watchtower.core.alerting.dependencies import needed_by
from watchtower.core.decide import decide
from watchtower.core.judging import verdicts
from watchtower.core.model import Incident, NoticeKind, Opinion, Outcome, Vote
from watchtower.core.policies import Why
from watchtower.core.settings import Alerting, Need

STEP_S = 0.5
HOLD_S = 2.0
HIDE_S = 10.0
SLACK_S = 2 * STEP_S
"""One pass until it is derived, and one until it is recorded."""
CONFIG = settings(
    service("disk"),
    service("db", needs=(Need(names=("disk",)),)),
    service("pay-a"),
    service("pay-b"),
    service("shop", needs=(Need(names=("db",)), Need(names=("pay-a", "pay-b"), degraded="no payments"))),
    service("admin", needs=(Need(names=("shop",)),)),
    *peer_services(),
    alerting=Alerting(hold_s=HOLD_S, suppress_s=HIDE_S),
)
NAMES = ("disk", "db", "pay-a", "pay-b", "shop", "admin")
START = Book().state
turns = st.tuples(
    st.integers(0, 12), st.sampled_from(NAMES), st.sampled_from((*Opinion, Opinion.DOWN, Opinion.UP))
)
stories = st.lists(turns, min_size=1, max_size=12)


class Story:
    """A cluster that looks, decides, records and sends, half a second at a time."""

    def __init__(self) -> None:
        self.book = Book()
        self.book.state = START
        self.boot = 100.0
        self.looks = view("a", self.boot)

    def see(self, name: str, opinion: Opinion) -> None:
        """All peers see it so from now on."""
        vote = Vote(opinion=opinion, since_wall=instant(self.boot).wall)
        for peer in PEERS:
            self.book.report(peer, {name: None if opinion is Opinion.UP else vote}, full=False)

    def step(self) -> None:
        """One pass and all that follows from it; then the promises."""
        book, now = self.book, instant(self.boot)
        heard = replace(self.looks, heard_boot=dict.fromkeys(PEERS, self.boot))
        standings = verdicts.observe(book.state, CONFIG, heard, now)
        self.looks = replace(heard, standings=standings)
        for command in decide(book.state, CONFIG, self.looks, now):
            book.do("a", command)  # what a pass says of an incident that it ends itself is refused
        for item in tuple(book.state.notifications.values()):
            if not item.stage.finished:
                assert book.claim(item).ok
                assert book.settle(item, Outcome.ACCEPTED, at_wall=now.wall).ok
        for incident in book.state.incidents.values():
            self.check(incident, now.wall)
        self.boot += STEP_S

    def check(self, incident: Incident, now_wall: float) -> None:
        """What must hold of an incident at any time."""
        told = self.told(incident)
        if not incident.is_open:
            assert (NoticeKind.RESOLVED in told) is bool(told), "whoever was told hears the end, nobody else"
            return
        why = incident.withheld
        if why is None:
            assert (
                told
                or now_wall - incident.opened_wall <= SLACK_S
                or incident.timeline[-1].at_wall == now_wall
            )
            return
        assert why.why in (Why.HELD, Why.SUPPRESSED)
        assert now_wall <= why.until_wall + SLACK_S, "it is hidden for longer than was said"
        if why.why is Why.SUPPRESSED:
            assert incident.hidden is not None
            assert now_wall <= incident.hidden.since_wall + HIDE_S + SLACK_S
            root = self.book.state.incidents[why.root]
            assert root.service in needed_by(CONFIG, incident.service), "folded into what it does not need"
            if root.is_open and root.withheld is not None:  # it has just been found to be explained itself
                assert root.withheld.why is Why.HELD or root.timeline[-1].at_wall >= now_wall - SLACK_S
        elif incident.hidden is None:
            assert now_wall - incident.opened_wall <= HOLD_S + SLACK_S

    def told(self, incident: Incident) -> list[NoticeKind]:
        """What people have been told of it, in order."""
        items = self.book.state.notifications.values()
        mine = sorted((one for one in items if one.incident == incident.number), key=lambda one: one.order)
        return [one.kind for one in mine]


@given(stories)
@effort(max_examples=60, deadline=None)
def test_what_is_hidden_is_folded_or_told_in_time(story: list[tuple[int, str, Opinion]]) -> None:
    """At every moment of the story, and when nothing has happened for long, everything open has been told."""
    world = Story()
    world.step()
    for wait, name, opinion in story:
        for _ in range(wait):
            world.step()
        world.see(name, opinion)
    for _ in range(int((HIDE_S + 2 * HOLD_S + 3.0) / STEP_S)):
        world.step()
    for incident in world.book.state.incidents.values():
        assert not incident.is_open or world.told(incident), "nobody has ever heard of it"


@given(stories)
@effort(max_examples=40, deadline=None)
def test_a_pass_that_was_recorded_is_not_proposed_again(story: list[tuple[int, str, Opinion]]) -> None:
    """Holding and folding come to rest at once: two passes at one instant settle everything."""
    world = Story()
    for wait, name, opinion in story:
        for _ in range(wait):
            world.step()
        world.see(name, opinion)
    world.step()
    world.boot -= STEP_S
    world.step()
    now = instant(world.boot - STEP_S)
    third = decide(world.book.state, CONFIG, world.looks, now)
    assert all(type(command).__name__ != "Withhold" for command in third)
