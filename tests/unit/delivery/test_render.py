"""delivery/render.py and shapes.py: what people read, as golden files, and hostile text rendered inert.

A golden file shows one message in every shape; WATCHTOWER_REWRITE=1 writes the files anew, and the
difference is then read like code.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support import delivery_storms as storms
from support import delivery_support as made
from support.core_support import WALL, Book, service, settings

from watchtower.core import commands as c
from watchtower.core.channel_rows import ChannelRow, Drill
from watchtower.core.model import (
    Attempt,
    Doubt,
    Evidence,
    Level,
    NoticeKind,
    Notification,
    Opinion,
    Outcome,
    ServiceRow,
    Stage,
    State,
)
from watchtower.core.policies import Severity
from watchtower.core.settings import Service
from watchtower.core.targets import TcpTarget
from watchtower.delivery import shapes
from watchtower.delivery.message import Message, span
from watchtower.delivery.render import LOST_NOTE, STOPPED_NOTE, UNHEARD_NOTE, render
from watchtower.delivery.rendering import surroundings

GOLDEN = Path(__file__).parent / "golden"

DEGRADED: dict[str, Any] = {
    "notice_level": Level.DEGRADED,
    "notice_reason": "2 of 3 peers see it degraded or down",
    "notice_evidence": (
        Evidence(peer="a", opinion=Opinion.DEGRADED, text="time < 800ms: was 2.31 s", latency_ms=2310),
        Evidence(peer="b", opinion=Opinion.DEGRADED, text="time < 800ms: was 1.90 s", latency_ms=1900),
        Evidence(peer="c", opinion=Opinion.UNKNOWN, text="no reference answers"),
    ),
}
DRILL = "a fire drill, started by the schedule: acknowledge it to prove that it arrived"
PARTIAL: dict[str, Any] = {
    "notice_level": Level.PARTIAL,
    "notice_reason": "1 of 3 peers see it failing, 2 see it up",
    "notice_evidence": (
        Evidence(peer="a", opinion=Opinion.UP, text="HTTP 200", latency_ms=30),
        Evidence(peer="b", opinion=Opinion.UP, text="HTTP 200", latency_ms=31),
        Evidence(peer="c", opinion=Opinion.DOWN, text="connection refused"),
    ),
}
CASES: dict[str, Notification] = {
    "down": made.notification(),
    "down_with_dissent": made.notification(
        notice_reason="2 of 3 peers see it down", notice_evidence=made.DISSENT_EVIDENCE
    ),
    "down_while_one_looks_again": made.notification(
        notice_reason="2 of 3 peers see it down",
        notice_evidence=(
            *made.DOWN_EVIDENCE[:2],
            Evidence(peer="c", opinion=Opinion.UP, text="connection refused", suspect=True),
        ),
    ),
    "degraded": made.notification(**DEGRADED),
    "partial": made.notification(**PARTIAL),
    "worse": made.notification(NoticeKind.WORSENED),
    "recovered": made.notification(NoticeKind.RESOLVED, notice_at_wall=made.BEGAN_WALL + 252),
    "peer_down": made.notification(service="peer/b", notice_evidence=made.DOWN_EVIDENCE[::2]),
    "cluster": made.notification(
        service="cluster", notice_evidence=(), notice_reason="cannot judge 40 services"
    ),
    "repeat": made.notification(attempt=2, doubt=Doubt.MAYBE),
    "fallback": made.notification(
        channel="mail",
        notice_instead_of="chat",
        notice_instead_because="chat cannot work as configured: 404 no_service",
    ),
    "reminder": made.notification(NoticeKind.REMINDER, notice_at_wall=made.BEGAN_WALL + 7_800, notice_step=2),
    "escalation": made.notification(NoticeKind.ESCALATION, notice_at_wall=made.BEGAN_WALL + 600),
    "flapping": made.notification(NoticeKind.FLAPPING),
    "settled_down": made.notification(NoticeKind.SETTLED, notice_at_wall=made.BEGAN_WALL + 1_320),
    "settled_up": made.notification(
        NoticeKind.SETTLED, notice_level=Level.UP, notice_evidence=(), notice_at_wall=made.BEGAN_WALL + 1_320
    ),
    "drill": made.notification(service="drill/chat", notice_reason=DRILL, notice_evidence=()),
    "drill_over": made.notification(
        NoticeKind.RESOLVED, service="drill/chat", notice_reason="it has arrived", notice_evidence=()
    ),
    "channel_down": made.notification(
        service="channel/mail",
        notice_reason="it takes nothing until somebody mends it: SMTP 535: wrong password",
        notice_evidence=(),
    ),
    "channel_not_proven": made.notification(
        service="channel/mail",
        notice_level=Level.DEGRADED,
        notice_severity=Severity.WARNING,
        notice_reason="a fire drill has not arrived",
        notice_evidence=(),
    ),
    "channel_recovered": made.notification(
        NoticeKind.RESOLVED, service="channel/mail", notice_reason="nothing waits for it in vain any more"
    ),
    "ceiling": made.notification(
        NoticeKind.CEILING,
        service="",
        incident=0,
        notice_reason="120 messages within an hour; what waits is told when the next hour begins",
    ),
    "test": made.notification(
        NoticeKind.TEST, service="test/1", incident=0, notice_reason="asked for by lena", notice_evidence=()
    ),
}


def shown(message: Message) -> str:
    """The message in every shape, as one text."""
    mail = shapes.mail_parts(message)
    parts = {
        "subject": message.subject,
        "160 characters": shapes.short(message),
        "plain": shapes.plain(message),
        "markdown": shapes.markdown(message),
        "slack": json.dumps(shapes.slack_payload(message, is_bot=True), indent=1, ensure_ascii=False),
        "slack, bare": json.dumps(shapes.slack_bare(message, is_bot=False), indent=1, ensure_ascii=False),
        "webhook": json.dumps(_shortened(shapes.webhook_body(message)), indent=1, ensure_ascii=False),
        "mail, html": mail.html,
    }
    return "".join(f"======== {name}\n{text}\n" for name, text in parts.items())


def _shortened(body: dict[str, Any]) -> dict[str, Any]:
    """The body with two members of a digest at most: the others look the same."""
    return body | {"members": body["members"][:2]}


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_message_reads_as_its_golden_file(name: str) -> None:
    """Subject, plain text, Slack, webhook and mail of each kind, word for word."""
    public_url = "https://status.example.com" if name in ("down", "recovered") else ""
    channels = {"mail": "mailto://127.0.0.1?from=a@example.com&to=b@example.com"}
    settings, state = made.settings(channels, public_url=public_url), made.state()
    if name == "channel_down":
        state = replace(state, channels={"mail": ChannelRow(trouble="SMTP 535: wrong password")})
        owed = made.notification(channel="mail", stage=Stage.DEAD)
        later = replace(owed, id="later", order=8, kind=NoticeKind.REMINDER, stage=Stage.PENDING)
        state = replace(state, notifications={"owed": owed, "later": later})
    if name == "flapping":
        turns = tuple(made.BEGAN_WALL - 60.0 * number for number in range(12))
        state = replace(state, services={"shop": ServiceRow(turns=turns)})
    if name.startswith("drill"):
        state = replace(state, drill=Drill(channel="chat", started_wall=1.0, arrived_wall=2.0))
    message = render(CASES[name], state, settings)
    assert_golden(name, message)


@pytest.mark.parametrize("name", storms.CASES)
def test_every_message_about_many_reads_as_its_golden_file(name: str) -> None:
    """A root cause with what it takes along, and digests: grouped by cause, the loudest first."""
    assert_golden(name, storms.CASES[name]())


def test_who_needs_what_fails_is_counted_before_any_of_them_fails() -> None:
    """At the first alert its dependents have not failed yet: `0 failing` would calm people."""
    only = storms.state([storms.incident(7, "orders-db")])
    facts, _ = surroundings.impact("orders-db", 7, only, storms.settings(2))
    assert facts == [("Affected", "2 services need it")]


def assert_golden(name: str, message: Message) -> None:
    """The message in every shape is what its file says."""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("WATCHTOWER_REWRITE"):
        path.write_text(shown(message), encoding="utf-8")
    assert shown(message) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (12.4, "12 s"),
        (252, "4 min 12 s"),
        (3_605, "1 h"),
        (7_800, "2 h 10 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_durations_are_told_in_their_two_largest_units(seconds: float, text: str) -> None:
    """Nobody reads `0:04:12.348`."""
    assert span(seconds) == text


def test_a_repeat_says_why_it_may_be_one() -> None:
    """A takeover names the stopped sender, a lost answer names the lost answer."""
    stopped = made.notification(doubt=Doubt.MAYBE)
    attempt = Attempt(number=1, peer="a", outcome=Outcome.AMBIGUOUS, detail="", at_wall=0.0)
    assert render(stopped, made.state(), made.settings()).notes == (STOPPED_NOTE,)
    lost = replace(stopped, attempts=(attempt,))
    assert render(lost, made.state(), made.settings()).notes == (LOST_NOTE,)
    assert render(made.notification(), made.state(), made.settings()).notes == ()


@pytest.mark.parametrize(
    ("stage", "doubt", "notes"),
    [
        (Stage.DELIVERED, Doubt.PROOF, ()),
        (Stage.SUPERSEDED, Doubt.MAYBE, (UNHEARD_NOTE,)),
        (Stage.DEAD, Doubt.NO, (UNHEARD_NOTE,)),
    ],
)
def test_a_recovery_says_when_its_alert_may_not_have_arrived(
    stage: Stage, doubt: Doubt, notes: tuple[str, ...]
) -> None:
    """People who read "recovered" without ever having read "down" are told why."""
    firing = replace(made.notification(stage=stage, doubt=doubt), id="feedfeedfeedfeed", order=6)
    resolved = made.notification(NoticeKind.RESOLVED)
    assert render(resolved, made.state(firing, resolved), made.settings()).notes == notes


def test_the_subject_keeps_the_cluster_name_however_long_the_rest() -> None:
    """The name of the cluster is what tells production from staging."""
    settings = made.settings()
    long = Service(name="shop", target=TcpTarget(host="h", port=1), voters=("a",), title="x" * 500)
    settings = replace(settings, services={"shop": long})
    subject = render(made.notification(), made.state(), settings).subject
    assert len(subject) <= 150
    assert subject.startswith("[DOWN] xxx")
    assert subject.endswith(" - prod")


def test_a_link_that_is_no_plain_web_address_is_left_out() -> None:
    """A configured runbook may be any string; only http(s) without markup becomes a link."""
    settings = made.settings(public_url="https://s.example.com")
    for url in ("javascript:alert(1)", "https://x/>|<!channel>", 'https://x/"onclick', "ftp://x", ""):
        bad = replace(settings.services["shop"], runbook=url, dashboard="")
        message = render(made.notification(), made.state(), replace(settings, services={"shop": bad}))
        assert [link.label for link in message.links] == ["Acknowledge", "Silence", "Status"]


def test_an_unknown_incident_and_an_empty_state_still_render() -> None:
    """Rendering is total: an alert must not die of missing context."""
    for kind in NoticeKind:
        item = made.notification(kind, service="gone", notice_evidence=())
        subject = render(item, State(), made.settings()).subject
        assert ("gone" in subject) is kind.is_of_incident
        assert subject.endswith(" - prod")


def test_the_reference_lists_every_kind_and_every_field_of_a_webhook() -> None:
    """docs/reference/messages.md is what receivers are written by."""
    text = (Path(__file__).parents[3] / "docs" / "reference" / "messages.md").read_text(encoding="utf-8")
    for kind in NoticeKind:
        assert f"| `{kind.value}` | `[" in text
    rows = text.partition("| field | meaning |")[2].splitlines()[2:]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    body = shapes.webhook_body(render(made.notification(), made.state(), made.settings()))
    assert sorted(listed) == sorted(body)


def test_a_webhook_gets_every_member_of_a_digest() -> None:
    """People get ten names and a page; machines get all of them, with what explains each."""
    members = shapes.webhook_body(storms.storm())["members"]
    assert len(members) == 503
    by_service = {member["service"]: member for member in members}
    assert by_service["shop-499"]["cause"] == "orders-db"
    assert by_service["orders-db"]["cause"] == ""
    assert (by_service["shop-600"]["kind"], by_service["shop-600"]["level"]) == ("resolved", "up")
    assert by_service["dns"]["severity"] == "warning"


def test_a_repeated_digest_says_what_is_over_meanwhile() -> None:
    """It is repeated whole, for it may have arrived; but nobody reads that something is down which is not."""
    book = Book()
    items = [book.opened(name)[0] for name in ("web", "api", "db")]
    draft = book.draft("chat", "*", "1", NoticeKind.DIGEST)
    members = tuple(item.id for item in items)
    book.must("a", c.Coalesce(epoch=1, draft=draft, members=members, at_wall=WALL))
    digest = book.state.notifications[draft.id]
    book.claim(digest)
    book.settle(digest, Outcome.AMBIGUOUS)
    book.closed("web")
    message = render(book.item(digest), book.state, settings(*map(service, ("web", "api", "db"))))
    assert message.subject == "[DIGEST] 2 alerts: api DOWN (test) and 1 more, 1 recovered - test"
    assert message.groups[-1].title == "Recovered (1)"
    assert message.groups[-1].lines == ("web after 1 min",)
    assert {member.service: member.level for member in message.members} == {
        "api": "down", "db": "down", "web": "up",
    }  # fmt: skip
