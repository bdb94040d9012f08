"""The curl lines of `watchtower heartbeat list`: they reach whichever peer lives, and survive a shell.

Only the text is made here; that a peer takes such a call is tested with the web shell.
"""

from __future__ import annotations

import shlex

from msgspec.structs import replace
from support.web_support import PING_KEY, settings

from watchtower.cli.heartbeat import curl_line, ping_urls


def test_every_peer_is_tried() -> None:
    """Without a public address the line goes on to the next peer when one does not answer."""
    urls = ping_urls(settings(), "nightly-backup")
    assert urls == [f"http://{peer}.example.com:8080/ping/{PING_KEY}/nightly-backup" for peer in "abc"]
    words = shlex.split(curl_line(urls))
    assert words.count("||") == 2
    assert [word for word in words if word.startswith("http")] == urls


def test_a_public_address_stands_for_all_peers() -> None:
    """It is the one that survives a change of peers."""
    urls = ping_urls(settings(public_url="https://status.example.com"), "job")
    assert urls == [f"https://status.example.com/ping/{PING_KEY}/job"]


def test_without_a_ping_key_there_is_nothing_to_call() -> None:
    """No peer takes beats then."""
    assert ping_urls(settings(ping_key=None), "job") == []


def test_a_base_path_is_part_of_the_address() -> None:
    """Peers behind a common proxy path are called below it."""
    made = settings(base_path="/watch")
    urls = ping_urls(replace(made, cluster=replace(made.cluster, peers=made.cluster.peers[:1])), "job")
    assert urls == [f"http://a.example.com:8080/watch/ping/{PING_KEY}/job"]
