"""Three peers whose ways to Slack can be cut one by one: a proxy for each of them, Slack's own host names.

The peers are told of proxy and authority as an operator tells them; the plugin is directed nowhere. Behind
the proxies stand one Slack-shaped sink over TLS and a mail server. Decides nothing about what is right.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cluster_support import PEERS, Cluster
from support.mail_sink import MailSink
from support.proxies import Proxy, in_thread
from support.sink_log import Received
from support.sink_trust import make_ca
from support.sinks import HttpSink

SLACK_HOSTS = ("hooks.slack.com", "slack.com")


@dataclass(frozen=True)
class Ways:
    """What stands in for the outside."""

    slack: HttpSink
    mail: MailSink
    proxies: dict[str, Proxy]
    environ: dict[str, dict[str, str]]

    @property
    def mailbox(self) -> str:
        """A channel for the mail server."""
        return f"mailto://127.0.0.1:{self.mail.port}?from=watchtower@example.test&to=ops@example.test"

    def cut(self, peer: str, how: str) -> None:
        """`refused` or `silent` from now on, for one peer; "" mends it."""
        self.proxies[peer].is_cut = how

    def arrived(self, name: str) -> list[Received]:
        """What the webhook of that name took, without what it refused."""
        return [item for item in self.asked(name) if item.mode == "ok"]

    def asked(self, name: str) -> list[Received]:
        """What the webhook of that name was asked to take."""
        return [item for item in self.slack.received if token(name) in item.path]


def token(name: str) -> str:
    """The last part of the webhook's path: 24 characters, as Slack has them."""
    return (name * 24)[:24]


def webhook(name: str) -> str:
    """A channel for a webhook of Slack, by Slack's own name."""
    return f"slack://T00000000/B00000000/{token(name)}/"


@contextlib.contextmanager
def ways_to_slack(folder: Path) -> Iterator[Ways]:
    """Everything outside at work."""
    ca = make_ca(folder, *SLACK_HOSTS)
    with contextlib.ExitStack() as stack:
        slack = stack.enter_context(HttpSink(tls=ca.context))
        mail = stack.enter_context(MailSink())
        onward = {f"{host}:443": slack.port for host in SLACK_HOSTS}
        proxies = {peer: stack.enter_context(in_thread(Proxy(onward=onward))) for peer in PEERS}
        environ = {
            peer: {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "REQUESTS_CA_BUNDLE": str(ca.ca_file)}
            for peer, proxy in proxies.items()
        }
        yield Ways(slack, mail, proxies, environ)


def deliveries(cluster: Cluster, service: str, kind: str = "firing") -> list[dict[str, Any]]:
    """What the ledger says of the notifications about a service, as any living peer shows it."""
    for peer in tuple(cluster.processes):
        answer = cluster.get(peer, "/api/v1/notifications?limit=200")
        if isinstance(answer, dict) and "notifications" in answer:
            items = answer["notifications"]
            return [item for item in items if (item["service"], item["kind"]) == (service, kind)]
    return []
