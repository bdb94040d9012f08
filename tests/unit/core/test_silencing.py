"""Silences and maintenance: what they hit, in which words, who is named, and what a sender asks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from support.core_support import WALL, Book, instant, peer_services, service, settings, view

from watchtower.core import requests as r
from watchtower.core.alerting import silencing, telling
from watchtower.core.alerting.matching import read_text
from watchtower.core.alerting.scene import Scene
from watchtower.core.decide import decide
from watchtower.core.model import Incident, Level, NoticeKind, State
from watchtower.core.policies import (
    SILENCE_KEPT_S,
    Acknowledgement,
    Severity,
    Silence,
    SilenceKind,
    Why,
    Withheld,
)
from watchtower.core.settings import Alerting, Settings, Window

NOON = 1_796_212_800.0
"""2026-12-02 12:00 UTC."""
CONFIG = settings(
    service("web", labels=(("team", "shop"),)), service("db", severity=Severity.WARNING), *peer_services()
)


def silence(key: str = "s1", match: str = "service=web", **fields: Any) -> Silence:
    """A silence of an hour from NOON on."""
    known: dict[str, Any] = {
        "kind": SilenceKind.SILENCE,
        "author": "ops-lead",
        "reason": "deploying",
        "created_wall": NOON,
    }
    known |= {"starts_wall": NOON, "ends_wall": NOON + 3600.0, "matchers": read_text(match)}
    return Silence(id=key, **{**known, **fields})


def state(*silences: Silence) -> State:
    """A ledger with these silences."""
    return replace(Book().state, silences={one.id: one for one in silences})


def scene(*silences: Silence, config: Settings = CONFIG, now_wall: float = NOON + 60) -> Scene:
    """A pass a minute after NOON."""
    return Scene(state(*silences), config, view(), replace(instant(100.0), wall=now_wall))


def incident(name: str = "web", level: Level = Level.DOWN) -> Incident:
    """Incident 1."""
    return Incident(number=1, service=name, level=level, reason="test", since_wall=NOON, opened_wall=NOON)


def words(found: Withheld | None) -> str:
    """What people read."""
    return found.text if found else ""


def test_a_silence_is_named_with_author_end_and_reason() -> None:
    """`silenced by ops-lead until 13:00 UTC: deploying`."""
    found = silencing.silenced(scene(silence()), incident())
    assert found == Withheld(
        why=Why.SILENCED, text="silenced by ops-lead until 13:00 UTC: deploying", until_wall=NOON + 3600
    )


def test_the_end_stands_in_local_time_too() -> None:
    """Where people have a time zone."""
    config = replace(CONFIG, alerting=Alerting(timezone="Europe/Berlin"))
    text = "silenced by ops-lead until 13:00 UTC (14:00 Europe/Berlin): deploying"
    assert words(silencing.silenced(scene(silence(), config=config), incident())) == text


def test_an_end_after_more_than_a_day_has_its_date() -> None:
    """And the words stay the same while it lasts, else they would be recorded anew every day."""
    long = silence(ends_wall=NOON + 3 * 86_400)
    texts = {
        words(silencing.silenced(scene(long, now_wall=NOON + day * 86_400), incident())) for day in range(3)
    }
    assert texts == {"silenced by ops-lead until 2026-12-05 12:00 UTC: deploying"}


@pytest.mark.parametrize(("after_s", "is_on"), [(-1, False), (0, True), (3599, True), (3600, False)])
def test_it_holds_from_its_start_to_its_end(after_s: float, is_on: bool) -> None:
    """The end itself is outside."""
    found = silencing.silenced(scene(silence(), now_wall=NOON + after_s), incident())
    assert (found is not None) is is_on


@pytest.mark.parametrize(
    ("match", "is_hit"),
    [("service=w*", True), ("team=shop", True), ("severity=warning", False), ("level=down", True)],
)
def test_it_hits_what_its_matchers_fit(match: str, is_hit: bool) -> None:
    """Labels, the service, its severity, the level."""
    assert (silencing.silenced(scene(silence(match=match)), incident()) is not None) is is_hit


def test_of_several_the_one_that_ends_last_is_named() -> None:
    """So that the end people read is when they will be told."""
    later = silence("s0", author="bob", ends_wall=NOON + 7200)
    assert words(silencing.silenced(scene(silence(), later), incident())).startswith(
        "silenced by bob until 14:00"
    )


def test_maintenance_is_no_silence() -> None:
    """Each kind answers for itself."""
    looks = scene(silence(kind=SilenceKind.MAINTENANCE))
    assert silencing.silenced(looks, incident()) is None
    text = "in maintenance by ops-lead until 13:00 UTC: deploying"
    assert words(silencing.in_maintenance(looks, incident())) == text


def test_planned_maintenance_is_named_in_its_own_time_zone() -> None:
    """Whoever wrote the window thinks in its zone."""
    window = Window(
        match=read_text("team=shop"),
        cron="0 13 * * *",
        for_s=7200,
        timezone="Europe/Berlin",
        reason="upgrade",
    )
    config = replace(CONFIG, maintenance=(window,))
    text = "in maintenance until 14:00 UTC (15:00 Europe/Berlin): upgrade"
    assert words(silencing.in_maintenance(scene(config=config), incident())) == text
    assert silencing.in_maintenance(scene(config=config), incident("db")) is None


def test_a_window_without_a_reason_says_only_until_when() -> None:
    """Nothing hangs after the end."""
    window = Window(match=(), start_wall=NOON, end_wall=NOON + 600)
    config = replace(CONFIG, maintenance=(window,))
    assert (
        words(silencing.in_maintenance(scene(config=config), incident())) == "in maintenance until 12:10 UTC"
    )


def test_maintenance_is_named_before_a_silence() -> None:
    """The order of the reasons."""
    looks = scene(silence(), silence("s2", kind=SilenceKind.MAINTENANCE, ends_wall=NOON + 120))
    found = telling.withheld(looks, incident())
    assert found is not None
    assert found.why is Why.MAINTENANCE


def test_what_is_over_for_a_day_is_forgotten() -> None:
    """And nothing else."""
    old = silence("s9", ends_wall=NOON + 1)
    gone = [*silencing.sweeping(scene(old, silence(), now_wall=NOON + SILENCE_KEPT_S + 2))]
    assert gone == [r.Sweep(epoch=1, silences=("s9",))]
    assert not [*silencing.sweeping(scene(old, silence(), now_wall=NOON + SILENCE_KEPT_S + 1))]


def test_decide_sweeps() -> None:
    """It is one of the stages."""
    looks = scene(silence("s9"), now_wall=NOON + 2 * SILENCE_KEPT_S)
    commands = decide(looks.state, looks.settings, looks.view, looks.now)
    assert r.Sweep(epoch=1, silences=("s9",)) in commands


def told(kind: NoticeKind, *, ack: bool = False, silences: tuple[Silence, ...] = ()) -> str:
    """Why a notification of web's open incident is unwanted, a minute after NOON."""
    book = Book()
    book.fails()
    book.must("a", book.opening())
    for one in silences:
        book.must("a", r.SetSilence(silence=one))
    if ack:
        said = Acknowledgement(by="bob", note="", at_wall=WALL)
        book.must("a", r.Acknowledge(incident=1, ack=said, by="bob", at_wall=WALL))
    item = replace(next(iter(book.state.notifications.values())), kind=kind)
    return silencing.unwanted(book.state, CONFIG, item, NOON + 60)


FIRING_LIKE = [kind for kind in NoticeKind if kind.is_of_incident and kind is not NoticeKind.RESOLVED]


@pytest.mark.parametrize("kind", FIRING_LIKE)
def test_a_sender_does_not_tell_what_is_silenced(kind: NoticeKind) -> None:
    """Sender rule 5: between claim and sending somebody may have said so."""
    assert told(kind) == ""
    assert told(kind, silences=(silence(),)) == "silenced by ops-lead until 13:00 UTC: deploying"


@pytest.mark.parametrize("kind", [NoticeKind.RESOLVED, NoticeKind.TEST, NoticeKind.CEILING])
def test_a_sender_tells_the_end_and_what_is_of_no_incident(kind: NoticeKind) -> None:
    """No silence hides that something is over."""
    assert told(kind, silences=(silence(),), ack=True) == ""


@pytest.mark.parametrize("kind", FIRING_LIKE)
def test_an_acknowledgement_stops_reminders_and_escalation_alone(kind: NoticeKind) -> None:
    """Who has not heard of it yet still hears of it."""
    is_stopped = kind in (NoticeKind.REMINDER, NoticeKind.ESCALATION)
    assert told(kind, ack=True) == ("acknowledged by bob" if is_stopped else "")


def test_the_preview_names_services_and_open_incidents() -> None:
    """Before anybody is silenced, who that would be; an incident only when it is hit as it is now."""
    book = Book()
    book.fails("db")
    book.must("a", book.opening("db", severity=Severity.WARNING))
    hit = silencing.preview(book.state, CONFIG, read_text("service=*b"))
    assert (hit.subjects, hit.incidents) == (("db", "peer/b", "web"), (1,))
    assert "drill/chat" not in silencing.preview(book.state, CONFIG, read_text("service=*")).subjects
    assert silencing.preview(book.state, CONFIG, read_text("severity=info")).incidents == ()
    # Degraded, db would be one milder than the warning it is.
    assert silencing.preview(book.state, CONFIG, read_text("severity=info")).subjects == ("db",)
    assert silencing.preview(book.state, CONFIG, read_text("level=partial")).incidents == ()
