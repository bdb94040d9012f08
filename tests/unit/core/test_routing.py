"""Routing: who hears of a subject, by which rule, and why the other routes do not answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import peer_services, service, settings, view

from watchtower.core.alerting import matching, routing
from watchtower.core.alerting.routing import Audience, Call, audience, is_off_duty
from watchtower.core.alerting.scene import Scene
from watchtower.core.model import Instant, Level, State
from watchtower.core.policies import Severity
from watchtower.core.settings import Alerting, EscalationStep, Hours, Route, Settings

CHANNELS = {"chat": "", "mail": "", "pager": "", "boss": ""}
OFFICE = Hours(days=(0, 1, 2, 3, 4), from_minute=480, until_minute=1080, timezone="UTC")
MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()
MONDAY_NIGHT = datetime(2026, 3, 2, 23, tzinfo=UTC).timestamp()
ONCALL = (
    EscalationStep(after_s=0.0, notify=("chat",)),
    EscalationStep(after_s=600.0, notify=("pager", "mail")),
    EscalationStep(after_s=1800.0, notify=("boss",)),
)
WEB = replace(service("web"), labels=(("team", "shop"),), severity=Severity.WARNING)


def config(*routes: Route, **fields: Any) -> Settings:
    """Some services with routes."""
    services = (WEB, service("own", alert=("mail", "oncall")), service("quiet", alert=()), service("api"))
    fields.setdefault("channels", CHANNELS)
    return settings(*services, *peer_services(), routes=routes, escalations={"oncall": ONCALL}, **fields)


def route(*match: str, notify: tuple[str, ...] = ("mail",), **fields: Any) -> Route:
    """A route as its file would say it."""
    matchers = tuple(matcher for text in match for matcher in matching.read_text(text))
    return Route(match=matchers, notify=notify, **fields)


def asked(
    subject: str, given: Settings, at_wall: float = MONDAY_NOON, severity: Severity = Severity.CRITICAL
) -> Audience:
    """The audience of something that is down."""
    return audience(subject, Level.DOWN, severity, settings=given, at_wall=at_wall)


def scene(given: Settings, at_wall: float) -> Scene:
    """One pass at a time."""
    return Scene(State(), given, view(), Instant(wall=at_wall, boot=100.0))


@pytest.mark.parametrize(
    ("subject", "expected", "reason"),
    [
        ("own", ("mail", "chat"), "its own `alert:`"),
        ("quiet", (), "its own `alert:` names nobody"),
        ("web", ("pager",), "route 1 (team=shop)"),
        ("peer/b", ("mail",), "route 2 (service=peer/*,cluster)"),
        ("cluster", ("mail",), "route 2 (service=peer/*,cluster)"),
        ("api", ("chat",), "no route fits, so the first channel"),
        ("no longer configured", ("chat",), "no route fits, so the first channel"),
    ],
)
def test_who_hears(subject: str, expected: tuple[str, ...], reason: str) -> None:
    """The service's own list, else the first route that fits, else the first channel; and why."""
    given = config(route("team=shop", notify=("pager",)), route("service=peer/*,cluster"), route("team=shop"))
    found = asked(subject, given)
    assert (found.at_once, found.reason) == (expected, reason)


def test_without_routes_the_first_channel_hears_and_without_channels_nobody() -> None:
    """Watching without telling is possible: no channel, no notification."""
    assert asked("api", config()) == Audience(
        calls=(Call(channel="chat", after_s=0.0, repeat_s=14_400.0),), reason="the first channel"
    )
    nobody = asked("api", config(channels={}))
    assert (nobody.calls, nobody.reason) == ((), "no channel is configured")


@pytest.mark.parametrize(("told", "expected"), [(("mail",), ("mail",)), ((), ())])
def test_defaults_are_the_last_word(told: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """`defaults.alert` hears what no route answers for, in place of the first channel; `[]` is nobody."""
    given = config(route("team=shop", notify=("pager",)), default_alert=told)
    assert asked("web", given).at_once == ("pager",)
    assert asked("api", given).at_once == expected
    nobody = "" if told else " names nobody"
    assert asked("api", given).reason == f"no route fits, so `defaults.alert`{nobody}"


def test_continue_asks_the_next_routes_too() -> None:
    """Everybody whose route fits is told, each once, and reminded as the first that named them says."""
    given = config(
        route("team=shop", notify=("chat",), is_continued=True, repeat_s=60.0),
        route("team=other", notify=("boss",)),
        route("severity=critical", notify=("pager", "chat")),
        route(notify=("mail",)),
    )
    found = asked("web", given)
    assert [(call.channel, call.repeat_s) for call in found.calls] == [("chat", 60.0), ("pager", 14_400.0)]
    assert found.reason == "route 1 (team=shop) and route 3 (severity=critical)"
    assert asked("web", given, severity=Severity.WARNING).at_once == ("chat", "mail")


def test_an_escalation_is_told_in_its_turns() -> None:
    """Its first step at once beside the channels of the route, the others later, in order."""
    found = asked("web", config(route(notify=("oncall", "mail"), repeat_s=0.0)))
    assert [(call.channel, call.after_s, call.escalation) for call in found.calls] == [
        ("chat", 0.0, "oncall"),
        ("mail", 0.0, ""),
        ("pager", 600.0, "oncall"),
        ("mail", 600.0, "oncall"),
        ("boss", 1800.0, "oncall"),
    ]
    assert {call.repeat_s for call in found.calls} == {0.0}


def test_a_route_out_of_its_hours_does_not_answer() -> None:
    """By day one route, by night the next one."""
    given = config(route(notify=("chat",), active=(OFFICE,)), route(notify=("pager",)))
    assert asked("web", given).at_once == ("chat",)
    assert asked("web", given, MONDAY_NIGHT).at_once == ("pager",)


def test_why_a_route_does_not_answer() -> None:
    """Each route in order with the first thing that does not fit, until one answers for good."""
    given = config(
        route("team=search"),
        route("owner=me"),
        route("team=shop", "severity!=critical"),
        route(active=(OFFICE,)),
        route(is_continued=True),
        route("team=shop"),
        route(),
    )
    found = matching.facts("web", Level.DOWN, Severity.CRITICAL, given)
    assert [trial.misfit for trial in routing.trials(found, given, MONDAY_NIGHT)] == [
        "team=search does not fit: team is shop",
        "owner=me does not fit: it has no owner",
        "severity!=critical does not fit: severity is critical",
        "out of its hours: mon-fri 08:00-18:00 UTC",
        "",
        "",
    ]


def test_the_repeat_of_alerting_holds_where_a_route_says_nothing() -> None:
    """Own lists and defaults have no other."""
    given = config(route("team=shop"), alerting=Alerting(repeat_s=120.0))
    assert {call.repeat_s for name in ("web", "own", "api") for call in asked(name, given).calls} == {120.0}


def test_off_duty_is_who_is_out_of_all_hours_that_name_it() -> None:
    """A channel that no route names, or one without hours, is always on duty."""
    given = config(
        route(notify=("oncall",), active=(OFFICE,)),
        route(notify=("mail",), active=(OFFICE,)),
        route("team=shop", notify=("mail",)),
    )
    night, noon, free = (
        scene(given, MONDAY_NIGHT),
        scene(given, MONDAY_NOON),
        scene(config(), MONDAY_NIGHT),
    )
    for _ in range(2):
        assert [name for name in CHANNELS if is_off_duty(night, name)] == ["chat", "pager", "boss"]
        assert [name for name in CHANNELS if is_off_duty(noon, name)] == []
        assert not is_off_duty(free, "chat")
