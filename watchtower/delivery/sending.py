"""One attempt at one channel, from a fresh plugin object: to send a Message, or to look for an earlier copy.

Blocking; runs in a thread of its own under a witness. It never raises and never retries: what an ending
or a trace means for the notification is decided by the sender.
"""

from __future__ import annotations

import logging
from typing import Any

from apprise.common import NotifyType, OverflowMode
from apprise.plugins.base import NotifyBase
from apprise.plugins.pagerduty import NotifyPagerDuty

from watchtower.core.model import Outcome
from watchtower.core.settings import Channel
from watchtower.delivery import channels, history, slack, witness
from watchtower.delivery.fitting import Fit, barer, fit
from watchtower.delivery.mail import Mail
from watchtower.delivery.message import Message
from watchtower.delivery.opsgenie import Opsgenie
from watchtower.delivery.own_words import worded
from watchtower.delivery.slack import Slack
from watchtower.delivery.trace import Found, Trace
from watchtower.delivery.webhook import Webhook
from watchtower.delivery.witness import Ending, Recorder
from watchtower.errors import DeliveryError

log = logging.getLogger(__name__)


def attempt(channel: Channel, message: Message, recorder: Recorder) -> Ending:
    """Send `message` once. What `recorder`'s fence refuses does not leave."""
    try:
        plugin = channels.build(channel)
    except DeliveryError as error:
        return Ending(outcome=Outcome.REJECTED, detail=str(error), is_permanent=True)
    try:
        with witness.recording(recorder):
            is_accepted = _handed_to(plugin, worded(message, channel), recorder)
    except Exception as error:  # noqa: BLE001 - the root of the attempt: any of 170 plugins may raise anything
        log.warning("The plugin of channel %s failed with %s.", channel.name, type(error).__name__)
        recorder.last.error = recorder.last.error or type(error).__name__
        is_accepted = False
    return _ending(plugin, recorder, is_accepted=is_accepted)


def search(
    channel: Channel, delivery_id: str, since_wall: float, recorder: Recorder, thread: str = ""
) -> Found:
    """Look in the channel for the delivery. Anything that goes wrong is an unknown trace."""
    try:
        with witness.recording(recorder):
            plugin = channels.build(channel)
            if isinstance(plugin, Slack) and plugin.is_bot:
                return history.look_for(plugin, delivery_id, since_wall, thread)
            return _looked_for(channel, plugin, delivery_id)
    except Exception as error:  # noqa: BLE001 - as above; without an answer the message is sent and says so
        return Found(trace=Trace.UNKNOWN, detail=f"the search failed: {type(error).__name__}")


def _looked_for(channel: Channel, plugin: NotifyBase, delivery_id: str) -> Found:
    if isinstance(plugin, Webhook) and channel.search:
        return plugin.look_for(delivery_id)
    if isinstance(plugin, Opsgenie | NotifyPagerDuty):
        return Found(trace=Trace.MERGED)
    return Found(trace=Trace.UNKNOWN, detail=f"{channels.channel_kind(plugin)} cannot be searched")


def _handed_to(plugin: NotifyBase, message: Message, recorder: Recorder) -> bool:
    if isinstance(plugin, Slack | Mail | Webhook | Opsgenie):
        plugin.message = message
    elif isinstance(plugin, NotifyPagerDuty):
        _join_by_key(plugin, message)
    first = fit(plugin, message)
    if _notified(plugin, message, first):
        return True
    # The others answer a refusal of their form themselves, or have none that could be refused.
    is_ours = isinstance(plugin, Slack | Mail | Webhook)
    bare = None if is_ours else barer(plugin, message, recorder.last, first)
    return bare is not None and _notified(plugin, message, bare)


def _notified(plugin: NotifyBase, message: Message, what: Fit) -> bool:
    return bool(
        plugin.notify(
            body=what.body,
            title=what.title,
            notify_type=NotifyType(message.tone.value),
            # Text is declared as such, so every plugin escapes it its own way.
            body_format=what.format,
            overflow=OverflowMode.TRUNCATE,
        )
    )


def _join_by_key(plugin: Any, message: Message) -> None:
    """PagerDuty: all of an incident under one key, as loud as it matters, and its end resolves it."""
    plugin.dedup = plugin.dedup or f"{message.cluster}/{message.thread}"
    plugin.severity = plugin.severity or message.severity or None
    plugin.action = "map"


def _ending(plugin: NotifyBase, recorder: Recorder, *, is_accepted: bool) -> Ending:
    if isinstance(plugin, Mail) and plugin.ended is not None:
        return plugin.ended
    receipt = plugin.receipt() if isinstance(plugin, Slack) else ""
    ending = recorder.ending(is_accepted=is_accepted, receipt=receipt)
    return slack.refined(ending, recorder) if isinstance(plugin, Slack) else ending
