"""Looks through a Slack channel's history for a message of ours, by the delivery id in its metadata.

A bot reads with `channels:history` (`groups:history` in a private channel); history wants the channel's
id, so a channel that is named needs `channels:read` as well. Whatever is refused, too long or not
understood is an unknown trace, and the message is sent and says that it may be a repeat.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import requests

from watchtower.delivery import witness
from watchtower.delivery.shapes.slack import SLACK_EVENT
from watchtower.delivery.slack import Slack
from watchtower.delivery.trace import Found, Trace

PAGES_MAX: Final = 5
HISTORY_PAGE: Final = 100
CHANNELS_PAGE: Final = 1_000
CLOCK_ERROR_S: Final = 7_200.0
"""Slack's clock is right; the clock of the peer that announced may be wrong by an hour or two."""
_ID: Final = re.compile(r"\+?(?P<id>[CGD][A-Z0-9]{7,})")
_NAME: Final = re.compile(r"#?(?P<name>[a-z0-9_-]{1,80})")

Ask = Callable[..., dict[str, Any]]


class Unanswered(Exception):  # noqa: N818 - it is an answer to live with, not a fault
    """Slack did not say what was asked; the text is why, in fixed words or Slack's own error word."""


def look_for(plugin: Slack, delivery_id: str, since_wall: float, thread: str = "") -> Found:
    """Whether the plugin's channel has the delivery, which is no older than `since_wall`.

    `thread` is the receipt of the message below which it may be as well: a reply is not in the history.
    """
    ask = _asking(plugin)
    try:
        channel = _channel_id(ask, str(plugin.channels[0] or ""))
        for message in _history(ask, channel, since_wall - CLOCK_ERROR_S):
            if _is_it(message, delivery_id):
                return Found(trace=Trace.PRESENT, receipt=f"{channel}/{message.get('ts', '')}")
        for message in _replies(ask, thread, since_wall - CLOCK_ERROR_S):
            if _is_it(message, delivery_id):
                return Found(
                    trace=Trace.PRESENT, receipt=f"{thread.partition('/')[0]}/{message.get('ts', '')}"
                )
    except Unanswered as why:
        return Found(trace=Trace.UNKNOWN, detail=str(why))
    return Found(trace=Trace.ABSENT, detail="not in the channel's history")


def _asking(plugin: Slack) -> Ask:
    def ask(method: str, **parameters: str | int) -> dict[str, Any]:
        try:
            response = requests.get(
                plugin.api_url.format(method),
                params=parameters,
                headers={"Authorization": f"Bearer {plugin.access_token}", "User-Agent": plugin.app_id},
                verify=plugin.verify_certificate,
                timeout=plugin.request_timeout,
                allow_redirects=False,
            )
            answer = json.loads(response.content)
        except requests.RequestException as error:
            raise Unanswered(witness.phrase(error)) from None
        except ValueError:
            raise Unanswered(f"{method}: HTTP {response.status_code}") from None
        if not isinstance(answer, dict) or answer.get("ok") is not True:
            word = answer.get("error", "") if isinstance(answer, dict) else ""
            raise Unanswered(f"{method}: Slack says {str(word)[:60]}")
        return answer

    return ask


def _channel_id(ask: Ask, target: str) -> str:
    known = _ID.fullmatch(target)
    if known:
        return known["id"]
    named = _NAME.fullmatch(target)
    if named is None:
        # A thread (`#ops:1700000000.000100`) is not in the history of its channel, and nor is a person.
        raise Unanswered("only a channel can be searched")
    kinds = "public_channel,private_channel"
    for page in _pages(ask, "conversations.list", limit=CHANNELS_PAGE, exclude_archived="true", types=kinds):
        for channel in _dicts(page.get("channels")):
            if channel.get("name") == named["name"]:
                return str(channel.get("id", ""))
    raise Unanswered("the bot does not see the channel")


def _history(ask: Ask, channel: str, oldest_wall: float) -> Iterator[dict[str, Any]]:
    pages = _pages(
        ask,
        "conversations.history",
        channel=channel,
        oldest=f"{max(0.0, oldest_wall):.6f}",
        limit=HISTORY_PAGE,
        include_all_metadata="true",
    )
    for page in pages:
        yield from _dicts(page.get("messages"))


def _replies(ask: Ask, thread: str, oldest_wall: float) -> Iterator[dict[str, Any]]:
    channel, _, ts = thread.partition("/")
    if not ts:
        return
    pages = _pages(
        ask,
        "conversations.replies",
        channel=channel,
        ts=ts,
        oldest=f"{max(0.0, oldest_wall):.6f}",
        limit=HISTORY_PAGE,
        include_all_metadata="true",
    )
    try:
        for page in pages:
            yield from _dicts(page.get("messages"))
    except Unanswered as why:
        # Nothing can be below a message that is gone.
        if "thread_not_found" not in str(why) and "message_not_found" not in str(why):
            raise


def _pages(ask: Ask, method: str, **parameters: str | int) -> Iterator[dict[str, Any]]:
    """All pages, or Unanswered when there are more than PAGES_MAX: what was not read is not absent."""
    cursor = ""
    for _ in range(PAGES_MAX):
        page = ask(method, **parameters, **({"cursor": cursor} if cursor else {}))
        yield page
        metadata = page.get("response_metadata")
        cursor = str(metadata.get("next_cursor", "")) if isinstance(metadata, dict) else ""
        if not cursor:
            if page.get("has_more"):
                break
            return
    raise Unanswered(f"{method}: too much to read")


def _is_it(message: dict[str, Any], delivery_id: str) -> bool:
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != SLACK_EVENT:
        # A server that refuses metadata was sent the id in the footer of the text alone.
        return f"delivery {delivery_id} " in str(message.get("text", ""))
    payload = metadata.get("event_payload")
    return isinstance(payload, dict) and payload.get("delivery_id") == delivery_id


def _dicts(items: object) -> list[dict[str, Any]]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
