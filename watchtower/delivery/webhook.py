"""json:// and jsons:// webhooks with a documented body and a delivery id that the receiver can fence by.

The body is version 1 of shapes.webhook_body. `X-Watchtower-Delivery-Id` is the same for every attempt,
`X-Watchtower-Attempt` grows: a receiver that keeps both can drop repeats and latecomers. One that can
be asked (`search: true`) answers a GET with `?delivery_id=`: 200 and the id when it has it, else 404.
"""

from __future__ import annotations

import json
from typing import Any

import requests
from apprise.plugins.custom_json import NotifyJSON

from watchtower.delivery import witness
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
            response = self._request(
                str(self.method),
                data=json.dumps(self._body(self.message)),
                params=self.params,
                headers=self._headers(_marks(self.message)),
            )
        except requests.RequestException:
            return False
        return 200 <= response.status_code < 300

    def look_for(self, delivery_id: str) -> Found:
        """Ask the receiver. A page that says 200 to everybody has nothing: the answer must name the id."""
        try:
            response = self._request(
                "GET", params=self.params | {"delivery_id": delivery_id}, headers=self._headers({})
            )
        except requests.RequestException as error:
            return Found(trace=Trace.UNKNOWN, detail=witness.phrase(error))
        if response.status_code == 200 and delivery_id in response.text:
            return Found(trace=Trace.PRESENT, detail="the receiver has it")
        is_absent = response.status_code == 404
        trace = Trace.ABSENT if is_absent else Trace.UNKNOWN
        return Found(trace=trace, detail=f"HTTP {response.status_code}")

    def _request(self, method: str, **what: Any) -> requests.Response:
        return requests.request(
            method,
            self.request_url,
            auth=(self.user, self.password or "") if self.user else None,
            verify=self.verify_certificate,
            timeout=self.request_timeout,
            allow_redirects=False,
            **what,
        )

    def _headers(self, ours: dict[str, str]) -> dict[str, str]:
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


def _marks(message: Message) -> dict[str, str]:
    """The fencing token: the same id on every attempt, and a number that grows."""
    return {
        "X-Watchtower-Delivery-Id": message.delivery_id,
        "X-Watchtower-Attempt": str(message.attempt),
    }
