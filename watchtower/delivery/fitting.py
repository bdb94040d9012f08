"""Which shape an apprise plugin gets, within its limits, and what to try when its form is refused.

Slack, mail, webhooks and Opsgenie shape their messages themselves. Of the others, those that show
Markdown get Markdown, those that send text messages get one of 160 characters, and the rest get text.
"""

from __future__ import annotations

import json
from typing import Final

from apprise.common import NotifyFormat
from apprise.plugins.base import NotifyBase
from msgspec import Struct

from watchtower.delivery.message import Message
from watchtower.delivery.shapes.markdown import markdown
from watchtower.delivery.shapes.short import SHORT_MAX, short
from watchtower.delivery.shapes.text import cut, defused, plain
from watchtower.delivery.witness import Exchange

_SHORT_BELOW: Final = 320
"""A channel that takes less than this is a text message, a pager or a display."""
_MARKDOWN: Final = frozenset(
    ("discord", "fluxer", "guilded", "mmost", "mmosts", "rocket", "rockets", "workflow", "workflows", "gchat",
     "wxteams", "webex", "revolt", "zulip")
)  # fmt: skip
_TEXT_MESSAGES: Final = frozenset(
    ("cm", "800com", "exotel", "kaleyra", "octopush", "smpp", "smpps", "smseagle", "smseagles", "smstunnel",
     "telesign", "mobilemessage", "notifyre", "sns", "twilio")
)  # fmt: skip
"""Services that take longer text, and send several text messages for it."""
_NTFY: Final = frozenset(("ntfy", "ntfys"))
_NTFY_BYTES_MAX: Final = 3_900
"""What is longer than 4096 bytes becomes a file attached to nothing, and nobody opens files at night."""
_TITLE_GAP: Final = 2
_FORM_REFUSED: Final = (400, 413, 422)


class Fit(Struct, frozen=True, kw_only=True):
    """What is handed to the plugin. `format` is how it is told to read the body."""

    title: str
    body: str
    format: NotifyFormat


def fit(plugin: NotifyBase, message: Message) -> Fit:
    """The shape for `plugin`, no longer than it takes."""
    limit = int(plugin.body_maxlen)
    if _sends_short(plugin, limit):
        # The subject is the message: there is no title beside it.
        return Fit(title="", body=short(message, min(limit, SHORT_MAX)), format=NotifyFormat.TEXT)
    if _is(plugin, _MARKDOWN):
        return Fit(title="", body=markdown(message, limit), format=NotifyFormat.MARKDOWN)
    title = _title(plugin, message)
    # A plugin without titles writes ours above the body, and both share its room.
    room = limit - len(title) - _TITLE_GAP if _shares_room(plugin) else limit
    return Fit(title=title, body=_body(plugin, message, max(room, 0)), format=NotifyFormat.TEXT)


def _body(plugin: NotifyBase, message: Message, room: int) -> str:
    body = plain(message, room)
    while _is(plugin, _NTFY) and len(json.dumps(body)) > _NTFY_BYTES_MAX:
        room = room * 4 // 5
        body = plain(message, room)
    return body


def barer(plugin: NotifyBase, message: Message, refused: Exchange, first: Fit) -> Fit | None:
    """What to try once when the server understood who we are but not what we wrote; None: nothing is left.

    Bare text instead of Markdown, the subject alone instead of text.
    """
    if refused.status not in _FORM_REFUSED:
        return None
    if first.format is NotifyFormat.MARKDOWN:
        half = int(plugin.body_maxlen) // 2
        return Fit(title=_title(plugin, message), body=plain(message, half), format=NotifyFormat.TEXT)
    subject = cut(defused(message.subject), int(plugin.body_maxlen))
    barest = Fit(title="", body=subject, format=NotifyFormat.TEXT)
    return None if barest.body == first.body else barest


def _sends_short(plugin: NotifyBase, limit: int) -> bool:
    return 0 < limit < _SHORT_BELOW or _is(plugin, _TEXT_MESSAGES)


def _is(plugin: NotifyBase, schemes: frozenset[str]) -> bool:
    return bool(schemes & {*_names(plugin.protocol), *_names(plugin.secure_protocol)})


def _names(protocol: object) -> tuple[str, ...]:
    if isinstance(protocol, str):
        return (protocol,)
    return tuple(protocol) if isinstance(protocol, (tuple, list, set, frozenset)) else ()


def _title(plugin: NotifyBase, message: Message) -> str:
    title_max = int(plugin.title_maxlen)
    subject = defused(message.subject)
    return cut(subject, title_max) if title_max > 0 else subject


def _shares_room(plugin: NotifyBase) -> bool:
    return int(plugin.title_maxlen) <= 0 or bool(plugin.overflow_amalgamate_title)
