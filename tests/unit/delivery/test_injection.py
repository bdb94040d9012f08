"""What watched services say is inert in every shape, and no shape is longer than its channel takes.

One table of shapes times one table of hostile texts; hypothesis adds whatever it can think of.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import delivery_support as made
from support.injection import (
    HOSTILE,
    assert_inert_html,
    assert_inert_markdown,
    assert_inert_slack,
    assert_inert_text,
    hostile_message,
    hostile_messages,
    slack_texts,
)

from watchtower.delivery import shapes
from watchtower.delivery.message import Group, Link, Message, Opened, Sight, Tone, direct

SHAPES: dict[str, Callable[[Message], None]] = {
    "subject": lambda message: _assert_subject(message.subject),
    "plain": lambda message: assert_inert_text(shapes.plain(message)),
    "plain, cut": lambda message: assert_inert_text(shapes.plain(message, 300)),
    "short": lambda message: assert_inert_short(shapes.short(message)),
    "markdown": lambda message: assert_inert_markdown(shapes.markdown(message)),
    "markdown, cut": lambda message: assert_inert_markdown(shapes.markdown(message, 2_000)),
    "slack, webhook": lambda message: assert_inert_slack(shapes.slack_payload(message, is_bot=False)),
    "slack, bot": lambda message: assert_inert_slack(shapes.slack_payload(message, is_bot=True)),
    "slack, bare": lambda message: assert_inert_slack(shapes.slack_bare(message, is_bot=True)),
    "slack, update": lambda message: assert_inert_slack(shapes.slack_update(message, channel="C1", ts="1.0")),
    "mail, text": lambda message: assert_inert_text(shapes.mail_parts(message).text),
    "mail, html": lambda message: assert_inert_html(shapes.mail_parts(message).html),
}


def _assert_subject(subject: str) -> None:
    assert 0 < len(subject) <= 150
    assert subject.isprintable()
    assert "hunter2" not in subject


def _assert_json(message: Message) -> None:
    """JSON has no markup: what matters is that it is one object, of bounded size, without credentials."""
    text = json.dumps(shapes.webhook_body(message))
    assert len(text) < 60_000
    assert "hunter2" not in text
    assert isinstance(json.loads(text), dict)


SHAPES["webhook"] = _assert_json


def assert_inert_short(text: str) -> None:
    """One text message, never two."""
    assert_inert_text(text.replace("(at)", "\N{FULLWIDTH COMMERCIAL AT}"))
    assert 0 < len(text) <= 160
    assert "\n" not in text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_inert_in_every_shape(shape: str, hostile: str) -> None:
    """In every kind: mentions, markup, links, header injection, control characters, credentials, floods."""
    for message in hostile_messages(HOSTILE[hostile]):
        SHAPES[shape](message)


@given(st.text(max_size=400) | st.text(alphabet="<>!@#&[]()*_`~|\\:/.wht ps\n-", max_size=200))
@settings(max_examples=200)
def test_any_text_is_inert_in_every_shape(text: str) -> None:
    """What a watched service says is never more than text."""
    message = hostile_message(text)
    for check in SHAPES.values():
        check(message)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_direct_message_is_as_harmless(shape: str, hostile: str) -> None:
    """The blind notice names services, and names come from a file."""
    text = HOSTILE[hostile] or "t"
    SHAPES[shape](
        direct(
            settings=made.settings(),
            kind="notice",
            title=text,
            lines=(text, text),
            delivery_id="d",
            at_wall=1.0,
        )
    )


LINES = st.text(max_size=50) | st.sampled_from(["&" * 3_000, "<" * 3_000, "\U0001f525" * 1_500, "*" * 500])
URLS = st.sampled_from(["", "a_b(c)*", "&" * 3_500, "|<>"]).map("https://status.example.com/".__add__)
MESSAGES = st.builds(
    Message,
    state=st.just("DOWN"),
    tone=st.sampled_from(Tone),
    subject=LINES.map(lambda text: text or "s"),
    summary=LINES.map(lambda text: text or "s"),
    facts=st.lists(st.tuples(LINES, LINES), max_size=12).map(tuple),
    groups=st.lists(
        st.builds(Group, title=LINES, lines=st.lists(LINES, max_size=12).map(tuple)), max_size=6
    ).map(lambda groups: tuple(groups * 10)),
    sights=st.lists(st.builds(Sight, peer=LINES, opinion=LINES, text=LINES), max_size=9).map(tuple),
    notes=st.lists(LINES, max_size=12).map(tuple),
    links=st.lists(st.builds(Link, label=LINES, url=URLS), max_size=12).map(tuple),
    footer=LINES,
    body=st.just("") | LINES,
    opened=st.none() | st.just(Opened(delivery_id="first", receipt="C1/1.0")),
)


def _assert_limits(payload: dict[str, object]) -> None:
    """Sizes alone: here the message itself is out of bounds, and its texts were never cleaned."""
    assert 0 < len(str(payload["text"])) <= 4_000
    blocks = payload.get("blocks", [])
    assert isinstance(blocks, list)
    assert len(blocks) <= 50
    for block in blocks:
        for text in slack_texts(block):
            most = {"header": 150, "context": 2_000}.get(block["type"], 3_000)
            assert 0 < len(text) <= most, block["type"]
        assert len(block.get("fields", ())) <= 10
        assert all(len(field["text"]) <= 2_000 for field in block.get("fields", ()))
        assert len(block.get("elements", ())) <= 10


@given(MESSAGES)
@settings(max_examples=80, deadline=None)
def test_no_message_makes_a_payload_beyond_the_limits_of_slack(message: Message) -> None:
    """Whatever grows out of a digest or a future release, Slack takes it: header, sections, blocks."""
    _assert_limits(shapes.slack_payload(message, is_bot=True))
    _assert_limits(shapes.slack_bare(message, is_bot=True))
    _assert_limits(shapes.slack_update(message, channel="C1", ts="1.0"))


@given(MESSAGES, st.sampled_from([1, 67, 160, 240, 512, 1_024, 2_000, 4_096, 7_800]))
@settings(max_examples=80, deadline=None)
def test_no_shape_is_longer_than_it_may_be(message: Message, limit: int) -> None:
    """PagerDuty 1024, Discord 2000, Telegram 4096, ntfy 7800: no provider cuts or refuses an alert."""
    assert len(shapes.plain(message, limit)) <= limit
    assert len(shapes.markdown(message, limit)) <= limit
    assert len(shapes.short(message, limit)) <= min(limit, 160)
