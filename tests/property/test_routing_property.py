"""Routing and follow-ups against plain readings of their rules, over random routes, times and deeds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from support.core_support import WALL, Book, peer_services, service, settings

from watchtower.core import commands as c
from watchtower.core import requests as r
from watchtower.core.alerting import routing
from watchtower.core.model import NoticeKind, Outcome
from watchtower.core.policies import Acknowledgement, Matcher
from watchtower.core.settings import Alerting, EscalationStep, Hours, Route, Settings

CHANNELS = ("chat", "pager", "mail")
LABELS = {"team": ("shop", "pay"), "severity": ("critical", "info"), "zone": ("eu", "us")}
SUNDAYS = Hours(days=(6,), from_minute=0, until_minute=0, timezone="UTC")
"""WALL is a Monday."""
FOLLOW_UPS = (NoticeKind.REMINDER, NoticeKind.ESCALATION)
MATCHERS = st.sampled_from(list(LABELS)).flatmap(
    lambda label: st.builds(
        Matcher,
        label=st.just(label),
        patterns=st.lists(st.sampled_from([*LABELS[label], "*"]), min_size=1, max_size=2).map(tuple),
        is_not=st.booleans(),
    )
)
ROUTES = st.lists(
    st.builds(
        Route,
        match=st.lists(MATCHERS, max_size=2).map(tuple),
        notify=st.lists(st.sampled_from(CHANNELS), max_size=2, unique=True).map(tuple),
        active=st.sampled_from([(), (SUNDAYS,)]),
        is_continued=st.booleans(),
    ),
    max_size=6,
)
FACTS = st.fixed_dictionaries({}, optional={name: st.sampled_from(LABELS[name]) for name in LABELS})


@given(routes=ROUTES, facts=FACTS)
def test_routes_are_read_as_they_are_written(routes: list[Route], facts: dict[str, str]) -> None:
    """In order, each that fits adds its people, the first that does not continue ends it; or the default."""
    given_settings = settings(routes=tuple(routes), channels=dict.fromkeys(CHANNELS, ""))
    expected: list[str] = []
    fitting = [route for route in routes if not route.active and _all_fit(route, facts)]
    for route in fitting:
        expected += [name for name in route.notify if name not in expected]
        if not route.is_continued:
            break
    found = routing.by_routes(facts, given_settings, WALL)
    assert list(found.at_once) == (expected if fitting else ["chat"])


@given(routes=ROUTES, facts=FACTS)
def test_what_is_explained_is_what_happens(routes: list[Route], facts: dict[str, str]) -> None:
    """`route test` and the alerter agree: a route has a reason against it exactly when it does not answer."""
    given_settings = settings(routes=tuple(routes), channels=dict.fromkeys(CHANNELS, ""))
    answering = [trial for trial in routing.trials(facts, given_settings, WALL) if not trial.misfit]
    told = [name for trial in answering for name in trial.route.notify]
    found = routing.by_routes(facts, given_settings, WALL)
    assert list(found.at_once) == (list(dict.fromkeys(told)) if answering else ["chat"])
    assert all(routing.name(trial.number, trial.route) in found.reason for trial in answering)


def _all_fit(route: Route, facts: dict[str, str]) -> bool:
    """A `match:` by the book."""
    for matcher in route.match:
        value = facts.get(matcher.label)
        is_hit = value is not None and (value in matcher.patterns or "*" in matcher.patterns)
        if is_hit is matcher.is_not:
            return False
    return True


ONCALL = (
    EscalationStep(after_s=0.0, notify=("chat",)),
    EscalationStep(after_s=300.0, notify=("pager",)),
    EscalationStep(after_s=900.0, notify=("pager", "mail")),
)
DEEDS = st.lists(
    st.tuples(st.sampled_from(["ack", "withdraw", "deliver", "wait", "wait"]), st.integers(1, 1_200)),
    min_size=3,
    max_size=14,
)


@effort(max_examples=60)
@given(deeds=DEEDS, repeat_s=st.sampled_from([0.0, 120.0, 600.0, 14_400.0]))
def test_follow_ups_keep_their_promises(deeds: list[tuple[str, int]], repeat_s: float) -> None:
    """Whoever acknowledges, whatever arrives: nothing while somebody works on it, nothing twice, no queue."""
    given_settings = settings(
        service("web", alert=("oncall",)),
        *peer_services(),
        channels=dict.fromkeys(CHANNELS, ""),
        escalations={"oncall": ONCALL},
        alerting=Alerting(repeat_s=repeat_s),
    )
    book, boot = Book(), 100.0
    book.fails()
    _pass(book, given_settings, boot)
    for deed, waited_s in deeds:
        boot += waited_s
        _do(book, deed, boot)
        is_acked = book.state.incidents[1].ack is not None
        new = _pass(book, given_settings, boot)
        assert not (is_acked and new), "told although somebody works on it"
        assert len({item.channel for item in new if item.kind is NoticeKind.REMINDER}) == len(
            [item for item in new if item.kind is NoticeKind.REMINDER]
        )
        waiting = [item for item in book.items(1) if not item.stage.finished]
        assert not (is_acked and any(item.kind in FOLLOW_UPS for item in waiting)), "waits in vain"
        for channel in CHANNELS:
            reminders = [i for i in waiting if (i.channel, i.kind) == (channel, NoticeKind.REMINDER)]
            assert len(reminders) <= 1, "reminders pile up"
    kept = [item for item in book.items(1) if item.kind is NoticeKind.REMINDER]
    assert len(kept) <= 3 * len(CHANNELS), "old reminders are kept"


def _do(book: Book, deed: str, boot: float) -> None:
    if deed == "deliver":
        for item in [item for item in book.items(1) if not item.stage.finished]:
            if book.claim(item, policy_rev=book.state.policy_rev).ok:
                book.settle(item, Outcome.ACCEPTED, at_wall=WALL + boot)
    elif deed in ("ack", "withdraw"):
        ack = Acknowledgement(by="x", note="", at_wall=WALL + boot) if deed == "ack" else None
        book.do("b", r.Acknowledge(incident=1, ack=ack, by="x", at_wall=WALL + boot))


def _pass(book: Book, given_settings: Settings, boot: float) -> list[c.Draft]:
    """One pass of the alerter, applied; what it has newly made. A second pass finds nothing to do."""
    commands, _ = book.decided(given_settings, boot)
    for command in commands:
        book.must("a", command)
    again, _ = book.decided(given_settings, boot)
    assert not [command for command in again if isinstance(command, c.Enqueue | c.Drop | c.Withhold)]
    return [command.draft for command in commands if isinstance(command, c.Enqueue)]
