"""A message in the words of its channel's own template; in the standard words where that fails.

What a watched service said goes into a template defused, and what comes out is cleaned like everything
else and escaped by the channel's shape: a template can choose words, not markup and not mentions.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from jinja2 import TemplateError
from msgspec.structs import replace

from watchtower import templating
from watchtower.core.settings import Channel, ChannelTemplate
from watchtower.delivery.message import SUBJECT_MAX, Message, clean, moment, span
from watchtower.delivery.shapes.text import defused, plain

log = logging.getLogger(__name__)

BODY_LINE_MAX: Final = 1_000
_TEXTS: Final = (
    "subject", "summary", "state", "kind", "level", "severity", "service", "title", "reason", "cluster",
    "peer", "delivery_id",
)  # fmt: skip
_LINKED: Final = ("acknowledge", "silence", "runbook", "dashboard")
_MANY_BLANK: Final = re.compile(r"\n{3,}")


def worded(message: Message, channel: Channel) -> Message:
    """`message` as the template of `channel` puts it. Never raises: an alert does not die of its words."""
    if channel.template is None:
        return message
    try:
        return _worded(message, channel.template)
    except (templating.TooMuch, TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        log.warning(
            "The template of channel %s failed with %s; the standard text is sent.",
            channel.name,
            type(error).__name__,
        )
        return message


def _worded(message: Message, template: ChannelTemplate) -> Message:
    values = values_of(message)
    subject = clean(templating.render(template.subject, values), SUBJECT_MAX) if template.subject else ""
    lines = templating.render(template.body, values).splitlines() if template.body else []
    body = "\n".join(clean(line, BODY_LINE_MAX) for line in lines)
    return replace(
        message, subject=subject or message.subject, body=_MANY_BLANK.sub("\n\n", body).strip("\n")
    )


def values_of(message: Message) -> dict[str, Any]:
    """What a template may use (templating.VARIABLES and LISTS); addresses are the configuration's own."""
    urls = {link.label.partition(" (")[0]: link.url for link in reversed(message.links)}
    texts = (
        "subject",
        "summary",
        "state",
        "kind",
        "level",
        "severity",
        "service",
        "title",
        "reason",
        "cluster",
    )
    return {
        **{name: defused(getattr(message, name)) for name in (*texts, "peer", "delivery_id")},
        "since": moment(message.since_wall, message.timezone) if message.since_wall else "",
        "at": moment(message.at_wall, message.timezone) if message.at_wall else "",
        "duration": span(message.at_wall - message.since_wall) if message.since_wall else "",
        "incident": message.incident,
        "attempt": message.attempt,
        **{
            name: urls.get(name.capitalize(), "")
            for name in ("acknowledge", "silence", "runbook", "dashboard")
        },
        "status": urls.get("Status", urls.get("All incidents", "")),
        "standard": plain(message),
        "evidence": [_item(sight, templating.LISTS["evidence"]) for sight in message.sights],
        "facts": [{"label": label, "value": defused(value)} for label, value in message.facts],
        "groups": [
            {"title": defused(group.title), "lines": [defused(line) for line in group.lines]}
            for group in message.groups
        ],
        "links": [{"label": link.label, "url": link.url} for link in message.links],
        "notes": [{"text": defused(note)} for note in message.notes],
    }


def _item(sight: Any, names: Any) -> dict[str, Any]:
    values = {name: getattr(sight, name) for name in names}
    return {name: defused(value) if isinstance(value, str) else value for name, value in values.items()}
