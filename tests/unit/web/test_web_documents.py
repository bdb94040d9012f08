"""What a Snapshot becomes: votes that count, since when, and addresses without secrets.

Pure functions over a made-up snapshot; the JSON itself is tested against the running server.
"""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace
from support.web_support import NOW, http_service, world

from watchtower.core.model import Level, Opinion
from watchtower.core.targets import (
    DnsTarget,
    HeartbeatTarget,
    HttpTarget,
    PeerTarget,
    Target,
    TcpTarget,
    TlsTarget,
)
from watchtower.web.documents import instance, peer_details, service_detail, status_doc
from watchtower.web.incidents import incident_detail


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (HttpTarget(url="https://u:p@h.example:8443/a/b?token=x#f"), "https://h.example:8443/a/b"),
        (HttpTarget(url="http://u:p@w@h.example/"), "http://h.example/"),
        (HttpTarget(url="http://[::1"), ""),
        (TcpTarget(host="db", port=5432), "db:5432"),
        (TlsTarget(host="2001:db8::1", port=443), "[2001:db8::1]:443"),
        (DnsTarget(name="www.example.com"), "www.example.com"),
        (HeartbeatTarget(period_s=60, grace_s=5), "heartbeat"),
        (PeerTarget(peer="b", url="http://x:y@b:8080"), "http://b:8080"),
    ],
)
def test_an_instance_has_no_credentials_query_or_fragment(target: Target, shown: str) -> None:
    """It is a label and a line on the page."""
    assert instance(target) == shown


def test_nothing_secret_is_anywhere_in_the_status() -> None:
    """Neither the URL's password nor a token nor a channel's URL."""
    made = world()
    made.open("shop", 1)
    made.tell(1)
    text = msgspec.json.encode([status_doc(made.snap), service_detail(made.snap, "shop")]).decode()
    for secret in ("hunter2", "s3cret", "slack://", "-token-", "ping-key", "kkkk"):
        assert secret not in text


def test_votes_of_a_silent_peer_are_shown_but_do_not_count() -> None:
    """Its last opinion stays visible, marked."""
    made = world()
    made.vote("c", "shop", Opinion.DOWN, "refused")
    made.lose_quorum()
    votes = {vote.peer: vote for vote in status_doc(made.snap).services[0].votes}
    assert (votes["c"].opinion, votes["c"].counted) == (Opinion.DOWN, False)
    assert votes["a"].counted is True


def test_since_is_the_incidents_or_the_end_of_the_last_one() -> None:
    """Down since the trouble was first seen; up since the last incident closed."""
    made = world()
    shop = status_doc(made.snap).services[0]
    assert shop.since is None
    made.judge("shop", Level.DOWN, "down", down=3)
    made.open("shop", 4)
    shop = status_doc(made.snap).services[0]
    assert shop.since is not None
    assert (shop.since.timestamp(), shop.incident) == (NOW - 61, 4)
    made.judge("shop", Level.UP, "up", up=3)
    made.close(4)
    shop = status_doc(made.snap).services[0]
    assert shop.since is not None
    assert shop.since.timestamp() > NOW
    assert shop.incident is None


def test_a_verdict_that_no_rule_supports_says_so() -> None:
    """The last one stays and is marked as undecided."""
    made = world()
    old = made.standings["shop"]
    held = replace(old, verdict=replace(old.verdict, level=None, reason="no 2 of 3 peers agree"))
    made.turn(view=replace(made.snap.view, standings={**made.standings, "shop": held}))
    shop = status_doc(made.snap).services[0]
    assert (shop.verdict, shop.undecided) == (Level.UP, True)


def test_a_service_without_a_verdict_is_unknown() -> None:
    """As right after a start."""
    made = world(http_service("shop"))
    made.turn(view=replace(made.snap.view, standings={}))
    doc = status_doc(made.snap)
    assert (doc.services[0].verdict, doc.summary.unknown) == (Level.UNKNOWN, 1)


def test_peers_show_role_link_lease_and_config() -> None:
    """The lease is at its holder; a released one is nobody's."""
    made = world()
    peers = {peer.name: peer for peer in peer_details(made.snap)}
    assert (peers["b"].role, peers["b"].is_alerter, peers["b"].link) == ("leader", True, True)
    assert peers["b"].lease is not None
    assert peers["a"].lease is None
    assert (peers["a"].link, peers["a"].clock_offset_s, peers["b"].clock_offset_s) == (None, 0.0, 0.012)
    released = replace(made.snap.state, lease=replace(made.snap.state.lease, released=True))
    made.turn(state=released)
    assert status_doc(made.snap).alerter is None
    made.lose_quorum()
    assert {peer.role for peer in peer_details(made.snap) if peer.name != "a"} == {"unknown"}


def test_who_would_be_told_is_shown_with_the_rule() -> None:
    """Of a service: if it went down now; of an open incident: as it stands; of a closed one nothing."""
    made = world()
    made.open("shop", 1)
    detail, incident = service_detail(made.snap, "shop"), incident_detail(made.snap, 1)
    assert detail is not None
    assert incident is not None
    assert (detail.alert, detail.told_by, detail.severity) == (["chat"], "the first channel", "critical")
    assert incident.told_by == "the first channel"
    made.close(1)
    over = incident_detail(made.snap, 1)
    assert over is not None
    assert over.told_by == ""
