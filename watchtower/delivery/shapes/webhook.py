"""A Message as the JSON object of a webhook, version 1.

Fields may be added within a version; none changes its meaning. docs/reference/messages.md lists them.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import to_builtins

from watchtower.delivery.message import Message, rfc3339
from watchtower.delivery.shapes.text import plain

WEBHOOK_VERSION: Final = 1

Json = dict[str, Any]


def webhook_body(message: Message) -> Json:
    """The JSON object of version 1. Fields may be added within a version; none changes its meaning."""
    return {
        "version": WEBHOOK_VERSION,
        "kind": message.kind,
        "state": message.state,
        "severity": message.severity,
        "tone": message.tone.value,
        "delivery": {
            "id": message.delivery_id,
            "attempt": message.attempt,
            "may_repeat": message.is_repeat,
            "peer": message.peer,
        },
        "cluster": message.cluster,
        "incident": _incident(message),
        "evidence": [
            {
                "peer": sight.peer,
                "zone": sight.zone,
                "opinion": sight.opinion,
                "text": sight.text,
                "latency_ms": sight.latency_ms,
                "suspect": sight.suspect,
            }
            for sight in message.sights
        ],
        "facts": dict(message.facts),
        "groups": [{"title": group.title, "lines": list(group.lines)} for group in message.groups],
        "members": [to_builtins(member) for member in message.members],
        "links": {link.label: link.url for link in message.links},
        "notes": list(message.notes),
        "title": message.subject,
        "message": plain(message),
    }


def _incident(message: Message) -> Json | None:
    if not message.incident:
        return None
    return {
        "number": message.incident,
        "service": message.service,
        "title": message.title,
        "level": message.level,
        "reason": message.reason,
        "since": rfc3339(message.since_wall),
        "at": rfc3339(message.at_wall),
    }
