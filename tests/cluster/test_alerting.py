"""Three real processes, real targets, real channels: what people are told, and how soon."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.cluster_support import Cluster, Target, running, wait_for
from support.mail_sink import MailSink
from support.sinks import HttpSink
from support.wire_targets import DnsTarget, TcpTarget, TlsTarget

pytestmark = pytest.mark.timeout(600)


def slack_texts(sink: HttpSink) -> list[str]:
    """The preview texts of everything Slack-shaped that arrived."""
    return [item.json["text"] for item in sink.received if item.path.startswith("/services")]


def hooks(sink: HttpSink) -> list[dict[str, Any]]:
    """The bodies of everything the JSON webhook got."""
    return [json.loads(item.body) for item in sink.received if not item.path.startswith("/services")]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster that watches one target of each kind and tells Slack and mail."""
    folder: Path = tmp_path_factory.mktemp("kinds")
    with HttpSink() as chat, MailSink() as post:
        web, port, cert, name = Target(), TcpTarget(), TlsTarget(folder), DnsTarget("www.example.test.")
        targets: dict[str, Any] = {"web": web, "port": port, "cert": cert, "name": name}
        services = (
            f"web: {{url: {web.url}, interval: 2s}}\n"
            f"port: {{url: tcp://127.0.0.1:{port.port}, interval: 2s}}\n"
            f"cert: {{url: tls://127.0.0.1:{cert.port}, interval: 2s, verify: false}}\n"
            f"name: {{dns: www.example.test, servers: ['127.0.0.1:{name.port}'], "
            "interval: 2s, timeout: 1s}"
        )
        cluster = Cluster(
            folder,
            services=services,
            notify=(
                f"chat: slack://T00000000/B00000000/{'x' * 24}/?server={chat.url}\n"
                f"post: mailto://127.0.0.1:{post.port}?from=watchtower@example.test&to=ops@example.test"
            ),
            extra="defaults:\n  alert: [chat, post]",
        )
        try:
            with running(cluster):
                for watched in targets:
                    cluster.wait_verdict(watched, "up")
                yield cluster, targets, chat, post
        finally:
            for target in targets.values():
                target.close()


@pytest.mark.parametrize("name", ["web", "port", "cert", "name"])
def test_one_alert_and_one_resolved_message_per_channel(kinds: Any, name: str) -> None:
    """A target that goes down is told once by Slack and once by mail, from one peer; its return likewise."""
    cluster, targets, chat, post = kinds
    before, mails_before = len(slack_texts(chat)), len(post.mails)
    targets[name].close()
    wait_for(lambda: len(slack_texts(chat)) > before and len(post.mails) > mails_before, 20, "both told")
    cluster.wait_verdict(name, "down")
    targets[name].open()
    wait_for(
        lambda: len(slack_texts(chat)) > before + 1 and len(post.mails) > mails_before + 1, 30, "both told"
    )
    cluster.wait_verdict(name, "up")
    texts = slack_texts(chat)[before:]
    subjects = [str(mail["Subject"]) for mail in post.mails[mails_before:]]
    assert [_state(text) for text in texts] == ["DOWN", "RECOVERED"]
    assert [_state(text) for text in subjects] == ["DOWN", "RECOVERED"]
    assert all(name in text for text in texts + subjects)
    assert len(wait_for(lambda: _senders(cluster, name), 10, "all four settled")) == 1


def _senders(cluster: Cluster, name: str) -> set[str]:
    """Who sent what was told about a service; empty until all of it is delivered."""
    items = cluster.get("a", "/api/v1/notifications")["notifications"]
    told = [item for item in items if item["service"] == name]
    if len(told) < 4 or any(item["stage"] != "delivered" for item in told):
        return set()
    return {item["attempts"][-1]["peer"] for item in told}


def _state(subject: str) -> str:
    """The word in the first brackets of a subject."""
    return subject.partition("[")[2].partition("]")[0]


def test_a_refusing_channel_gets_exactly_one_message_afterwards(tmp_path: Path, full: bool) -> None:
    """A sink that answers 500 for a while gets one message when it is well; a hanging one delays no other."""
    target = Target()
    with HttpSink() as bad, HttpSink() as good:
        cluster = Cluster(
            tmp_path,
            services=f"web: {{url: {target.url}, interval: 2s, alert: [bad, good]}}",
            notify=f"bad: json://127.0.0.1:{bad.port}/\ngood: json://127.0.0.1:{good.port}/",
        )
        with running(cluster):
            cluster.wait_verdict("web", "up")
            bad.set_mode("500")
            target.close()
            refused_until = time.time() + (60 if full else 8)
            good.log.wait_for(1, 20)
            wait_for(lambda: time.time() > refused_until, 70, "the refusing time")
            bad.set_mode("ok")
            accepted = wait_for(lambda: [i for i in bad.received if i.mode == "ok"], 45, "one message")
            target.open()
            wait_for(lambda: len([i for i in bad.received if i.mode == "ok"]) >= 2, 30, "resolved")
            assert len(accepted) == 1
            good.log.wait_for(2, 20)
            bad.set_mode("hang")
            target.close()
            items = good.log.wait_for(3, 20)
            opened = items[2].json["incident"]["at"]
            wait_for(lambda: len(bad.received) > len(accepted) + 1, 10, "the hanging sink was asked")
            delay_s = items[2].at_wall - _unix(opened)
            # The message tells whole seconds, so up to one of the two is rounding.
            assert delay_s < 2.0, f"the other channel waited {delay_s:.2f} s"
            bad.set_mode("ok")
    target.close()


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_restart_of_all_between_firing_and_resolved_loses_nothing(tmp_path: Path) -> None:
    """When all three peers restart during an incident, resolved is sent once, with the whole downtime."""
    target = Target()
    with HttpSink() as sink:
        cluster = Cluster(
            tmp_path,
            services=f"web: {{url: {target.url}, interval: 2s}}",
            notify=f"hook: json://127.0.0.1:{sink.port}/",
        )
        with running(cluster):
            cluster.wait_verdict("web", "up")
            target.close()
            since = sink.log.wait_for(1, 20)[0].json["incident"]["since"]
            cluster.kill()
            cluster.start()
            cluster.wait_ready()
            target.open()
            wait_for(lambda: any(body["kind"] == "resolved" for body in hooks(sink)), 40, "resolved")
            cluster.wait_verdict("web", "up")
            resolved = [
                b for b in hooks(sink) if b["kind"] == "resolved" and b["incident"]["service"] == "web"
            ]
            firing = [b for b in hooks(sink) if b["kind"] == "firing" and b["incident"]["service"] == "web"]
            assert len(firing) == 1
            assert len(resolved) == 1
            assert resolved[0]["incident"]["since"] == since
    target.close()


def test_a_config_changed_host_by_host_alerts_nobody_and_watches_on(tmp_path: Path) -> None:
    """While peers run different files drift is shown, nothing false is told, and a failure still is."""
    old, new = Target(), Target()
    with HttpSink() as sink:
        notify = f"hook: json://127.0.0.1:{sink.port}/"
        before = f"old: {{url: {old.url}, interval: 2s}}"
        after = f"{before}\nnew: {{url: {new.url}, interval: 2s}}"
        cluster = Cluster(tmp_path, services=before, notify=notify)
        with running(cluster):
            cluster.wait_verdict("old", "up")
            _reload(cluster, "a", after, notify)
            wait_for(
                lambda: cluster.get("b", "/api/v1/peers")["peers"][0]["reason"] == "config", 15, "drift shown"
            )
            old.close()
            sink.log.wait_for(1, 25)
            old.open()
            sink.log.wait_for(2, 25)
            _reload(cluster, "b", after, notify)
            _reload(cluster, "c", after, notify)
            cluster.wait_verdict("new", "up")
            cluster.wait_verdict("old", "up")
            told = [(body["kind"], body["incident"]["service"]) for body in hooks(sink)]
            assert told == [("firing", "old"), ("resolved", "old")]
    old.close()
    new.close()


def _reload(cluster: Cluster, peer: str, services: str, notify: str) -> None:
    cluster.configure(peer, services=services, notify=notify)
    cluster.signal(peer, signal.SIGHUP)
