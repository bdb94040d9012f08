"""Messages in people's own words: the same message in every shape, inert, and never lost over a template."""

from __future__ import annotations

import logging

import pytest
from msgspec.structs import replace
from support import delivery_storms as storms
from support import delivery_support as made
from support.injection import (
    HOSTILE,
    assert_inert_html,
    assert_inert_markdown,
    assert_inert_slack,
    assert_inert_text,
    hostile_messages,
)

from watchtower import templating
from watchtower.core.secret import Secret
from watchtower.core.settings import Channel, ChannelTemplate
from watchtower.delivery import own_words, shapes
from watchtower.delivery.message import Message
from watchtower.delivery.own_words import values_of, worded
from watchtower.delivery.render import render

OWN = ChannelTemplate(
    subject="{{ severity|upper }}: {{ title }} is {{ level }}",
    body="""\
{{ summary }}
{% for look in evidence %}
  {{ look.peer }} ({{ look.zone }}): {{ look.text }}
{% endfor %}

{% for group in groups %}
{{ group.title }}: {{ group.lines|join("; ") }}
{% endfor %}
{% for fact in facts %}
{{ fact.label }} = {{ fact.value }}
{% endfor %}
{% if runbook %}
Runbook: {{ runbook }}
{% endif %}
Acknowledge: {{ acknowledge }}
{{ reason }} {{ since }} {{ duration }} {{ service }}
{% for note in notes %}{{ note.text }}{% endfor %}
""",
)


def channel(template: ChannelTemplate | None) -> Channel:
    """A channel with that template."""
    return Channel(name="chat", url=Secret("json://127.0.0.1"), schema="json", template=template)


def test_a_message_reads_as_its_template_says_in_every_shape() -> None:
    """Subject and body; the notes and the ids stay, the links of the configuration stay links."""
    message = render(
        made.notification(), made.state(), made.settings(public_url="https://status.example.com")
    )
    own = worded(replace(message, notes=("a caution",)), channel(OWN))
    assert own.subject == "CRITICAL: Checkout is down"
    lines = own.body.splitlines()
    assert lines[0] == "Checkout is down: HTTP 503."
    assert lines[1] == "a (eu-west-1a): HTTP 503"
    assert "Runbook: https://runbooks.example.com/checkout?from=alert&x=1" in lines
    plain = shapes.plain(own)
    assert "https://runbooks.example.com/checkout?from=alert&x=1" in plain
    assert "a caution" in plain
    assert "delivery 0123456789abcdef" in plain
    assert "Votes: " not in plain
    slack = shapes.slack_payload(own, is_bot=True)
    assert slack["text"].endswith("CRITICAL: Checkout is down")
    assert "<https://runbooks.example.com/checkout?from=alert&amp;x=1>" in slack["blocks"][1]["text"]["text"]
    html = shapes.mail_parts(own).html
    assert '<a href="https://runbooks.example.com/checkout?from=alert&amp;x=1">' in html
    assert "https://runbooks.example.com/checkout?from=alert&x=1" in shapes.markdown(own)
    assert shapes.short(own).startswith("CRITICAL: Checkout is down")


def test_half_a_template_leaves_the_other_half_standard() -> None:
    """A subject alone changes the subject alone, and the other way round."""
    message = render(made.notification(), made.state(), made.settings())
    assert worded(message, channel(ChannelTemplate(subject="x {{ state }}"))).body == ""
    assert worded(message, channel(ChannelTemplate(body="{{ standard }}"))).subject == message.subject
    assert worded(message, channel(None)) is message


def test_every_kind_of_message_fills_every_variable() -> None:
    """What the checks allow exists: no template that was accepted fails for want of a name."""
    everything = "".join(f"{{{{ {name} }}}}" for name in templating.VARIABLES) + "".join(
        f"{{% for x in {name} %}}" + "".join(f"{{{{ x.{field} }}}}" for field in fields) + "{% endfor %}"
        for name, fields in templating.LISTS.items()
    )
    templating.check(everything)
    for message in [*hostile_messages("x"), *(case() for case in storms.CASES.values())]:
        values = values_of(message)
        assert set(values) == {*templating.VARIABLES, *templating.LISTS}
        assert templating.render(everything, values)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_is_inert_through_a_template(hostile: str) -> None:
    """A template chooses words; what a service said stays text in every shape."""
    for message in hostile_messages(HOSTILE[hostile]):
        own = worded(message, channel(OWN))
        assert own.body
        assert_inert_text(shapes.plain(own))
        assert_inert_text(shapes.mail_parts(own).text)
        assert_inert_html(shapes.mail_parts(own).html)
        assert_inert_markdown(shapes.markdown(own, 4_000))
        assert_inert_slack(shapes.slack_payload(own, is_bot=True))
        assert_inert_slack(shapes.slack_bare(own, is_bot=True))
        assert "\n" not in own.subject
        assert len(own.subject) <= 150


@pytest.mark.parametrize(
    "body",
    [
        "{{ nothing_of_the_kind }}",
        "{{ 1 // 0 }}",
        "{{ title",
        "{% for a in facts %}{{ standard }}{% endfor %}",
    ],
)
def test_a_template_that_fails_falls_back_to_the_standard_text(
    body: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was checked, and yet: an alert does not die of its words, and the log says which channel it was."""
    monkeypatch.setattr(templating, "OUTPUT_MAX", 300)
    message = render(made.notification(), made.state(), made.settings())
    with caplog.at_level(logging.WARNING, own_words.__name__):
        assert worded(message, channel(ChannelTemplate(subject="x", body=body))) == message
    assert "template of channel chat failed" in caplog.text


def test_what_a_template_says_itself_is_no_markup_either() -> None:
    """Mentions and markup of a channel are not a template's to write."""
    template = ChannelTemplate(body="<!channel> <b>x</b> @everyone [x](https://evil.example)")
    own: Message = worded(render(made.notification(), made.state(), made.settings()), channel(template))
    assert_inert_slack(shapes.slack_payload(own, is_bot=True))
    assert_inert_html(shapes.mail_parts(own).html)
    assert_inert_markdown(shapes.markdown(own))
