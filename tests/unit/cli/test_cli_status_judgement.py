"""Which Nagios state `watchtower status` gives to what peers answer.

The documents are the API's own, made by the web shell from made-up clusters, so a changed shape shows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from support.web_support import World, http_service, world

from watchtower.cli.nagios import Health, line
from watchtower.cli.status import judge, measures
from watchtower.core.model import Level
from watchtower.web.documents import status_doc


def document(made: World) -> dict[str, Any]:
    """The status document as it arrives over HTTP."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(status_doc(made.snap)))
    return decoded


def shop_is(level: Level) -> Callable[[World], None]:
    """Let the quorum judge the shop."""
    return lambda made: made.judge("shop", level, "so it is")


def peer_is(level: Level) -> Callable[[World], None]:
    """Let the quorum judge peer c."""
    return lambda made: made.judge("peer/c", level, "so it is")


def both(*changes: Callable[[World], None]) -> Callable[[World], None]:
    """Several changes one after the other."""

    def change(made: World) -> None:
        for one in changes:
            one(made)

    return change


@pytest.mark.parametrize(
    ("change", "health", "words"),
    [
        (lambda _made: None, Health.OK, "2 services up, 3 of 3 peers at work"),
        (shop_is(Level.DOWN), Health.CRITICAL, "1 of 2 services not up: shop down"),
        (shop_is(Level.DEGRADED), Health.WARNING, "shop degraded"),
        (shop_is(Level.PARTIAL), Health.WARNING, "shop partial"),
        (shop_is(Level.UNKNOWN), Health.UNKNOWN, "shop unknown"),
        (peer_is(Level.DOWN), Health.WARNING, "2 of 3 peers at work (peer c missing)"),
        (both(peer_is(Level.DOWN), shop_is(Level.DOWN)), Health.CRITICAL, "shop down, 2 of 3 peers"),
        (World.lose_quorum, Health.UNKNOWN, "no quorum, nobody watches; last known: 2 services up"),
        (both(shop_is(Level.DEGRADED), World.lose_quorum), Health.UNKNOWN, "no quorum"),
        (both(shop_is(Level.DOWN), World.lose_quorum), Health.CRITICAL, "no quorum"),
        (lambda made: made.judge("cluster", Level.DEGRADED, "no sight"), Health.WARNING, "no sight"),
    ],
)
def test_a_picture_has_a_state(change: Callable[[World], None], health: Health, words: str) -> None:
    """The worst of services, peers and the cluster itself; a lost peer is a warning, not an outage."""
    made = world(http_service("shop"), http_service("api"))
    change(made)
    found, text = judge(document(made))
    assert (found, words in text) == (health, True), text


def test_the_performance_data_counts_services_and_peers() -> None:
    """Every verdict is counted, the peers apart from the services."""
    made = world(http_service("shop"), http_service("api"))
    made.judge("shop", Level.DOWN, "so it is")
    shown = line("WATCHTOWER", Health.OK, "x", measures(document(made)))
    data = dict(pair.split("=") for pair in shown.partition(" | ")[2].split())
    assert data == {
        "up": "1;;;0;2",
        "degraded": "0;;;0;2",
        "partial": "0;;;0;2",
        "down": "1;;;0;2",
        "unknown": "0;;;0;2",
        "incidents": "0;;;0",
        "peers": "3;;;0;3",
    }


def test_many_failing_services_are_counted_not_listed() -> None:
    """The line stays readable on a phone."""
    made = world(*(http_service(f"s{number}") for number in range(9)))
    for number in range(9):
        made.judge(f"s{number}", Level.DOWN, "so it is")
    _, text = judge(document(made))
    assert "9 of 9 services not up: s0 down, s1 down, s2 down, s3 down, s4 down, 4 more" in text


def test_a_foreign_answer_is_not_judged() -> None:
    """Somebody else's JSON raises, so that the verb can say UNKNOWN instead of OK."""
    with pytest.raises((KeyError, TypeError)):
        judge({"status": "fine"})
