"""Addresses and keys of grpc and ws services, and what is said where the extra is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from watchtower.config import extras
from watchtower.config.loader import load, service_from_url
from watchtower.config.problems import Wrong
from watchtower.config.rpc_targets import MESSAGE_MAX, read_message
from watchtower.core.targets import GrpcTarget, Target, WsTarget
from watchtower.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("grpc://cart:50051", GrpcTarget(host="cart", port=50051)),
        ("grpc://cart:50051/", GrpcTarget(host="cart", port=50051)),
        ("grpc://[::1]:50051/shop.Cart", GrpcTarget(host="::1", port=50051, service="shop.Cart")),
        ("grpc://cart:1/a%20b/c", GrpcTarget(host="cart", port=1, service="a b/c")),
        ("GRPCS://api.example.com", GrpcTarget(host="api.example.com", port=443, tls=True)),
        ("ws://feed.example.com", WsTarget(url="ws://feed.example.com")),
        ("WSS://feed.example.com:8443/a?b=c#d", WsTarget(url="wss://feed.example.com:8443/a?b=c")),
    ],
)
def test_a_url_becomes_a_target(url: str, target: Target) -> None:
    """Each scheme has its usual port, and what follows the host means what it should."""
    service = service_from_url(url)
    assert service.target == target
    assert service.kind == type(target).__name__.removesuffix("Target").lower()


@pytest.mark.parametrize(
    "url",
    [
        "grpc://cart",
        "grpc://cart:1?x=1",
        "grpc://cart:1/%00",
        f"grpc://cart:1/{'x' * 201}",
        "ws://",
        "ws://a b",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """No port, a query, an odd name, no host."""
    with pytest.raises(ConfigError):
        service_from_url(url)


def test_keys_of_a_file_arrive_in_the_targets(tmp_path: Path) -> None:
    """What a service says of its own ends up where the probe reads it; user info becomes a header."""
    config = tmp_path / "w.yaml"
    config.write_text(r"""
services:
  cart: {url: grpcs://cart, server_name: cart.example.com, verify: false, expect: grpc.status == serving}
  feed:
    url: wss://ann:s3cret@feed.example.com/x
    headers: {X-Key: k}
    send: '{"a": "\n"}'
    verify: false
    expect: [status == 101, message contains a, json.a exists]
""")
    services = load(config, peer=None, environ={}).services
    assert services["cart"].target == GrpcTarget(
        host="cart", port=443, tls=True, server_name="cart.example.com", verify=False
    )
    assert services["cart"].expect[0].clauses[0].value == "SERVING"
    feed = services["feed"].target
    assert isinstance(feed, WsTarget)
    assert (feed.url, feed.verify) == ("wss://feed.example.com/x", False)
    assert [(name, value.reveal()) for name, value in feed.headers] == [
        ("Authorization", "Basic YW5uOnMzY3JldA=="),
        ("X-Key", "k"),
    ]
    assert feed.send is not None
    assert feed.send.reveal() == r'{"a": "\n"}'
    assert "s3cret" not in repr(feed)


@pytest.mark.parametrize("text", ["", "ä" * (MESSAGE_MAX // 2 + 1)])
def test_what_cannot_be_sent_is_refused(text: str) -> None:
    """Nothing, and more bytes than a message may have."""
    with pytest.raises(Wrong):
        read_message(text)


def test_without_the_extra_the_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, and a single URL; other kinds are read all the same."""
    monkeypatch.setattr(extras, "EXTRAS", {**extras.EXTRAS, "grpc": "no_such_module"})
    config = tmp_path / "w.yaml"
    config.write_text("services:\n  cart: grpc://cart:50051\n  shop: https://shop.example.com\n")
    with pytest.raises(
        ConfigError, match=r"w.yaml:2:9: services.cart: grpc services need the package"
    ) as told:
        load(config, peer=None, environ={})
    assert "pip install 'watchtower-ha[grpc]'" in str(told.value)
    with pytest.raises(ConfigError, match=r"pip install 'watchtower-ha\[grpc\]'"):
        service_from_url("grpc://cart:50051")
    assert service_from_url("ws://feed").kind == "ws"
