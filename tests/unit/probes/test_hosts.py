"""Which host a service counts for: what it points to, then where it was found, but never its proxy."""

from __future__ import annotations

import pytest
from support.core_support import service

from watchtower.core.secret import Secret
from watchtower.core.targets import HttpTarget
from watchtower.probes.pace.hosts import Hosts

URL = "https://shop.example:8443/healthz"


@pytest.mark.parametrize(
    ("target", "knows", "host", "learnt"),
    [
        (HttpTarget(url=URL), False, "shop.example 8443", "192.0.2.1 8443"),
        (HttpTarget(url="https://192.0.2.9/"), True, "192.0.2.9 443", "192.0.2.1 443"),
        (HttpTarget(url=URL, address=("192.0.2.7", 0)), True, "192.0.2.7 8443", "192.0.2.1 8443"),
        (
            HttpTarget(url="https://shop.example", address=("192.0.2.7", 0)),
            True,
            "192.0.2.7 443",
            "192.0.2.1 443",
        ),
        (HttpTarget(url=URL, address=("node-3", 81)), False, "node-3 81", "192.0.2.1 81"),
        (HttpTarget(url=URL, resolver="192.0.2.53"), True, "shop.example 8443", "192.0.2.1 8443"),
        (
            HttpTarget(url=URL, proxy=Secret("http://proxy.example:3128")),
            True,
            "shop.example 8443",
            "shop.example 8443",
        ),
    ],
)
def test_the_host_of_an_http_service(target: HttpTarget, knows: bool, host: str, learnt: str) -> None:
    """A name that only a proxy or a resolver of its own knows is never asked of this peer's resolver."""
    hosts, watched = Hosts(), service("web", target)
    assert (hosts.knows(watched), hosts.host(watched)) == (knows, host)
    hosts.learn(watched, "192.0.2.1")
    assert hosts.host(watched) == learnt
