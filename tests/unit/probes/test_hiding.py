"""What a service repeats of what it was asked with is not repeated by us."""

from __future__ import annotations

import base64

import pytest

from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget, Target, TcpTarget, WsTarget
from watchtower.probes.hiding import hidden, secrets_of

BASIC = base64.b64encode(b"probe:s3cret-of-basic").decode()


def http(name: str, value: str) -> HttpTarget:
    """A target with that header."""
    return HttpTarget(url="http://192.0.2.1/", headers=((name, Secret(value)),))


@pytest.mark.parametrize(
    ("target", "said", "told"),
    [
        (http("Authorization", "Bearer s3cret-token"), "no such token: s3cret-token!", "no such token: ***!"),
        (http("Authorization", f"Basic {BASIC}"), f"got {BASIC} or s3cret-of-basic", "got *** or ***"),
        (http("Cookie", "session=s3cret-cookie; a=b"), "a=b; session=s3cret-cookie", "a=b; session=***"),
        (http("X-Key", "s3cret-key"), "cut at s3cret…", "cut at ***…"),
        (http("X-Key", "s3cret-key"), "cut at s3cret-k", "cut at ***"),
        (http("X-Key", "s3cret-key"), "s3cret-keen is another word", "s3cret-keen is another word"),
        (http("X-Key", "s3cret-key"), "s3cret-ke s3cret-key", "s3cret-ke ***"),
        (http("X-Key", "short"), "short words are no secrets", "short words are no secrets"),
        (http("Accept", "application/json"), "not application/json", "not application/json"),
        (
            TcpTarget(host="h", port=1, send=Secret("AUTH s3cret-word\r\n")),
            "? AUTH s3cret-word",
            "? AUTH ***",
        ),
        (
            HttpTarget(url="http://192.0.2.1/", proxy=Secret("http://u:s3cret%40pw@192.0.2.9:3128")),
            "407 s3cret@pw",
            "407 ***",
        ),
        (WsTarget(url="ws://192.0.2.1/", send=Secret('{"key": "s3cret-key"}')), "s3cret-key?", "***?"),
        (HttpTarget(url="http://192.0.2.1/"), "nothing to hide", "nothing to hide"),
    ],
)
def test_secrets_of_a_look_are_hidden(target: Target, said: str, told: str) -> None:
    """Whole words, the decoded login, and what a cut has left; nothing else is touched."""
    assert hidden(said, secrets_of(target)) == told
