"""The verbs that ask: as processes against the real web shell, with a made-up cluster behind it.

What the documents say is the web shell's; here stands what a person and Nagios see of them.
"""

from __future__ import annotations

import json

import pytest
from support.cli_support import asked, watchtower
from support.web_support import READ, World, http_service, world

from watchtower.core.model import Level, Opinion

NOBODY = "http://127.0.0.1:1"


def troubled() -> World:
    """A cluster whose shop is down, told by peer b."""
    made = world()
    made.vote("a", "shop", Opinion.DOWN, "timeout after 10 s")
    made.vote("b", "shop", Opinion.DOWN, "timeout after 10 s")
    made.judge("shop", Level.DOWN, "2 of 3 peers see it down", down=2, up=1)
    made.open("shop", 7)
    made.tell(7)
    return made


def test_a_dead_peer_is_passed_over() -> None:
    """The next one answers, and all is OK."""
    (done,) = asked(world(http_service("api")), lambda url: ("status", "--url", NOBODY, "--url", url))
    assert (done.returncode, done.stderr) == (0, "")
    first = done.stdout.splitlines()[0]
    assert first.startswith("WATCHTOWER OK - 1 service up, 3 of 3 peers at work | up=1;;;0;1 ")


def test_trouble_is_told_with_its_evidence() -> None:
    """A service that is down is CRITICAL, and what a peer saw stands below the line."""
    plain, as_json = asked(
        troubled(), lambda url: ("status", "--url", url), lambda url: ("status", "--url", url, "--json")
    )
    assert plain.returncode == as_json.returncode == 2
    assert plain.stdout.startswith("WATCHTOWER CRITICAL - 1 of 3 services not up: shop down")
    assert "timeout after 10 s" in plain.stdout
    assert "orders-db" not in plain.stdout
    doc = json.loads(as_json.stdout)
    assert (doc["state"], doc["status"]["summary"]["down"]) == ("CRITICAL", 1)


def test_incidents_notifications_and_members_are_listed() -> None:
    """Each as lines for a pipe: no colour, no drawing, the facts in columns."""
    made = troubled()
    verbs = (("incidents", "--open"), ("notifications", "--incident", "7"), ("cluster", "members"))
    for done, words in zip(
        asked(made, *(lambda url, verb=verb: (*verb, "--url", url) for verb in verbs)),
        (
            ("7", "Shop", "down", "still open"),
            ("firing", "delivered", "chat"),
            ("alerter", "count", "in force"),
        ),
        strict=True,
    ):
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        assert all(word in done.stdout for word in words), done.stdout


@pytest.mark.parametrize("verb", [("incidents",), ("notifications",), ("cluster", "members")])
def test_without_an_answer_a_list_fails(verb: tuple[str, ...]) -> None:
    """Exit code 1, and who was asked."""
    done = watchtower(*verb, "--url", NOBODY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no peer answers: http://127.0.0.1:1: connection refused" in done.stderr


def test_without_an_answer_the_status_is_unknown() -> None:
    """Nobody knows, which is not the same as down."""
    done = watchtower("status", "--url", NOBODY)
    assert done.returncode == 3
    assert done.stdout.startswith("WATCHTOWER UNKNOWN - no peer answers: ")


def test_a_token_opens_what_is_closed() -> None:
    """Without one the peer's own words are shown."""
    without, with_one = asked(
        world(http_service("api"), anonymous_read=False),
        lambda url: ("status", "--url", url),
        lambda url: ("status", "--url", url, "--token", READ),
    )
    assert (without.returncode, with_one.returncode) == (3, 0)
    assert "HTTP 401 reading needs a token" in without.stdout


def test_a_server_that_is_no_peer_is_unknown() -> None:
    """A page, a redirect or a foreign JSON never becomes an OK."""
    (done,) = asked(world(), lambda url: ("status", "--url", f"{url}/nowhere"))
    assert done.returncode == 3
