"""A message in the words of its channel's own template; in the standard words where that fails.

What comes out of a template is cleaned, defused and escaped like everything else, all but the addresses of
the message's own links: a template can choose words, not markup and not mentions.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

from msgspec.structs import replace

from watchtower import templating
from watchtower.core.settings import Channel, ChannelTemplate
from watchtower.delivery.message import SUBJECT_MAX, Message, clean, moment, span
from watchtower.delivery.shapes.text import plain

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
    except Exception as error:  # noqa: BLE001 - whatever people's own words may raise, the alert itself is sent
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
    return {
        **{name: getattr(message, name) for name in _TEXTS},
        "since": moment(message.since_wall, message.timezone) if message.since_wall else "",
        "at": moment(message.at_wall, message.timezone) if message.at_wall else "",
        "duration": span(message.at_wall - message.since_wall) if message.since_wall else "",
        "incident": message.incident,
        "attempt": message.attempt,
        **{name: urls.get(name.capitalize(), "") for name in _LINKED},
        "status": urls.get("Status", urls.get("All incidents", "")),
        "standard": plain(message),
        "evidence": [
            {name: getattr(sight, name) for name in templating.LISTS["evidence"]} for sight in message.sights
        ],
        "facts": [{"label": label, "value": value} for label, value in message.facts],
        "groups": [{"title": group.title, "lines": list(group.lines)} for group in message.groups],
        "links": [{"label": link.label, "url": link.url} for link in message.links],
        "notes": [{"text": note} for note in message.notes],
    }
