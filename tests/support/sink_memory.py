"""What a sink remembers of the deliveries it took, and how it answers who asks for one.

Two ways to ask, as real receivers have them: a webhook's `GET ?delivery_id=` and Slack's
`conversations.history`. Decides nothing about what is taken: the sinks do.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SLACK_CHANNEL = {"id": "C0123ABCDEF", "name": "ops"}
_ID = re.compile(r'delivery(?:_id\\?"\s*:\s*\\?"|\s)(?P<id>[\w-]+)')


@dataclass
class Memory:
    """Deliveries taken, by id, with the times they came in; readable from any thread."""

    times: dict[str, list[float]] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, delivery_id: str, at_wall: float, message: dict[str, Any] | None = None) -> None:
        """One more copy of the delivery; `message` is what Slack would show in the channel's history."""
        with self.lock:
            if delivery_id:
                self.times.setdefault(delivery_id, []).append(at_wall)
            if message is not None:
                self.messages.insert(0, message)

    def taken(self) -> dict[str, list[float]]:
        """Every delivery id with the times of its copies."""
        with self.lock:
            return {key: list(times) for key, times in self.times.items()}

    def clear(self) -> None:
        """Forget everything."""
        with self.lock:
            self.times.clear()
            self.messages.clear()


def delivery_id_of(headers: Mapping[str, str], body: str) -> str:
    """The delivery id of a webhook (its header) or of a Slack message (metadata, else its footer)."""
    marked = headers.get("X-Watchtower-Delivery-Id", "")
    match = None if marked else _ID.search(body)
    return marked or (match["id"] if match else "")


def slack_message(body: str, ts: str) -> dict[str, Any] | None:
    """What the channel's history shows of a chat.postMessage; None for anything else."""
    try:
        sent = json.loads(body)
    except ValueError:
        return None
    if not isinstance(sent, dict) or "text" not in sent or "channel" not in sent:
        return None
    kept = ("text", "metadata", "blocks", "thread_ts", "reply_broadcast")
    return {"type": "message", "ts": ts, **{key: sent[key] for key in kept if key in sent}}


def slack_updated(memory: Memory, body: str) -> dict[str, Any]:
    """What chat.update answers, and does: the message of that time reads as the body says."""
    sent = json.loads(body)
    with memory.lock:
        for message in memory.messages:
            if message["ts"] == sent.get("ts"):
                message.update({key: sent[key] for key in ("text", "metadata", "blocks") if key in sent})
                return {"ok": True, "channel": SLACK_CHANNEL["id"], "ts": sent["ts"]}
    return {"ok": False, "error": "message_not_found"}


def search_answer(memory: Memory, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]] | None:
    """Status and JSON for a GET that searches; None when it is another request."""
    if path.endswith("/api/conversations.list"):
        return 200, {"ok": True, "channels": [SLACK_CHANNEL]}
    if path.endswith("/api/conversations.history"):
        return 200, _history(memory, query)
    if path.endswith("/api/conversations.replies"):
        return 200, _history(memory, query, thread=query.get("ts", ""))
    wanted = query.get("delivery_id", "")
    if not wanted:
        return None
    times = memory.taken().get(wanted)
    return (200, {"delivery_id": wanted, "times": times}) if times else (404, {"error": "not here"})


def _history(memory: Memory, query: Mapping[str, str], thread: str = "") -> dict[str, Any]:
    """One page of the newest messages, with a cursor for the rest, as Slack pages.

    A reply that was not broadcast is in its thread alone.
    """
    if query.get("channel") != SLACK_CHANNEL["id"]:
        return {"ok": False, "error": "channel_not_found"}
    with memory.lock:
        messages = [item for item in memory.messages if _is_in(item, thread)]
    if thread and not messages:
        return {"ok": False, "error": "thread_not_found"}
    if query.get("include_all_metadata") != "true":
        messages = [{key: item[key] for key in item if key != "metadata"} for item in messages]
    messages = [item for item in messages if float(item["ts"]) > float(query.get("oldest", 0))]
    start, limit = int(query.get("cursor") or 0), int(query.get("limit", 100))
    more = start + limit < len(messages)
    return {
        "ok": True,
        "messages": messages[start : start + limit],
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def _is_in(message: Mapping[str, Any], thread: str) -> bool:
    if thread:
        return thread in (message["ts"], message.get("thread_ts"))
    return "thread_ts" not in message or bool(message.get("reply_broadcast"))
