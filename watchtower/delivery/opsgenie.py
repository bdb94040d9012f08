"""Opsgenie through apprise's plugin, with an alias of our own, so that an incident is one alert there.

A repeat joins the alert of its alias, and the end closes it by the alias: the plugin alone remembers
request ids in the memory of one object, so it would say "sent" and close nothing.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import requests
from apprise.common import NotifyType
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP, NotifyOpsgenie, OpsgenieAlertAction

from watchtower.delivery.message import Message

ALIAS_MAX: Final = 512
_PRIORITY: Final = {"critical": 1, "warning": 3, "info": 5}
"""Opsgenie's P1 is the loudest; the plugin's own words count the other way round."""


class Opsgenie(NotifyOpsgenie):  # type: ignore[no-untyped-call] # apprise is untyped
    """One Opsgenie team or account that receives one Message."""

    request_rate_per_sec = 0
    message: Message | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call] # apprise is untyped
        self._has_priority = bool(kwargs.get("priority"))

    def send(self, body: str, title: str = "", notify_type: Any = NotifyType.INFO, **kwargs: Any) -> bool:
        """One request. True when Opsgenie took it."""
        if self.message is None:
            return False
        self.alias = self.alias or f"{self.message.cluster}/{self.message.thread}"[:ALIAS_MAX]
        if not self._has_priority and self.message.severity in _PRIORITY:
            self.priority = _PRIORITY[self.message.severity]
        is_mapped = self.action == OpsgenieAlertAction.MAP
        if not is_mapped or self.mapping[notify_type] != OpsgenieAlertAction.CLOSE:
            sent = super().send(body, title=title, notify_type=notify_type, **kwargs)  # type: ignore[no-untyped-call] # apprise is untyped
            return bool(sent)
        url = f"{OPSGENIE_API_LOOKUP[str(self.region_name)]}/{quote(str(self.alias), safe='')}/close"
        payload = {"source": self.app_desc, "note": body}
        closed, _request = self._fetch(requests.post, url, payload, {"identifierType": "alias"})  # type: ignore[no-untyped-call] # apprise is untyped
        return bool(closed)
