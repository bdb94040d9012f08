"""What the overview says first, and in which order.

The words are what somebody reads at three in the morning; the look is tested in a browser.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.web_support import World, http_service, settings, world

from watchtower.core.model import Level, Opinion
from watchtower.web.documents import status_doc
from watchtower.web.overview import headline, notices, overview
from watchtower.web.times import lasting


def _say(made: World) -> tuple[str, str, str]:
    said = headline(status_doc(made.snap), made.snap.cluster.last_commit_age_s)
    return said.tone, said.text, said.detail


def test_all_up_and_nothing_watched() -> None:
    """Calm is said in one line; an empty config says what to do."""
    assert _say(world())[:2] == ("up", "All 3 services are up")
    assert _say(world(http_service("shop", title="Shop")))[1] == "The one service is up"
    assert _say(World(settings()))[:2] == ("empty", "Nothing is watched yet")


def test_the_worst_comes_first_and_a_single_one_is_named() -> None:
    """`Shop is down, 1 degraded`; with two, their number."""
    made = world()
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2)
    made.judge("orders-db", Level.DEGRADED, "slow", degraded=2)
    assert _say(made) == ("down", "Shop is down, 1 degraded", "2 of 3 peers see it down")
    made.judge("nightly", Level.DOWN, "missing")
    assert _say(made)[:2] == ("down", "2 services are down, 1 degraded")


def test_a_sick_peer_is_called_a_peer() -> None:
    """`peer/c` is a service inside and a peer to people."""
    made = world()
    made.judge("peer/c", Level.DOWN, "no report for 20 s")
    assert _say(made)[1] == "Peer c is down"


def test_without_quorum_nothing_else_comes_first() -> None:
    """Even with a service down the headline is that this peer is blind, and for how long."""
    made = world()
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2)
    made.lose_quorum(age_s=134)
    tone, text, detail = _say(made)
    assert (tone, text) == ("blind", "Blind: no quorum")
    assert "2 min 14 s old" in detail


def test_dissent_is_shown_although_the_verdict_is_up() -> None:
    """One peer that sees trouble is worth a look, with its evidence."""
    made = world()
    made.vote("c", "shop", Opinion.DOWN, "connection refused")
    view = overview(status_doc(made.snap), 1.0)
    assert [doc.name for doc in view.troubled] == ["shop"]
    assert view.headline.tone == "up"
    assert "a peer sees trouble" in view.headline.detail


def test_every_service_stays_in_its_group_and_peers_stand_apart() -> None:
    """Trouble adds a card at the top; it takes no tile away."""
    made = world()
    made.judge("shop", Level.DOWN, "down")
    view = overview(status_doc(made.snap), 1.0)
    assert [(group.name, [doc.name for doc in group.services]) for group in view.groups] == [
        ("web", ["shop"]),
        ("data", ["orders-db", "nightly"]),
    ]
    assert [card.peer.name for card in view.peers] == ["a", "b", "c"]


def test_an_incident_that_no_service_shows_still_has_its_place() -> None:
    """Incidents about a peer or the cluster are listed; that of a troubled service is in its card."""
    made = world()
    made.judge("shop", Level.DOWN, "down")
    made.open("shop", 1)
    made.open("peer/c", 2)
    view = overview(status_doc(made.snap), 1.0)
    assert [incident.number for incident in view.incidents] == [2]


def test_drift_doubt_and_a_refused_reload_are_noticed() -> None:
    """Each is a sentence of its own."""
    made = world()
    assert notices(status_doc(made.snap)) == []
    row = replace(made.snap.state.row("c"), config_hash="other")
    state = replace(made.snap.state, peers={**made.snap.state.peers, "c": row})
    made.turn(state=state, doubt="cannot reach 1.1.1.1", reload_error="line 3: unknown key", ready_reason="")
    said = " ".join(notices(status_doc(made.snap)))
    for piece in ("Peer c runs another config", "cannot reach 1.1.1.1", "line 3: unknown key"):
        assert piece in said


def test_a_peer_without_a_vote_is_never_shown_as_fine() -> None:
    """Its card is coloured although nobody has judged it yet."""
    made = world()
    made.lose_quorum()
    moods = [card.mood for card in overview(status_doc(made.snap), 1.0).peers]
    assert moods == ["up", "degraded", "degraded"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (60, "1 min"), (192, "3 min 12 s"), (3605, "1 h"),
     (7260, "2 h 1 min"), (187_200, "2 d 4 h")],
)  # fmt: skip
def test_how_long_is_said_in_two_neighbouring_units(seconds: float, text: str) -> None:
    """Nobody reads `187200 s`."""
    assert lasting(seconds) == text
