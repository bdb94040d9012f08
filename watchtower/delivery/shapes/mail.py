"""A Message as the two parts of a mail: HTML that needs nothing from outside, and a text of its own.

Every link is visible as text, there are no images and no tables, and it reads in the dark as well.
"""

from __future__ import annotations

from typing import Final

from jinja2 import Environment
from markupsafe import Markup, escape
from msgspec import Struct

from watchtower.delivery.message import Message, Tone
from watchtower.delivery.shapes.text import around_links, defused, plain

_COLOUR: Final = {
    Tone.FAILURE: "#b3261e",
    Tone.WARNING: "#9a5b00",
    Tone.SUCCESS: "#1b6e3c",
    Tone.INFO: "#1f5fa8",
}


class MailParts(Struct, frozen=True, kw_only=True):
    """Subject, plain text and HTML of one mail."""

    subject: str
    text: str
    html: str


_ENVIRONMENT: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters["defused"] = defused
_MAIL: Final = _ENVIRONMENT.from_string("""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>{{ m.subject|defused }}</title></head>
<body style="margin:0;padding:16px;font:15px/1.5 system-ui,sans-serif">
<div style="max-width:640px;border-left:4px solid {{ colour }};padding-left:14px">
<p style="font-size:18px;font-weight:600;margin:0 0 8px">{{ m.subject|defused }}</p>
{% if body %}
<p style="margin:0 0 12px;white-space:pre-wrap">{{ body }}</p>
{% else %}
<p style="margin:0 0 12px">{{ m.summary|defused }}</p>
{% endif %}
{% for note in m.notes %}
<p style="margin:0 0 12px"><em>{{ note|defused }}</em></p>
{% endfor %}
{% if not body %}
{% for label, value in m.facts %}
<p style="margin:0"><strong>{{ label }}:</strong> {{ value|defused }}</p>
{% endfor %}
{% for group in m.groups %}
<p style="margin:12px 0 0"><strong>{{ group.title|defused }}</strong></p>
<ul style="margin:0;padding-left:18px">
{% for line in group.lines %}
<li>{{ line|defused }}</li>
{% endfor %}
</ul>
{% endfor %}
{% if m.sights %}
<ul style="margin:12px 0;padding-left:18px">
{% for sight in m.sights %}
<li><strong>{{ sight.peer }}</strong>{{ " (" ~ sight.zone ~ ")" if sight.zone }} {{ sight.told|defused }}</li>
{% endfor %}
</ul>
{% endif %}
{% for link in m.links %}
<p style="margin:0"><a href="{{ link.url }}">{{ link.label }}</a>: {{ link.url }}</p>
{% endfor %}
{% endif %}
<p style="margin:14px 0 0;font-size:13px;opacity:.75">{{ m.footer|defused }}</p>
</div></body></html>
""")


def mail_parts(message: Message) -> MailParts:
    """Both parts of a mail, with every link visible as text, no external assets and no tables."""
    body = Markup(around_links(message.body, message, _escaped, _anchor))  # noqa: S704 - escaped piece by piece
    html = _MAIL.render(m=message, body=body, colour=_COLOUR[message.tone])
    return MailParts(subject=message.subject, text=plain(message) + "\n", html=html)


def _escaped(text: str) -> str:
    return str(escape(defused(text)))


def _anchor(url: str) -> str:
    return str(Markup('<a href="{0}">{0}</a>').format(url))
