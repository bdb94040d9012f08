"""The config hash: equal for files that mean the same, different for those that do not.

Peers compare nothing else to know whether they run the same config.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.config_support import SECRET, THREE_PEERS, load_text

CHAT = "  chat: slack://${T}/#ops\n"
MAIL = '  mail: {url: "json://h", fallback: chat}\n'
SERVICES = """\
services:
  shop: {url: https://shop.example.com, interval: 10s, labels: {a: x, b: y},
         expect: [status == 200, ip exists]}
  db: tcp://db.internal:5432
"""
BASE = THREE_PEERS + "notify:\n" + CHAT + MAIL + SERVICES
REWRITTEN = """\
# The same, by another hand.
services:
  db: "tcp://db.internal:5432"
  shop:
    labels:
      b: 'y'
      a: x
    expect:
      - status == 200   # fine
      - ip exists
    interval: "10s"
    url: https://shop.example.com
notify:
  chat: "slack://${T}/#ops"
  mail:
    fallback: chat
    url: json://h
cluster:
  peers:
    c: {http: http://c.example.com, raft: "[2001:db8::1]:7700", provider: hetzner, zone: hel1}
    a: {http: http://10.0.1.10:8080, raft: 10.0.1.10:7700, zone: eu-west-1a}
    b: {http: http://10.0.2.10:8080/, raft: 10.0.2.10:7700, zone: eu-west-1b}
  secret: ${SECRET}
  name: prod
"""


def _hash(tmp_path: Path, text: str, *, peer: str = "a", tokens: str = "t") -> str:
    environ = {"SECRET": SECRET, "T": tokens}
    return load_text(tmp_path, text, peer=peer, environ=environ).config_hash


def test_comments_order_and_formatting_do_not_count(tmp_path: Path) -> None:
    """Files that say the same have one hash, and equal Settings."""
    environ = {"SECRET": SECRET, "T": "t"}
    first = load_text(tmp_path, BASE, environ=environ)
    second = load_text(tmp_path, REWRITTEN, environ=environ)
    assert first.config_hash == second.config_hash
    assert first == second


def test_neither_peer_nor_environment_counts(tmp_path: Path) -> None:
    """Peers with their own names and secrets run the same config."""
    assert _hash(tmp_path, BASE, peer="a", tokens="one") == _hash(tmp_path, BASE, peer="b", tokens="two")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("interval: 10s", "interval: 11s"),
        ("db: tcp", "db2: tcp"),
        ("[status == 200, ip exists]", "[ip exists, status == 200]"),
        ("slack://${T}/#ops", "slack://${T}/#dev"),
        ("zone: eu-west-1b", "zone: eu-west-1c"),
        (CHAT + MAIL, MAIL + CHAT),
    ],
    ids=["value", "name", "list order", "channel", "peer", "first channel"],
)
def test_every_change_of_meaning_counts(tmp_path: Path, old: str, new: str) -> None:
    """A changed value, name, list order, or another first channel gives another hash."""
    assert old in BASE
    assert _hash(tmp_path, BASE.replace(old, new)) != _hash(tmp_path, BASE)


def test_the_hash_has_16_hex_digits_and_is_stable(tmp_path: Path) -> None:
    """The hash of a known file is known: releases must not change it without saying so."""
    assert load_text(tmp_path, "services: {x: 'tcp://h:1'}").config_hash == "eacbe8c1927e4308"
