"""The link in a message: good for one incident, for a while, for whoever holds it; looking changes nothing.

Real requests over loopback; behind the server is a made-up cluster that takes down what it is told.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from support.web_support import NOW, World, serving, world

from watchtower.core import links
from watchtower.core.commands import Answer
from watchtower.core.policies import Acknowledgement, Matcher, SilenceKind
from watchtower.core.requests import Acknowledge, SetSilence
from watchtower.core.secret import Secret
from watchtower.web.act_links import GOOD_AFTER_S

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def desk(**http: Any) -> World:
    """Incident 17 of the shop and 18 of the database."""
    made = world(**http)
    made.open("shop", 17)
    made.open("orders-db", 18)
    return made


def link(made: World, number: int = 17) -> str:
    """The path that a message about the incident carries."""
    return f"/a/{number}/{links.code(made.snap.settings, number)}"


def call(made: World, method: str, path: str, **more: Any) -> tuple[int, str]:
    """Status and text of one call without any token."""

    async def main() -> tuple[int, str]:
        async with (
            serving(made) as (_, http),
            http.request(method, path, allow_redirects=False, **more) as answer,
        ):
            return answer.status, await answer.text()

    return asyncio.run(main())


def test_whoever_was_told_may_look_and_looking_does_nothing() -> None:
    """Mail scanners follow links: neither GET nor HEAD says anything to the cluster. No login, even here."""
    made = desk(anonymous_read=False)
    status, text = call(made, "GET", link(made))
    assert status == 200
    assert "Acknowledge" in text
    assert "Shop" in text
    assert "<script" not in text
    assert "http-equiv" not in text
    assert call(made, "HEAD", link(made))[0] == 200
    assert made.submitted == []


def test_the_form_acknowledges_and_silences_this_service_only() -> None:
    """What somebody adds to the form changes nothing about what is silenced."""
    made = desk()
    status, _ = call(made, "POST", link(made), data={"act": "acknowledge", "by": "Jane", "note": "on it"})
    assert status == 303
    sneaky = {
        "act": "silence",
        "for": "4h",
        "matchers": "service=*",
        "kind": "maintenance",
        "reason": "known",
    }
    assert call(made, "POST", link(made), data=sneaky)[0] == 303
    taken, silenced = made.submitted
    at_wall = made.snap.now.wall
    assert taken == Acknowledge(
        incident=17,
        ack=Acknowledgement(by="Jane (by link)", note="on it", at_wall=at_wall),
        by="Jane (by link)",
        at_wall=at_wall,
        by_link=True,
    )
    assert isinstance(silenced, SetSilence)
    silence = silenced.silence
    assert silence.matchers == (Matcher(label="service", patterns=("shop",)),)
    assert (silence.id, silence.kind, silence.author) == ("link-17", SilenceKind.SILENCE, "by link")
    assert silence.ends_wall - silence.starts_wall == 4 * 3600


def test_a_receiver_of_webhooks_echoes_with_json() -> None:
    """An empty object acknowledges; a machine gets JSON back, also when it is refused."""
    made = desk()
    assert call(made, "POST", link(made), json={})[0] == 200
    assert call(made, "POST", link(made), json={"act": "silence", "for": "1h", "by": "bot"})[0] == 200
    assert [type(one) for one in made.submitted] == [Acknowledge, SetSilence]
    for wrong, says in (
        ({"act": "delete"}, "act: acknowledge"),
        ({"act": "silence"}, "say how long"),
        ({"act": "silence", "for": "8d"}, "at most 7 days"),
        ({"matchers": ["service=*"]}, "unknown field"),
    ):
        status, text = call(made, "POST", link(made), json=wrong)
        assert (status, says in text) == (400, True)
    made.answer = Answer(ok=False, reason="the ledger says no")
    assert call(made, "POST", link(made), json={})[0] == 409
    status, text = call(made, "POST", link(made), data={"act": "acknowledge"})
    assert (status, "the ledger says no" in text) == (409, True)


def test_a_link_fits_one_incident_and_no_other() -> None:
    """Another number, another word, a number that is none: all the same, and nothing is proposed."""
    made = desk()
    word = links.code(made.snap.settings, 17)
    for path in (
        f"/a/18/{word}",
        f"/a/17/{word[:-1]}",
        f"/a/17/{word}x",
        "/a/17/x",
        f"/a/x/{word}",
        f"/a/99/{word}",
    ):
        for method, more in (("GET", {}), ("POST", {"data": {"act": "acknowledge"}}), ("POST", {"json": {}})):
            assert call(made, method, path, **more)[0] == 404
    assert made.submitted == []


def test_a_link_outlives_its_incident_by_a_day() -> None:
    """Long enough to silence what keeps coming back; there is nothing to acknowledge any more."""
    made = desk()
    made.close(17)
    assert "nothing to acknowledge" in call(made, "GET", link(made))[1]
    assert call(made, "POST", link(made), json={})[0] == 409
    assert call(made, "POST", link(made), json={"act": "silence", "for": "1h"})[0] == 200
    closed_wall = made.snap.state.incidents[17].closed_wall
    now = made.snap.now
    made.turn()
    made.snap = replace(made.snap, now=replace(now, wall=closed_wall + GOOD_AFTER_S - 1))
    assert call(made, "GET", link(made))[0] == 200
    made.snap = replace(made.snap, now=replace(now, wall=closed_wall + GOOD_AFTER_S))
    assert call(made, "GET", link(made))[0] == 404


def test_another_secret_voids_the_link_and_a_rotation_does_not() -> None:
    """Every secret of the ring is good."""
    made = desk()
    path = link(made)
    cluster = made.snap.settings.cluster
    both = replace(cluster, secrets=(Secret("n" * 32), *cluster.secrets))
    made.turn(settings=replace(made.snap.settings, cluster=both))
    assert call(made, "GET", path)[0] == 200
    made.turn(settings=replace(made.snap.settings, cluster=replace(both, secrets=both.secrets[:1])))
    assert call(made, "GET", path)[0] == 404


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1"])
def test_the_form_of_another_site_is_refused(origin: str) -> None:
    """As everywhere: whoever has the link and a browser in between is not enough."""
    made = desk()
    assert call(made, "POST", link(made), data={"act": "acknowledge"}, headers={"Origin": origin})[0] == 403
    assert call(made, "POST", link(made), json={}, headers={"Origin": origin})[0] == 403
    assert made.submitted == []


def test_a_drill_is_confirmed_and_cannot_be_silenced() -> None:
    """Its button is the proof that it has arrived."""
    made = desk()
    made.open("drill/chat", 19)
    text = call(made, "GET", link(made, 19))[1]
    assert "It has arrived" in text
    assert "Silence drill" not in text
    assert call(made, "POST", link(made, 19), json={"act": "silence", "for": "1h"})[0] == 409
    assert call(made, "POST", link(made, 19), json={})[0] == 200
    assert [type(one) for one in made.submitted] == [Acknowledge]
    assert made.snap.now.wall > NOW
