"""Slack through apprise's plugin, with a payload of our own: preview text, blocks, delivery id, receipt.

The plugin keeps its parsing of URLs, channels and tokens; what is posted is replaced, and when Slack
refuses the blocks the same is sent once more as bare text. `?server=https://chat.example.com` on a
slack:// URL directs it at a Slack-compatible server (also how tests and the demo receive messages);
tokens go in clear only to loopback.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import requests
from apprise.plugins.slack import NotifySlack, SlackMode

from watchtower.core.model import Outcome
from watchtower.delivery import witness
from watchtower.delivery.message import Message, Tone
from watchtower.delivery.shapes import slack_bare, slack_payload, slack_update
from watchtower.delivery.witness import Ending
from watchtower.errors import DeliveryError

SERVER_OPTION: Final = "server"
UPDATE_TIMEOUT_S: Final = (2.0, 3.0)
"""To connect, and to wait; what it is for has arrived already."""
_RECEIPT: Final = re.compile(r"(?P<channel>[CGD][A-Z0-9]{7,})/(?P<ts>\d{1,12}\.\d{1,9})")
_KEPT: Final = ("channel", "thread_ts", "username")
_FORMATTING: Final = (
    "invalid_blocks",
    "invalid_payload",
    "invalid_attachments",
    "invalid_metadata",
    "metadata_",
    "msg_too_long",
    "msg_blocks_too_long",
    "block_mismatch",
)
_THREAD: Final = ("thread_not_found", "message_not_found", "cannot_reply_to_message", "channel_not_found",
                  "not_in_channel", "is_archived", "invalid_thread_ts")  # fmt: skip
_TEMPORARY: Final = ("ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable",
                     "request_timeout", "team_added_to_org")  # fmt: skip
"""Errors of chat.postMessage that pass: https://docs.slack.dev/reference/methods/chat.postMessage"""
_ERROR_WORD: Final = re.compile(r'"error"\s*:\s*"(?P<word>\w+)"')


class Slack(NotifySlack):  # type: ignore[no-untyped-call] # apprise is untyped
    """One Slack webhook or bot channel that posts one Message.

    The first post carries blocks; a refusal of their form is answered with bare text. A bot puts what
    follows about an incident under its first message, and turns that one green in the end.
    """

    request_rate_per_sec = 0
    message: Message | None = None
    answer: Any = None

    @property
    def is_bot(self) -> bool:
        """True for a bot token, whose answers name channel and time of the message."""
        return self.mode == SlackMode.BOT

    def direct_at(self, server: str) -> None:
        """Talk to a Slack-compatible server instead of Slack. Raises DeliveryError for an unusable one."""
        base = checked_server(server)
        self.webhook_url = f"{base}/services"
        self.webhook_gov_url = f"{base}/services"
        self.api_url = f"{base}/api/{{}}"

    def _send(self, url: str, payload: Any, *args: Any, **kwargs: Any) -> Any:
        if self.message is None or not self._is_post(url):
            return self._post(url, payload, *args, **kwargs)
        address = {key: payload[key] for key in _KEPT if key in payload}
        recorder = witness.current()
        thread = self._thread(address, self.message)
        self.answer = self._said(url, address | thread, self.message)
        if self.answer is False and thread and recorder is not None and _is_about_thread(recorder.last):
            # Somebody deleted the first message, or the bot was sent out of its channel.
            self.answer = self._said(url, address, self.message)
        if self.answer is not False and recorder is not None:
            recorder.settled = Ending(outcome=Outcome.ACCEPTED, detail="HTTP 200", receipt=self.receipt())
            self._turn_green(self.message)
        return self.answer

    def _said(self, url: str, address: Any, message: Message) -> Any:
        """Blocks, and when Slack refuses their form, bare text."""
        answer, recorder = (
            self._post(url, address | slack_payload(message, is_bot=self.is_bot)),
            witness.current(),
        )
        if answer is False and recorder is not None and _is_about_form(recorder.last):
            answer = self._post(url, address | self._bare(message, recorder.last))
        return answer

    def _thread(self, address: Any, message: Message) -> dict[str, Any]:
        """Where a bot's later messages go: under the first one, shown in the channel too when it matters."""
        channel, ts = _place(message)
        if not self.is_bot or not ts or "thread_ts" in address:
            return {}
        thread = {"channel": channel, "thread_ts": ts}
        return thread | ({"reply_broadcast": True} if message.is_broadcast else {})

    def _turn_green(self, message: Message) -> None:
        """Once all is over, the first message says so too. Its failing changes nothing: people were told."""
        channel, ts = _place(message)
        if not self.is_bot or not ts or message.tone is not Tone.SUCCESS:
            return
        with contextlib.suppress(requests.RequestException, OSError):
            requests.post(
                self.api_url.format("chat.update"),
                json=slack_update(message, channel=channel, ts=ts),
                headers={"Authorization": f"Bearer {self.access_token}", "User-Agent": self.app_id},
                verify=self.verify_certificate,
                timeout=UPDATE_TIMEOUT_S,
                allow_redirects=False,
            )

    def _bare(self, message: Message, refused: witness.Exchange) -> Any:
        """Bare text, with the metadata that it is found by, unless they were what was refused."""
        return slack_bare(message, is_bot=self.is_bot and "metadata" not in _word(refused))

    def _post(self, *args: Any, **kwargs: Any) -> Any:
        return super()._send(*args, **kwargs)  # type: ignore[no-untyped-call] # apprise is untyped

    def _is_post(self, url: str) -> bool:
        if self.mode in (SlackMode.WEBHOOK, SlackMode.WEBHOOK_GOV):
            return True
        return self.is_bot and url == self.api_url.format("chat.postMessage")

    def receipt(self) -> str:
        """Where the message is, `channel/ts`, as far as Slack tells."""
        if isinstance(self.answer, dict) and self.answer.get("ts"):
            return f"{self.answer.get('channel', '')}/{self.answer['ts']}"
        return ""


def checked_server(server: str) -> str:
    """The base URL of a Slack-compatible server. Raises DeliveryError when tokens would go there in clear."""
    server = unquote(server)
    split = urlsplit(server)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise DeliveryError(f"{SERVER_OPTION}= needs a URL like https://chat.example.com")
    if split.scheme == "http" and not is_loopback(split.hostname):
        raise DeliveryError(
            f"{SERVER_OPTION}= over plain http would show the token to the network; use https"
        )
    return server.rstrip("/")


def is_loopback(host: str) -> bool:
    """True for names and addresses that never leave this machine."""
    return host in ("localhost", "::1") or host.startswith("127.")


def refined(ending: Ending, recorder: witness.Recorder) -> Ending:
    """A bot's refusal comes as HTTP 200 with an error word: read it."""
    if ending.outcome is not Outcome.REJECTED or recorder.last.status != 200:
        return ending
    word = _error_word(recorder.last.body)
    if not word:
        return ending
    return Ending(
        outcome=Outcome.REJECTED,
        detail=f"Slack says {word[:60]}",
        is_permanent=not word.startswith(_TEMPORARY),
        retry_after_s=ending.retry_after_s,
    )


def _error_word(body: str) -> str:
    """Slack's word for what is wrong. The answer may be cut: a long explanation follows the word."""
    found = _ERROR_WORD.search(body)
    return found["word"] if found else ""


def _is_about_form(exchange: witness.Exchange) -> bool:
    """Slack understood who we are, but not the shape of what we said."""
    return exchange.status in (200, 400, 413, 422) and any(mark in _word(exchange) for mark in _FORMATTING)


def _word(exchange: witness.Exchange) -> str:
    """The API answers 200 and JSON with a word for what is wrong, a webhook the word alone."""
    return _error_word(exchange.body) if exchange.status == 200 else exchange.body


def _is_about_thread(exchange: witness.Exchange) -> bool:
    """The thread cannot be written to; the channel of the URL may be another one by now."""
    return exchange.status == 200 and _error_word(exchange.body) in _THREAD


def _place(message: Message) -> tuple[str, str]:
    """Channel and time of the incident's first message, as Slack's answer named them; "" where unknown."""
    match = _RECEIPT.fullmatch(message.opened.receipt if message.opened else "")
    return (match["channel"], match["ts"]) if match else ("", "")
