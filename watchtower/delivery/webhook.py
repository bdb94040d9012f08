"""json:// and jsons:// webhooks with a documented body and a delivery id that the receiver can fence by.

The body is version 1 of shapes.webhook_body. `X-Watchtower-Delivery-Id` is the same for every attempt,
`X-Watchtower-Attempt` grows: a receiver that keeps both can drop repeats and latecomers.
"""

from __future__ import annotations

import json
from typing import Any

import requests
from apprise.plugins.custom_json import NotifyJSON

from watchtower.delivery.message import Message
from watchtower.delivery.shapes import webhook_body
from watchtower.delivery.trace import Found, Trace


class Webhook(NotifyJSON):  # type: ignore[no-untyped-call] # apprise is untyped
    """One HTTP endpoint that receives one Message as JSON."""

    request_rate_per_sec = 0
    message: Message | None = None

    def send(self, *_args: Any, **_kwargs: Any) -> bool:
        """One request. True for a 2xx answer; never raises for reasons of the receiver."""
        if self.message is None:
            return False
        try:
            response = requests.request(
                str(self.method),
                self.request_url,
                data=json.dumps(self._body(self.message)),
                params=self.params,
                headers=self._headers(self.message),
                auth=(self.user, self.password or "") if self.user else None,
                verify=self.verify_certificate,
                timeout=self.request_timeout,
                allow_redirects=False,
            )
        except requests.RequestException:
            return False
        return 200 <= response.status_code < 300

    def look_for(self, delivery_id: str, since_wall: float) -> Found:  # noqa: ARG002 - the shape of Slack's
        """Ask the receiver, if it said that it can be asked."""
        return Found(trace=Trace.UNKNOWN, detail="this webhook cannot be searched")

    def _headers(self, message: Message) -> dict[str, str]:
        ours = {
            "X-Watchtower-Delivery-Id": message.delivery_id,
            "X-Watchtower-Attempt": str(message.attempt),
        }
        return {"User-Agent": self.app_id, "Content-Type": "application/json", **self.headers, **ours}

    def _body(self, message: Message) -> dict[str, Any]:
        """Version 1, with `:name=value` options of the URL: renamed, removed (empty) or added fields."""
        body = webhook_body(message)
        for name, value in self.payload_extras.items():
            if name not in body:
                body[name] = value
            else:
                kept = body.pop(name)
                body |= {value: kept} if value else {}
        return body
