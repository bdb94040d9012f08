"""Three real processes and a real channel: people act by the link of a message and from the command line.

What one peer was told holds at all of them, also when that peer or the alerter is gone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.cli_support import Done, watchtower
from support.cluster_support import ADMIN_TOKEN, Cluster, Target, running, wait_for
from support.sinks import HttpSink

pytestmark = pytest.mark.timeout(300)
Ground = tuple[Cluster, dict[str, Target], HttpSink]


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """A cluster that watches a shop and a wiki, and tells one JSON webhook."""
    with HttpSink() as sink:
        shop, wiki = Target(), Target()
        cluster = Cluster(
            tmp_path_factory.mktemp("acting"),
            services=(
                f"shop: {{url: {shop.url}, interval: 2s}}\n"
                f"wiki: {{url: {wiki.url}, interval: 2s, labels: {{team: docs}}}}"
            ),
            notify=f"hook: {sink.url.replace('http:', 'json:')}/hook",
        )
        try:
            with running(cluster):
                for name in ("shop", "wiki"):
                    cluster.wait_verdict(name, "up")
                yield cluster, {"shop": shop, "wiki": wiki}, sink
        finally:
            shop.close()
            wiki.close()


def _told(sink: HttpSink, kind: str, service: str) -> list[dict[str, Any]]:
    bodies = (json.loads(item.body) for item in sink.received)
    return [one for one in bodies if one["kind"] == kind and one["incident"]["service"] == service]


def _incident(cluster: Cluster, peer: str, service: str) -> dict[str, Any]:
    """The latest incident of the service as that peer shows it."""
    answer = cluster.get(peer, f"/api/v1/incidents?service={service}") or {}
    return next(iter(answer.get("incidents", [])), {})


def _run(cluster: Cluster, *verb: str) -> Done:
    """The command line, asking the peers in their order; the first may be dead."""
    urls = [f"--url=http://127.0.0.1:{cluster.http[name]}" for name in cluster.names]
    return watchtower(*verb, *urls, "--token", ADMIN_TOKEN, timeout_s=120.0)


def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - our own peer
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own peer
        return dict(json.load(answer))


def _link(message: dict[str, Any]) -> str:
    return next(str(url) for label, url in message["links"].items() if label.startswith("Acknowledge"))


def _leader(cluster: Cluster, peer: str) -> str:
    return str((cluster.get(peer, "/api/v1/status") or {}).get("leader") or "")


def _wait_for_taken(cluster: Cluster, peer: str) -> None:
    wait_for(lambda: _incident(cluster, peer, "shop").get("ack"), 5, f"the shop taken, as {peer} sees it")


def test_the_link_of_a_message_works_at_every_peer_and_outlives_them(ground: Ground) -> None:
    """Acknowledged at a peer that did not send it; it stands when the alerter is killed."""
    cluster, targets, sink = ground
    targets["shop"].close()
    (message,) = wait_for(lambda: _told(sink, "firing", "shop"), 30, "the shop's alert")
    path, sender = urlsplit(_link(message)).path, message["delivery"]["peer"]
    other = next(name for name in cluster.names if name != sender)
    assert cluster.get(other, path + "x")["status_code"] == 404
    done = _post(f"http://127.0.0.1:{cluster.http[other]}{path}", {"by": "Jane", "note": "on it"})
    assert done["by"] == "Jane (by link)"
    for name in cluster.names:
        _wait_for_taken(cluster, name)
    killed = cluster.alerter()
    cluster.kill(killed)
    left = next(name for name in cluster.names if name != killed)
    wait_for(lambda: cluster.get(left, "/api/v1/status")["alerter"] not in (None, killed), 30, "an alerter")
    assert _incident(cluster, left, "shop")["ack"]["by"] == "Jane (by link)"
    cluster.start(killed)
    targets["shop"].open()
    (ended,) = wait_for(lambda: _told(sink, "resolved", "shop"), 30, "the shop's end")
    assert ended["incident"]["number"] == message["incident"]["number"]
    cluster.wait_ready(*cluster.names)


def test_what_is_silenced_is_told_when_the_silence_ends(ground: Ground) -> None:
    """Set with the first peer of the line down: the next one takes it. Named on the incident, then told."""
    cluster, targets, sink = ground
    cluster.kill("a")
    # What is asked for in the second after a leader's death may stay unknown: that is answered by 503.
    wait_for(lambda: _leader(cluster, "b") not in ("", "a"), 30, "a leader but a")
    wait_for(lambda: cluster.is_true("b", "/quorum"), 30, "a majority without a")
    words = ("--for", "1h", "--reason", "moving", "--author", "Jane", "--json")
    done = _run(cluster, "silence", "add", "team=docs", *words)
    assert done.returncode == 0, done.stderr
    silence = json.loads(done.stdout)["silence"]["id"]
    targets["wiki"].close()
    wait_for(lambda: _incident(cluster, "c", "wiki").get("withheld"), 40, "wiki withheld")
    incident = _incident(cluster, "c", "wiki")
    assert incident["withheld"]["why"] == "silenced"
    assert "Jane (ops)" in incident["withheld"]["text"]
    assert "moving" in incident["withheld"]["text"]
    assert _told(sink, "firing", "wiki") == []
    assert _run(cluster, "silence", "end", silence).returncode == 0
    wait_for(lambda: _told(sink, "firing", "wiki"), 20, "the wiki's alert after the silence")
    assert "who was told" in _run(cluster, "incidents", str(incident["number"])).stdout.lower()
    cluster.start("a")
    targets["wiki"].open()
    cluster.wait_ready(*cluster.names)
    cluster.wait_verdict("wiki", "up", timeout_s=30)


def test_every_peer_proves_its_way_and_a_drill_is_confirmed_by_its_receiver(ground: Ground) -> None:
    """A test from each of the three; a drill whose receiver echoes by the link, while the command waits."""
    cluster, _, sink = ground
    done = _run(cluster, "notify", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.split()[2] for line in done.stdout.splitlines()[:3]) == ["a", "b", "c"]
    url = f"--url=http://127.0.0.1:{cluster.http['b']}"
    with subprocess.Popen(
        [sys.executable, "-m", "watchtower", "drill", "--channel", "hook", url, "--token", ADMIN_TOKEN],
        stdout=subprocess.PIPE,
        text=True,
    ) as waiting:
        (message,) = wait_for(lambda: _told(sink, "firing", "drill/hook"), 30, "the drill")
        assert waiting.poll() is None
        _post(_link(message), {})
        out, _ = waiting.communicate(timeout=30)
    assert (waiting.returncode, "It has arrived" in out) == (0, True)
